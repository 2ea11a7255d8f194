// Tests of Timeline, which closes holes in the times of video frames.
import assert from "node:assert/strict";
import { test } from "node:test";

import { load } from "./support/load.mjs";

const { Timeline } = await load("player/timeline.ts");

/** Adds frames at a frame rate, from a decode time on. Returns how often the offset has changed. */
function add(timeline, perSecond, frames, from = 100) {
  let changes = 0;
  for (let index = 0; index < frames; index += 1) {
    changes += timeline.add(from + index / perSecond, 1 / perSecond) ? 1 : 0;
  }
  return changes;
}

for (const perSecond of [0.5, 1, 5, 8, 25]) {
  test(`frames at ${perSecond} per second have no holes`, () => {
    const timeline = new Timeline();
    assert.equal(add(timeline, perSecond, 20), 0);
    assert.ok(Math.abs(timeline.end - (100 + 20 / perSecond)) < 1e-9);
    assert.ok(Math.abs(timeline.interval - 1 / perSecond) < 1e-9);
  });
}

test("a hole of several frames is closed, and times that begin again continue", () => {
  const timeline = new Timeline();
  add(timeline, 25, 25);
  assert.equal(add(timeline, 25, 25, 104), 1);
  assert.ok(Math.abs(timeline.end - 102) < 1e-9);
  assert.equal(add(timeline, 25, 25, 0), 1);
  assert.ok(Math.abs(timeline.end - 103) < 1e-9);
});

test("a camera with few frames has longer holes", () => {
  const timeline = new Timeline();
  add(timeline, 1, 3);
  assert.equal(timeline.add(105, 1), false);
  assert.equal(timeline.add(109, 1), true);
});
