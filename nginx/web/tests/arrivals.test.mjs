// Tests of ArrivalMeter, which measures whether a connection is fast enough for a live socket.
import assert from "node:assert/strict";
import { mock, test } from "node:test";

import { load } from "./support/load.mjs";

const { ArrivalMeter } = await load("player/arrivals.ts");
const { AgeClock } = await load("player/sync.ts");

const INTERVAL_MS = 40;
const BYTES = 5000;

/**
 * Lets 25 frames per second arrive. Each is later than the one before by `drift` ms, and by `late(index)` ms later than
 * that. After it, `lost(index)` frames are left out, which the service reports in two messages. After 4 seconds, the
 * viewer's clock is set forward by `step` ms.
 */
function arrive(t, { seconds, drift = 0, late = () => 0, lost = () => 0, step = 0 }) {
  let now = 0;
  mock.method(performance, "now", () => now);
  mock.method(Date, "now", () => 1e12 + now + (now > 4000 ? step : 0));
  t.after(() => mock.restoreAll());
  const meter = new ArrivalMeter();
  let delay = 20;
  for (let index = 0; now < seconds * 1000; index += 1) {
    now += INTERVAL_MS;
    delay += drift;
    meter.received(now, BYTES, 1e12 + now - delay - late(index));
    const frames = lost(index);
    if (frames > 0) {
      meter.lost(now, 1);
      meter.received(now + 10, BYTES, 1e12 + now - delay - late(index), false);
      meter.lost(now + 20, frames - 1);
    }
  }
  return { meter, now };
}

test("a connection on which all frames arrive in time is steady", (t) => {
  const { meter, now } = arrive(t, { seconds: 10 });
  assert.equal(meter.isTooSlow(now), false);
  assert.equal(meter.isSteady(now), true);
  assert.ok(Math.abs(meter.rate(now) - 1e6) < 5e4, `${meter.rate(now)}`);
});

/** Every 30th frame has waited for a second, as if the connection did not take it. */
const waited = (index) => (index % 30 === 29 ? 1000 : 0);

test("a connection on which the service leaves out frames again and again is too slow", (t) => {
  const lost = (index) => (index % 30 === 29 ? 20 : 0);
  const { meter, now } = arrive(t, { seconds: 6, late: waited, lost });
  assert.equal(meter.isTooSlow(now), true);
  assert.equal(meter.isSteady(now), false);
});

test("one skip, which the service reports twice, does not make a connection too slow", (t) => {
  const only = (index) => index === 80;
  const late = (index) => (only(index) ? 1000 : 0);
  const { meter, now } = arrive(t, { seconds: 6, late, lost: (index) => (only(index) ? 60 : 0) });
  assert.equal(meter.isTooSlow(now), false);
  assert.equal(meter.isSteady(now), false);
});

test("gaps of the stream itself say nothing about the connection", (t) => {
  const lost = (index) => (index % 30 === 29 ? 20 : 0);
  const { meter, now } = arrive(t, { seconds: 7, lost });
  assert.equal(meter.isTooSlow(now), false);
  assert.equal(meter.isSteady(now), true);
});

test("one late frame, or one late burst, does not make a connection too slow", (t) => {
  const { meter, now } = arrive(t, { seconds: 4, late: (index) => (index === 99 ? 3000 : 0) });
  assert.equal(meter.isTooSlow(now), false);
  for (let index = 0; index < 20; index += 1) {
    meter.received(now + index, BYTES, 1e12 + now - 3000);
  }
  assert.equal(meter.isTooSlow(now + 20), false);
});

test("after a change of a clock, a connection becomes fast enough again", (t) => {
  const late = (index) => (index > 100 ? 5000 : 0);
  assert.equal(arrive(t, { seconds: 8, late }).meter.isTooSlow(8000), true);
  const { meter, now } = arrive(t, { seconds: 75, late });
  assert.equal(meter.isTooSlow(now), false);
  assert.equal(meter.isSteady(now), true);
});

test("if the viewer's clock is set, frames are not late", (t) => {
  const { meter, now } = arrive(t, { seconds: 8, step: 5000 });
  assert.equal(meter.isTooSlow(now), false);
  assert.equal(meter.isSteady(now), true);
});

test("if the viewer's clock is set, the age of the picture remains", (t) => {
  let [now, step] = [0, 0];
  mock.method(performance, "now", () => now);
  mock.method(Date, "now", () => 1e12 + now + step);
  t.after(() => mock.restoreAll());
  const clock = new AgeClock();
  clock.arrived(1e12 - 50);
  [now, step] = [1000, 1500];
  clock.arrived(1e12 + now - 50);
  assert.equal(clock.age(1e12 + now - 100), 0.1);
});

test("the interval between two frames follows from the times at which they were taken", (t) => {
  const { meter } = arrive(t, { seconds: 4 });
  assert.equal(meter.interval, INTERVAL_MS);
  assert.equal(new ArrivalMeter().interval, 0);
});

test("a connection on which frames arrive later and later is too slow", (t) => {
  const { meter, now } = arrive(t, { seconds: 5, drift: 16 });
  assert.equal(meter.isTooSlow(now), true);
});

test("the kept frames at the beginning, which are old, do not count as late", (t) => {
  const { meter, now } = arrive(t, { seconds: 2, drift: -30 });
  assert.equal(meter.isTooSlow(now), false);
});
