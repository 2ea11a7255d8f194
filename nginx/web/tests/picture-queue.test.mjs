// Tests of PictureQueue, a jitter buffer of pictures.
import assert from "node:assert/strict";
import { test } from "node:test";

import { load } from "./support/load.mjs";

const { PictureQueue } = await load("player/picture-queue.ts");

const INTERVAL_MS = 100;

/** Sends pictures on a network with these delays, one after the other, and returns when each picture was shown. */
function play(delays, pictures, smoothness) {
  const dropped = [];
  const queue = new PictureQueue((picture) => dropped.push(picture), smoothness);
  const arrivals = Array.from({ length: pictures }, (_, picture) => {
    const takenAt = picture * INTERVAL_MS;
    return { picture, takenAt, at: takenAt + delays(picture) };
  }).sort((a, b) => a.at - b.at);
  const shown = [];
  for (let now = 0; now < (pictures + 10) * INTERVAL_MS; now += 1) {
    for (; arrivals[0]?.at <= now; ) {
      const { picture, takenAt } = arrivals.shift();
      queue.add(picture, takenAt, now);
    }
    const next = queue.take(now);
    if (next) {
      shown.push({ picture: next.picture, at: now, delay: now - next.takenAt });
    }
  }
  return { shown, dropped, queue };
}

test("on an even network, pictures do not wait", () => {
  const { shown } = play(() => 30, 50);
  assert.equal(shown.length, 50);
  assert.ok(shown.every(({ delay }) => delay === 30));
});

test("on an uneven network, pictures wait until they are shown evenly", () => {
  const { shown } = play((picture) => 30 + (picture % 5) * 20, 100);
  const late = shown.slice(60);
  const gaps = late.slice(1).map(({ at }, index) => at - late[index].at);
  assert.ok(
    gaps.every((gap) => Math.abs(gap - INTERVAL_MS) <= 2),
    gaps.join(),
  );
});

test("with a smallest depth, pictures wait only on a very uneven network", () => {
  const smoothness = { remembered: 50, inTime: 0.95, maxDepth: 150, minDepth: 60 };
  const waits = (late) => {
    const delays = (picture) => 30 + (picture % 5 === 0 ? late : 0);
    const { shown } = play(delays, 100, smoothness);
    return shown.slice(60).map(({ delay }) => delay);
  };
  assert.deepEqual([...new Set(waits(50))].sort(), [30, 80], "each is shown when it arrives");
  assert.deepEqual([...new Set(waits(90))], [120], "all wait for the late ones");
  assert.equal(Math.min(...waits(400)), 180, "no longer than the greatest depth");
});

test("pictures that arrive after a later one was shown are dropped", () => {
  const { shown, dropped } = play((picture) => (picture === 70 ? 950 : 30), 90);
  assert.ok(dropped.includes(70));
  const order = shown.map(({ picture }) => picture);
  assert.deepEqual(
    order,
    [...order].sort((a, b) => a - b),
  );
});

test("pictures that wait are dropped at the end", () => {
  const dropped = [];
  const queue = new PictureQueue((picture) => dropped.push(picture));
  queue.add("a", 0, 30);
  queue.add("b", 100, 250);
  queue.clear();
  assert.deepEqual(dropped, ["a", "b"]);
  assert.equal(queue.next(300), null);
});
