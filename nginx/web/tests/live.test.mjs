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

test("a live socket that is too slow plays until the sub stream gets media, and its last picture stays", async (t) => {
  const { player, run, starts, arrive, describe } = await setUp(t);
  const slow = FakeSocket.last;
  const { shown } = player.screen;
  const element = shown.peek();
  player.adaptation.tooSlow(4e6);
  const sub = FakeSocket.last;
  assert.match(sub.url, /\/front~sub\/live$/);
  assert.deepEqual(starts, ["main"]);
  sub.open();
  // The camera needs some time for the sub stream.
  for (let seconds = 0; seconds < 5; seconds += 1) {
    await arrive(slow);
    await run(500);
  }
  assert.equal(FakeSocket.last, sub);
  assert.equal(slow.readyState, FakeSocket.OPEN);
  assert.equal(player.state.peek(), "live");
  await describe();
  await arrive(sub, { isKeyframe: false });
  assert.equal(slow.readyState, 3);
  assert.equal(shown.peek(), element);
  await arrive(sub);
  assert.equal(player.state.peek(), "live");
  assert.notEqual(shown.peek(), element);
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
  assert.deepEqual(starts, ["main", "main"]);
  assert.equal(player.adaptation.profile.peek(), "sub");
  assert.equal(player.state.peek(), "live");
  assert.equal(player.transport.peek(), "webcodecs");
  assert.equal(FakeSocket.last, socket);
  assert.equal(socket.readyState, FakeSocket.OPEN);
});
