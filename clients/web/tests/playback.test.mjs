// Tests of what an element plays, shows and reports, with a simulated player.
import assert from "node:assert/strict";
import { mock, test } from "node:test";

import { FakeElement, install, settled } from "../../../nginx/web/tests/support/browser.mjs";
import { load } from "../../../nginx/web/tests/support/load.mjs";

install();
const { Playback } = await load("../../../clients/web/src/playback.ts");

/** Returns the playback of an element in the page. Its player starts nothing, and notes the requests. */
function setUp(t, camera = "gate") {
  const attributes = { server: "https://video.example", camera };
  const owner = Object.assign(new EventTarget(), {
    isConnected: true,
    quality: "auto",
    transport: "auto",
    getAttribute: (name) => attributes[name] ?? null,
  });
  const events = [];
  for (const type of ["statechange", "error"]) {
    owner.addEventListener(type, ({ detail }) => events.push(detail));
  }
  const view = {
    video: new FakeElement(),
    still: new FakeElement(),
    show: (state) => (view.shown = state),
  };
  Object.assign(view.video, { removeAttribute: () => undefined });
  const playback = new Playback(owner, view);
  const requests = [];
  mock.method(playback.player, "play", (request) => requests.push(request));
  const hurry = mock.method(playback.player, "hurry", () => undefined);
  const leave = playback.observe();
  t.after(() => leave());
  playback.setSeen(true);
  return { playback, player: playback.player, requests, hurry, view, events, leave };
}

test("an element shows why the camera is away", async (t) => {
  const { player, playback, view, events } = setUp(t);
  player.state.value = "live";
  await settled();
  player.state.value = "waiting";
  playback.host.onAway("the camera cannot be reached");
  await settled();
  assert.equal(view.shown.message, "Reconnecting… (the camera cannot be reached)");
  assert.deepEqual(events.at(-1), {
    code: "reconnecting",
    message: "the camera cannot be reached",
    isRetried: true,
  });
  player.state.value = "live";
  await settled();
  assert.equal(playback.error, null);
  assert.equal(view.shown.message, "");
  player.state.value = "waiting";
  await settled();
  assert.equal(view.shown.message, "Reconnecting…");
});

test("after a brief error, an element does not wait for the end of a long pause", async (t) => {
  mock.timers.enable({ apis: ["setTimeout"] });
  t.after(() => mock.timers.reset());
  const { player, hurry } = setUp(t);
  hurry.mock.resetCalls();
  const fail = async (code) => {
    player.state.value = "retrying";
    player.reason.value = { code, detail: "no" };
    await settled();
    mock.timers.tick(4900);
    assert.equal(hurry.mock.callCount(), 0);
    mock.timers.tick(1200);
  };
  await fail("source_unreachable");
  assert.equal(hurry.mock.callCount(), 0);
  await fail("shutting_down");
  assert.deepEqual(hurry.mock.calls[0].arguments, [false]);
});

test("elements follow the size of the wall", async (t) => {
  const first = setUp(t);
  await settled();
  const last = () => {
    const { profile, isWall, isLowLatency } = first.requests.at(-1);
    return { profile, isWall, isLowLatency };
  };
  assert.deepEqual(last(), { profile: "main", isWall: false, isLowLatency: true });
  const others = [setUp(t), setUp(t)];
  await settled();
  assert.deepEqual(last(), { profile: "main", isWall: true, isLowLatency: true });
  others.push(setUp(t));
  await settled();
  assert.deepEqual(last(), { profile: "sub", isWall: true, isLowLatency: false });
  // Neither another element nor another token changes what is played.
  const count = first.requests.length;
  others.push(setUp(t));
  await settled();
  first.playback.plan();
  await settled();
  assert.equal(first.requests.length, count);
  for (const { leave } of others) {
    leave();
  }
  await settled();
  assert.deepEqual(last(), { profile: "main", isWall: false, isLowLatency: true });
});

test("after an error that is not retried, the button begins to play", async (t) => {
  const { player, view } = setUp(t);
  player.state.value = "retrying";
  await settled();
  assert.equal(view.shown.isPlaying, true);
  player.state.value = "failed";
  await settled();
  assert.equal(view.shown.isPlaying, false);
});
