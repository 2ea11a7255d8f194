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
