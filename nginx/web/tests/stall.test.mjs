// Tests of StallWatch, which reports the motion of a picture: moving, still, waiting, stuck or missed.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { mock, test } from "node:test";

import { transformWithEsbuild } from "vite";

const FILE = new URL("../src/player/stall.ts", import.meta.url);
const BEAT_MS = 200;

const { code } = await transformWithEsbuild(readFileSync(FILE, "utf8"), FILE.pathname);
const { StallWatch } = await import(`data:text/javascript,${encodeURIComponent(code)}`);

/** Returns a StallWatch, a simulated video, and a function that moves the simulated clock. */
function setUp(t) {
  let now = 1000;
  mock.method(performance, "now", () => now);
  t.after(() => mock.restoreAll());
  const video = { currentTime: 5, seeking: false, paused: false };
  const watch = new StallWatch();
  watch.begin();
  watch.note(video);
  /** Moves the clock in steps of `beat`, with a check after each step. Returns the motions without repetitions. */
  const run = (milliseconds, { beat = BEAT_MS, before } = {}) => {
    const states = [];
    for (const end = now + milliseconds; now < end; ) {
      now += beat;
      before?.();
      const state = watch.check(video);
      watch.note(video);
      if (state !== states.at(-1)) {
        states.push(state);
      }
    }
    return states;
  };
  return { video, watch, run };
}

test("a picture that moves is neither waiting nor stuck", (t) => {
  const { video, run } = setUp(t);
  assert.deepEqual(run(60_000, { before: () => (video.currentTime += 0.2) }), ["moving"]);
});

test("a stall is shown only after 800 ms", (t) => {
  const { run } = setUp(t);
  assert.deepEqual(run(800), ["still"]);
  assert.deepEqual(run(200), ["waiting"]);
});

test("a picture without media is stuck after 6 seconds, and again after 6 more", (t) => {
  const { run } = setUp(t);
  assert.deepEqual(run(6000), ["still", "waiting"]);
  assert.deepEqual(run(6200), ["stuck", "still", "waiting"]);
  assert.deepEqual(run(200), ["stuck"]);
});

test("the motion is `missed` after 2 seconds without media if the playlist grows", (t) => {
  const { video, watch, run } = setUp(t);
  const before = () => watch.grown();
  run(1000, { before: () => (video.currentTime += 0.2) });
  assert.deepEqual(run(2000, { before }), ["still", "waiting"]);
  assert.deepEqual(run(200, { before }), ["missed"]);
  assert.deepEqual(run(1000, { before }), ["still", "waiting"]);
});

test("the motion is not `missed` if media arrives, or if the playlist last grew before the picture stopped", (t) => {
  const { video, watch, run } = setUp(t);
  const arrives = () => {
    watch.grown();
    watch.arrived();
  };
  assert.deepEqual(run(10_000, { before: arrives }), ["still", "waiting"]);
  run(1000, { before: () => (video.currentTime += 0.2) });
  watch.grown();
  assert.deepEqual(run(5000), ["still", "waiting"]);
  // Until the picture has moved, growth of the playlist does not count, because the first media may be late.
  watch.begin();
  watch.note(video);
  assert.deepEqual(run(5000, { before: () => watch.grown() }), ["still", "waiting"]);
});

test("a picture that has stopped is not stuck while media arrives, up to 30 seconds", (t) => {
  const { watch, run } = setUp(t);
  const before = () => watch.arrived();
  assert.deepEqual(run(30_000, { before }), ["still", "waiting"]);
  assert.deepEqual(run(200, { before }), ["stuck"]);
});

test("of the time between two checks, at most 400 ms count, because a busy page registers media late", (t) => {
  const { run } = setUp(t);
  assert.deepEqual(run(45_000, { beat: 3000 }), ["still", "waiting"]);
});

test("a seek does not count as motion", (t) => {
  const { video, watch, run } = setUp(t);
  run(3000);
  video.currentTime += 4;
  watch.note(video);
  assert.deepEqual(run(200), ["waiting"]);
  video.currentTime += 4;
  video.seeking = true;
  assert.deepEqual(run(200), ["waiting"]);
});

test("a paused video is not waiting", (t) => {
  const { video, run } = setUp(t);
  video.paused = true;
  assert.deepEqual(run(60_000), ["still"]);
});

test("no picture is expected after the end", (t) => {
  const { watch, run } = setUp(t);
  watch.end();
  assert.deepEqual(run(60_000), ["still"]);
});

test("growth of the playlist no longer counts after media has arrived", (t) => {
  const { video, watch, run } = setUp(t);
  run(1000, { before: () => (video.currentTime += 0.2) });
  run(1000);
  watch.grown();
  watch.arrived();
  assert.deepEqual(run(5000), ["waiting"]);
});
