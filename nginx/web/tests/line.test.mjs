// Tests of LineMeter and Quality: whether a connection is too slow, and what the player shows in that case.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { transformWithEsbuild } from "vite";

async function load(name) {
  const file = new URL(`../src/player/${name}.ts`, import.meta.url);
  const { code } = await transformWithEsbuild(readFileSync(file, "utf8"), file.pathname);
  return import(`data:text/javascript,${encodeURIComponent(code)}`);
}
const { LineMeter } = await load("line");
const { Quality } = await load("quality");

const BEAT_MS = 200;
const PART_SECONDS = 0.5;

/**
 * Simulates the transfer of parts, one after the other, for some seconds. A part is available when its media
 * has been recorded. Returns the meter.
 */
function transfer({ seconds, lineRate, mediaRate, behind = 0 }) {
  const meter = new LineMeter();
  const total = (mediaRate * PART_SECONDS) / 8;
  let part = null;
  let available = behind;
  for (let now = 1; now < seconds * 1000; now += 10) {
    available += 0.01;
    if (part?.loading.end !== 0 && available >= PART_SECONDS) {
      available -= PART_SECONDS;
      part = { loaded: 0, total, aborted: false, loading: { first: now, end: 0 } };
      meter.add(part, PART_SECONDS);
    } else if (part?.loading.end === 0) {
      part.loaded = Math.min(total, part.loaded + (lineRate * 0.01) / 8);
      part.loading.end = part.loaded === total ? now : 0;
    }
    if (now % BEAT_MS === 1) {
      meter.sample(now);
    }
  }
  return meter;
}

test("a connection that is slower than the video is too slow", () => {
  const meter = transfer({ seconds: 8, lineRate: 400_000, mediaRate: 4_000_000 });
  assert.ok(meter.isTooSlow());
  assert.ok(Math.abs(meter.rate() - 400_000) < 40_000, `${meter.rate()}`);
  assert.ok(Math.abs(meter.mediaRate() - 4_000_000) < 400_000, `${meter.mediaRate()}`);
});

test("a faster connection is not too slow, even while the player catches up", () => {
  for (const behind of [0, 6]) {
    for (const lineRate of [5_000_000, 20_000_000]) {
      const meter = transfer({ seconds: 8, lineRate, mediaRate: 4_000_000, behind });
      assert.ok(!meter.isTooSlow(), `${lineRate} with ${behind} s to load`);
    }
  }
});

test("a connection counts as too slow only after a few seconds of transfers", () => {
  assert.ok(!transfer({ seconds: 3, lineRate: 400_000, mediaRate: 4_000_000 }).isTooSlow());
  assert.ok(!new LineMeter().isTooSlow());
});

test("a server that sends nothing is not a slow connection", () => {
  const meter = transfer({ seconds: 0.1, lineRate: 1, mediaRate: 4_000_000, behind: 1 });
  for (let now = 200; now < 20_000; now += BEAT_MS) {
    meter.sample(now);
  }
  assert.ok(!meter.isTooSlow());
  assert.equal(meter.rate(), null);
});

const NEEDED = 4_000_000;
const threeLevels = () => new Quality(["main", "sub", "pictures"], () => 0.5);

/** Reports the same rate every 3 s. Returns the seconds until the level was raised; null after 30 minutes. */
function secondsUntilRaised(quality, from, rate) {
  for (let now = from; now < from + 1_800_000; now += 3000) {
    if (quality.measured(now, rate)) {
      return (now - from) / 1000;
    }
  }
  return null;
}

test("the level is lowered step by step", () => {
  const chosen = threeLevels();
  const levels = [chosen.level];
  while (chosen.canLower) {
    chosen.lower(0, NEEDED);
    levels.push(chosen.level);
  }
  assert.deepEqual(levels, ["main", "sub", "pictures"]);
});

test("the level is raised when the connection is fast enough", () => {
  const chosen = threeLevels();
  chosen.lower(0, NEEDED);
  assert.equal(secondsUntilRaised(chosen, 0, 400_000), null);
  chosen.lower(0, NEEDED);
  assert.ok(secondsUntilRaised(chosen, 0, 20_000_000) <= 24);
  assert.equal(chosen.level, "sub");
});

test("the level is raised later if the measured rate is somewhat too low", () => {
  const chosen = threeLevels();
  chosen.lower(0, NEEDED);
  const seconds = secondsUntilRaised(chosen, 0, 2_000_000);
  assert.ok(seconds > 60 && seconds < 120, `${seconds}`);
});

test("the pause before the next attempt grows while the attempts fail", () => {
  const chosen = threeLevels();
  const pauses = [];
  let now = 0;
  for (let attempt = 0; attempt < 8; attempt += 1) {
    chosen.lower(now, NEEDED);
    const seconds = secondsUntilRaised(chosen, now, 20_000_000);
    pauses.push(seconds);
    now += seconds * 1000 + 8000;
  }
  assert.deepEqual(
    pauses,
    pauses.toSorted((a, b) => a - b),
  );
  assert.ok(pauses.at(-1) > 290 && pauses.at(-1) < 310, `${pauses}`);
  // This attempt lasts longer than a minute, so it has succeeded, and the pause is short again.
  now += 600_000;
  chosen.lower(now, NEEDED);
  assert.ok(secondsUntilRaised(chosen, now, 20_000_000) <= 24);
});
