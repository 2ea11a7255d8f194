// Tests of BufferPace, which keeps live video near the end of its buffer, with a simulated player.
import assert from "node:assert/strict";
import { test } from "node:test";

import { load } from "./support/load.mjs";

const { BufferPace } = await load("player/buffer-pace.ts");

const INTERVAL_MS = 40;
const TARGET = 0.04;

/**
 * Simulates a video whose frames arrive every 40 ms, up to `jitter` milliseconds late. Returns the lowest amounts of
 * buffered video of each second, and the number of stalls.
 */
function simulate({ ahead, seconds, jitter = 0, reports = true }) {
  const pace = new BufferPace(TARGET);
  const lows = [];
  let stalls = 0;
  let low = Number.POSITIVE_INFINITY;
  let delay = 0;
  let buffered = ahead;
  for (let now = 0; now < seconds * 1000; now += INTERVAL_MS) {
    const late = (now / INTERVAL_MS) % 7 === 3 ? jitter : 0;
    const elapsed = INTERVAL_MS + late - delay;
    delay = late;
    const speed = pace.speed(now + late) ?? 1;
    buffered -= (elapsed / 1000) * speed;
    if (buffered < 0) {
      buffered = 0;
      stalls += 1;
      if (reports) {
        pace.stalled(now + late);
      }
    }
    low = Math.min(low, buffered);
    pace.note(now + late, buffered);
    buffered += INTERVAL_MS / 1000;
    if (now % 1000 === 0) {
      lows.push(low);
      low = Number.POSITIVE_INFINITY;
    }
  }
  return { lows, stalls, last: lows.at(-1) };
}

test("a buffer that is too long becomes as short as wanted, without a stall", () => {
  const { last, stalls } = simulate({ ahead: 0.5, seconds: 30 });
  assert.ok(Math.abs(last - TARGET) < 0.02, `${last} s`);
  assert.equal(stalls, 0);
});

test("after a long delay, video without sound is soon near the end of the buffer again", () => {
  const { last, stalls } = simulate({ ahead: 0.9, seconds: 8 });
  assert.ok(Math.abs(last - TARGET) < 0.03, `${last} s`);
  assert.equal(stalls, 0);
  const pace = new BufferPace(TARGET, true);
  pace.note(0, 0.9);
  assert.equal(pace.speed(10), 1.1);
});

test("a buffer that is too short becomes longer", () => {
  const { last } = simulate({ ahead: 0.01, seconds: 30, reports: false });
  assert.ok(Math.abs(last - TARGET) < 0.02, `${last} s`);
});

test("the lowest amount counts if frames arrive unevenly", () => {
  const { last, stalls } = simulate({ ahead: 0.3, seconds: 40, jitter: 60 });
  assert.ok(Math.abs(last - TARGET) < 0.02, `${last} s`);
  assert.equal(stalls, 0);
});

test("stalls raise the target for a minute", () => {
  const pace = new BufferPace(TARGET);
  assert.equal(pace.wanted(0), TARGET);
  pace.stalled(1000);
  assert.ok(pace.wanted(2000) > TARGET);
  for (let stall = 0; stall < 50; stall += 1) {
    pace.stalled(2000);
  }
  assert.ok(pace.wanted(3000) < 0.3);
  assert.equal(pace.wanted(63_000), TARGET);
});

test("video that is more than a second too late jumps", () => {
  const pace = new BufferPace(TARGET);
  pace.note(0, 1.5);
  assert.equal(pace.speed(10), null);
  pace.reset(20);
  assert.equal(pace.speed(20), 1);
  // Browsers stop for a moment after a jump.
  pace.stalled(1000);
  assert.equal(pace.wanted(2000), TARGET);
});
