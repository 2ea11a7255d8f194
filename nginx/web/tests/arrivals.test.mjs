// Tests of ArrivalMeter, which measures whether a connection is fast enough for a live socket.
import assert from "node:assert/strict";
import { mock, test } from "node:test";

import { load } from "./support/load.mjs";

const { ArrivalMeter } = await load("player/arrivals.ts");

const INTERVAL_MS = 40;
const BYTES = 5000;

/** Lets 25 frames per second arrive. Each is later than the one before by `drift` ms; `lost(index)` frames are left out. */
function arrive(t, { seconds, drift = 0, lost = () => 0 }) {
  let now = 0;
  mock.method(Date, "now", () => 1e12 + now);
  t.after(() => mock.restoreAll());
  const meter = new ArrivalMeter();
  let delay = 20;
  for (let index = 0; now < seconds * 1000; index += 1) {
    now += INTERVAL_MS;
    delay += drift;
    meter.received(now, BYTES, 1e12 + now - delay);
    const frames = lost(index);
    if (frames > 0) {
      meter.lost(now, frames);
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

test("a connection on which the service leaves out frames again and again is too slow", (t) => {
  const { meter, now } = arrive(t, { seconds: 6, lost: (index) => (index % 30 === 29 ? 20 : 0) });
  assert.equal(meter.isTooSlow(now), true);
  assert.equal(meter.isSteady(now), false);
});

test("one interruption does not make a connection too slow", (t) => {
  const { meter, now } = arrive(t, { seconds: 6, lost: (index) => (index === 80 ? 60 : 0) });
  assert.equal(meter.isTooSlow(now), false);
  assert.equal(meter.isSteady(now), false);
});

test("a connection on which frames arrive later and later is too slow", (t) => {
  const { meter, now } = arrive(t, { seconds: 5, drift: 16 });
  assert.equal(meter.isTooSlow(now), true);
});

test("the kept frames at the beginning, which are old, do not count as late", (t) => {
  const { meter, now } = arrive(t, { seconds: 2, drift: -30 });
  assert.equal(meter.isTooSlow(now), false);
});
