// Tests of the transport that plays HLS with the browser's own player, with a simulated browser and service.
import assert from "node:assert/strict";
import { test } from "node:test";

import { install, jobFor, settled } from "./support/browser.mjs";
import { load } from "./support/load.mjs";

install();
const { NativeTransport } = await load("player/transports/native.ts");

/** Starts the transport, whose element then reports an error. `response` is that to the request for the reason. */
async function fail(response, isStopped = false) {
  globalThis.fetch = () => Promise.resolve(response);
  const { job, events, element, log } = jobFor();
  const transport = new NativeTransport(job, events);
  transport.start();
  element.dispatchEvent(new Event("error"));
  if (isStopped) {
    transport.stop();
  }
  await settled();
  return log;
}

test("an error whose cause is the end of the permission is reported as such", async () => {
  const body = JSON.stringify({ code: "unauthorized", detail: "the session has ended" });
  const [{ failed }] = await fail(new Response(body, { status: 401 }));
  assert.equal(failed.problem.code, "unauthorized");
});

test("another error is a failure of the transport only, and is reported only before the end", async () => {
  const notFound = () => new Response("", { status: 404 });
  assert.deepEqual(await fail(notFound()), [{ failed: { reason: "connection" } }]);
  assert.deepEqual(await fail(notFound(), true), []);
});
