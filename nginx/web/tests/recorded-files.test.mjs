// Tests the requests for recordings: the session is renewed, each request has an end, and segments are requested again.
import assert from "node:assert/strict";
import { mock, test } from "node:test";

import { install, settled } from "./support/browser.mjs";
import { load } from "./support/load.mjs";

install();
const { readFile } = await load("playback/recordings/source.ts");
const { settingsFor } = await load("playback/recordings/playlist-player.ts");
const { readExportHead } = await load("views/recordings/export.tsx");

const RANGE = { from: 0, to: 60_000 };

/** Returns a source whose token the service rejects until it is renewed, and the tokens of all requests. */
function setUp(t, accepted = "new", respond = () => Response.json({ spans: [] })) {
  const tokens = [];
  let token = "old";
  mock.method(globalThis, "fetch", (address, { signal, headers }) => {
    tokens.push(address.split("/").at(-3));
    const refusal = { code: "unauthorized", detail: "no session" };
    return Promise.resolve(
      tokens.at(-1) === accepted
        ? respond(signal, headers)
        : Response.json(refusal, { status: 401 }),
    );
  });
  t.after(() => mock.restoreAll());
  const source = {
    limit: null,
    ready: async () => undefined,
    addressOf: (stream, file) => `http://cameras/play/${token}/${stream}/${file}`,
    current: (address) => address,
    renew: async () => (token = "new"),
  };
  return { source, tokens };
}

test("a rejected token is replaced once", async (t) => {
  const { source, tokens } = setUp(t);
  assert.deepEqual(await readFile(source, "cam", "timeline.json", {}), { spans: [] });
  assert.deepEqual(tokens, ["old", "new"]);
});

test("an export is requested with a new token, and downloaded with it", async (t) => {
  const headers = { "Content-Range": "bytes 0-0/1234" };
  const { source, tokens } = setUp(t, "new", (_, { Range }) =>
    Range === "bytes=0-0" ? new Response("x", { status: 206, headers }) : null,
  );
  const { address, bytes } = await readExportHead(source, "cam", RANGE);
  assert.equal(address, "http://cameras/play/new/cam/export.mp4");
  assert.equal(bytes, 1234);
  assert.deepEqual(tokens, ["old", "new"]);
});

test("an export whose token is rejected again fails", async (t) => {
  const { source, tokens } = setUp(t, "none");
  await assert.rejects(readExportHead(source, "cam", RANGE), { status: 401, code: "unauthorized" });
  assert.deepEqual(tokens, ["old", "new"]);
});

test("a response whose body does not arrive is given up", async (t) => {
  mock.timers.enable({ apis: ["setTimeout"] });
  t.after(() => mock.timers.reset());
  const { source } = setUp(t, "old", (signal) => {
    const body = new ReadableStream({
      start: (controller) => {
        signal.addEventListener("abort", () => controller.error(signal.reason));
      },
    });
    return new Response(body);
  });
  let failure = null;
  readFile(source, "cam", "timeline.json", {}).catch((error) => (failure = error));
  await settled();
  assert.equal(failure, null);
  mock.timers.tick(10_000);
  await settled();
  assert.equal(failure?.code, "unreachable");
});

test("segments are requested again after a lost connection and a rejected token", () => {
  const { errorRetry, maxNumRetry = errorRetry.maxNumRetry } = settingsFor({}, false).fragLoadPolicy
    .default;
  const retries = (code, count = 0) =>
    errorRetry.shouldRetry(errorRetry, count, false, code === null ? undefined : { code }, false);
  assert.ok(maxNumRetry > 0);
  assert.ok(retries(0) && retries(401));
  assert.ok(!retries(404) && !retries(null) && !retries(0, maxNumRetry));
  assert.ok(errorRetry.shouldRetry(errorRetry, 0, false, { code: 503 }, true));
});

test("converted segments have more time than the service needs for them", () => {
  const limit = (isConverted) =>
    settingsFor({}, isConverted).fragLoadPolicy.default.maxTimeToFirstByteMs;
  assert.equal(limit(true), 50_000);
  assert.ok(limit(false) < 20_000);
});
