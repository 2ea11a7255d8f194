// Tests of the reason why the camera is away, as the service reports it.
import assert from "node:assert/strict";
import { test } from "node:test";

import { FakeSocket, install, jobFor } from "./support/browser.mjs";
import { load } from "./support/load.mjs";

install();
const { LiveSocket } = await load("player/transports/socket.ts");

const DETAIL = "the camera cannot be reached";

test("a live socket reports that the camera is away, and why", async () => {
  const { job, events, log } = jobFor();
  const reasons = [];
  job.host.onAway = (detail) => reasons.push(detail);
  const socket = new LiveSocket(job, { format: "raw", codecs: [] }, {}, events);
  FakeSocket.last.open();
  await FakeSocket.last.deliver({ type: "state", state: "reconnecting", detail: DETAIL });
  await FakeSocket.last.deliver({ type: "state", state: "live" });
  assert.deepEqual(reasons, [DETAIL, null]);
  assert.deepEqual(log, [{ away: true }, { away: false }]);
  socket.close();
});
