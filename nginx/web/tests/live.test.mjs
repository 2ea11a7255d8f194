// Tests of LivePlayer, which plays one camera in a tile, with a simulated browser, service and clock.
import assert from "node:assert/strict";
import { test } from "node:test";

import { FakeSocket } from "./support/browser.mjs";
import { setUp } from "./support/player.mjs";

test("a tile restarts if its connection reports that the camera is away although the stream is live", async (t) => {
  const { player, run, starts } = await setUp(t);
  assert.equal(player.state.peek(), "live");
  let isLive = false;
  player.isListedLive = () => isLive;
  player.onStuck = () => isLive && player.restart();
  await FakeSocket.last.deliver({ type: "state", state: "reconnecting" });
  await run(20_000);
  assert.deepEqual(starts, ["main"]);
  isLive = true;
  await run(7000);
  assert.deepEqual(starts, ["main", "main"]);
});

test("if the main stream does not start after the return from the sub stream, the sub stream plays on", async (t) => {
  const { player, run, starts, failing, open, arrive } = await setUp(t);
  player.adaptation.tooSlow(4e6);
  await run(100);
  await open();
  await arrive();
  await run(100);
  const socket = FakeSocket.last;
  failing.add("main");
  for (let milliseconds = 0; milliseconds < 40_000; milliseconds += 300) {
    player.adaptation.steady(performance.now());
    await arrive();
    await run(300);
  }
  assert.deepEqual(starts, ["main", "sub", "main"]);
  assert.equal(player.adaptation.profile.peek(), "sub");
  assert.equal(player.state.peek(), "live");
  assert.equal(player.transport.peek(), "webcodecs");
  assert.equal(FakeSocket.last, socket);
  assert.equal(socket.readyState, FakeSocket.OPEN);
});
