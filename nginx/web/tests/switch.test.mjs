// Tests of TransportSwitch, which changes between transports, with simulated transports and a simulated clock.
import assert from "node:assert/strict";
import { test } from "node:test";

import { revive, setUp } from "./support/switch.mjs";

test("the best transport is started first, and alone", (t) => {
  const { run, running, last, visible } = setUp(t);
  assert.deepEqual(running(), ["a0"]);
  run(500);
  last("a").events.picture();
  run(5000);
  assert.deepEqual(running(), ["a0"]);
  assert.equal(visible.element, "a0");
});

test("a transport that fails before its picture is replaced at once", (t) => {
  const { running, last, log } = setUp(t);
  last("a").events.failed({ reason: "connection" });
  assert.deepEqual(running(), ["b0"]);
  last("b").events.picture();
  assert.deepEqual(log, ["release a0", "shown b0"]);
});

test("a late transport is overtaken, and takes over when it has a picture", (t) => {
  const { run, running, last, log } = setUp(t);
  run(1100);
  assert.deepEqual(running(), ["a0", "b0"]);
  last("b").events.picture();
  assert.deepEqual(running(), ["a0", "b0"]);
  run(1000);
  last("a").events.picture();
  assert.deepEqual(running(), ["a0"]);
  assert.deepEqual(log, ["shown b0", "release b0", "shown a0"]);
});

test("a late transport that shows its picture first ends the next one", (t) => {
  const { run, running, last } = setUp(t);
  run(1100);
  last("a").events.picture();
  assert.deepEqual(running(), ["a0"]);
});

test("a late transport that never has a picture ends, and is tried again later", (t) => {
  const { run, running, last, made, tested } = setUp(t);
  run(1100);
  last("b").events.picture();
  run(6000);
  assert.deepEqual(running(), ["b0"]);
  assert.equal(tested.retries.reason("a"), "no_picture");
  run(14_000);
  assert.deepEqual(running(), ["b0", "a1"]);
  // The pause grows.
  last("a").events.failed({ reason: "connection" });
  run(19_000);
  assert.equal(made.length, 3);
  run(7000);
  assert.deepEqual(running(), ["b0", "a2"]);
});

test("a transport that has started the stream is not overtaken while the camera starts", (t) => {
  const { run, running, last, tested } = setUp(t);
  tested.begin(["a", "b", "c"], false);
  last("a").events.accepted();
  run(20_000);
  assert.deepEqual(running(), ["a1"]);
  last("a").events.media();
  run(800);
  assert.deepEqual(running(), ["a1"]);
  run(300);
  assert.deepEqual(running(), ["a1", "b0"]);
  // Without an answer, the connection itself may be the cause.
  tested.begin(["c"], false);
  tested.begin(["a", "b", "c"], false);
  run(1100);
  assert.deepEqual(running(), ["a2", "b1"]);
});

/** Lets time pass in which media arrives at a transport. */
function fill({ run, last }, name, seconds) {
  const { events } = last(name);
  for (let tenths = 0; tenths < seconds * 10; tenths += 1) {
    events.media();
    run(100);
  }
}

test("a transport whose first frames arrive slowly is not overtaken", (t) => {
  const all = setUp(t);
  fill(all, "a", 5);
  assert.deepEqual(all.running(), ["a0"]);
  all.last("a").events.picture();
  assert.equal(all.visible.element, "a0");
});

test("if another transport has been started, one whose frames arrive slowly has more time", (t) => {
  const all = setUp(t);
  all.run(1100);
  all.last("b").events.picture();
  fill(all, "a", 10);
  assert.deepEqual(all.running(), ["a0", "b0"]);
  fill(all, "a", 3);
  assert.equal(all.tested.retries.reason("a"), "no_picture");
});

test("a transport that gets media without showing a picture is overtaken later", (t) => {
  const all = setUp(t);
  fill(all, "a", 6.5);
  assert.deepEqual(all.running(), ["a0", "b0"]);
});

test("a transport that fails while it plays is replaced, and its last picture stays until then", (t) => {
  const { running, last, log } = setUp(t);
  last("a").events.picture();
  last("a").events.failed({ reason: "connection" });
  assert.deepEqual(running(), ["b0"]);
  assert.deepEqual(log, ["shown a0", "hiding"]);
  last("b").events.picture();
  assert.deepEqual(log, ["shown a0", "hiding", "release a0", "shown b0"]);
});

test("a picture that stops is replaced, unless it moves again first", (t) => {
  const all = setUp(t);
  const { run, running, last, tested } = all;
  last("a").events.picture();
  run(500, true);
  assert.deepEqual(running(), ["a0"]);
  run(1200, true);
  assert.deepEqual(running(), ["a0", "b0"]);
  run(200);
  assert.deepEqual(running(), ["a0"]);
  run(1200, true);
  revive(all, "b");
  assert.deepEqual(running(), ["b1"]);
  assert.equal(tested.retries.reason("a"), "stalled");
});

test("on a page that is not visible, a picture that stops is not replaced", (t) => {
  const { run, running, last } = setUp(t);
  t.after(() => {
    document.hidden = false;
  });
  last("a").events.picture();
  document.hidden = true;
  run(3000, true);
  assert.deepEqual(running(), ["a0"]);
  document.hidden = false;
  run(1000, true);
  assert.deepEqual(running(), ["a0", "b0"]);
});

test("a failure of the stream is reported, and no other transport is started", (t) => {
  const { running, last, log } = setUp(t);
  last("a").events.picture();
  last("a").events.failed({
    reason: "connection",
    problem: { code: "stream_ended", detail: null },
  });
  assert.deepEqual(running(), []);
  assert.deepEqual(log, ["shown a0", "hiding", "problem stream_ended"]);
});

test("if all transports fail, that is reported, and all of them are tried with the next attempt", (t) => {
  const { running, last, log, tested } = setUp(t);
  for (const name of ["a", "b"]) {
    last(name).events.failed({ reason: "connection" });
  }
  last("c").events.failed({ reason: "codec" });
  assert.equal(log.at(-1), "exhausted codec");
  tested.begin(["a", "b", "c"]);
  assert.deepEqual(running(), ["a1"]);
});

test("if all transports have failed for a lasting reason, another beginning tries them again", (t) => {
  const { tested, running, last, log } = setUp(t);
  for (const name of ["a", "b", "c"]) {
    last(name).events.failed({ reason: "codec" });
  }
  assert.equal(log.at(-1), "exhausted codec");
  tested.begin(["a", "b", "c"]);
  assert.deepEqual(running(), ["a1"]);
  tested.begin([]);
  assert.equal(log.at(-1), "exhausted browser");
});

test("the only transport has more time, and then its failure is reported", (t) => {
  const { tested, run, running, log } = setUp(t);
  tested.begin(["c"]);
  run(29_000);
  assert.deepEqual(running(), ["c0"]);
  run(2000);
  assert.equal(log.at(-1), "exhausted no_picture");
});

test("a failed transport that has stalled before does not restart, because its stream may have ended", (t) => {
  const { tested, run, running, last, log } = setUp(t);
  tested.begin(["c"]);
  last("c").events.media();
  last("c").events.picture();
  run(1400, true);
  last("c").events.failed({ reason: "connection" });
  assert.deepEqual(running(), []);
  assert.equal(log.at(-1), "exhausted connection");
});

test("a transport is renewed without a gap", (t) => {
  const { running, last, log, tested } = setUp(t);
  last("a").events.picture();
  tested.renew();
  assert.deepEqual(running(), ["a0", "a1"]);
  last("a").events.picture();
  assert.deepEqual(running(), ["a1"]);
  assert.deepEqual(log, ["shown a0", "release a0", "shown a1"]);
});

test("a renewal continues if the old connection ends first", (t) => {
  const { running, last, log, tested } = setUp(t);
  const old = last("a");
  old.events.picture();
  tested.renew();
  old.events.failed({ reason: "connection", problem: { code: "unauthorized", detail: null } });
  assert.deepEqual(running(), ["a1"]);
  last("a").events.picture();
  assert.deepEqual(log, ["shown a0", "hiding", "release a0", "shown a1"]);
});

test("a renewal that fails leaves the picture as it is", (t) => {
  const { running, last, tested } = setUp(t);
  last("a").events.picture();
  tested.renew();
  last("a").events.failed({ reason: "connection" });
  assert.deepEqual(running(), ["a0"]);
  assert.equal(tested.retries.reason("a"), undefined);
});

test("a renewal that fails is repeated", (t) => {
  const { run, running, last, tested } = setUp(t);
  last("a").events.picture();
  tested.renew();
  last("a").events.failed({ reason: "connection" });
  run(4000);
  assert.deepEqual(running(), ["a0"]);
  run(1500);
  assert.deepEqual(running(), ["a0", "a2"]);
  last("a").events.picture();
  run(20_000);
  assert.deepEqual(running(), ["a2"]);
});

test("events of a transport that was stopped are ignored", (t) => {
  const { last, log, tested } = setUp(t);
  const old = last("a");
  tested.end();
  old.events.picture();
  old.events.failed({ reason: "connection" });
  old.events.away(true);
  assert.deepEqual(log, ["release a0"]);
});

test("a transport that is the only one is started again if it gets nothing", (t) => {
  const all = setUp(t, { names: ["a"] });
  const { run, running, last, tested } = all;
  last("a").events.media();
  last("a").events.picture();
  run(1000);
  last("a").events.media();
  run(1400, true);
  assert.deepEqual(running(), ["a0"]);
  run(1700, true);
  assert.deepEqual(running(), ["a0", "a1"]);
  // The picture moves again.
  run(200);
  assert.deepEqual(running(), ["a0"]);
  run(1700, true);
  assert.deepEqual(running(), ["a0", "a2"]);
  // The frames that the service has kept do not show that the connection is the cause.
  last("a").events.media();
  last("a").events.picture();
  run(1000, true);
  assert.deepEqual(running(), ["a0", "a2"]);
  last("a").events.media();
  assert.deepEqual(running(), ["a2"]);
  assert.equal(tested.retries.reason("a"), undefined);
});

test("the only transport is not started again while its frames are rare, or left out by the service", (t) => {
  const { run, running, last, made } = setUp(t, { names: ["a"] });
  last("a").events.media();
  last("a").events.picture();
  run(14_000, true, 5000);
  assert.deepEqual(running(), ["a0"]);
  run(16_000, true, 5000);
  assert.deepEqual(running(), ["a0", "a1"]);
  run(200);
  made[0].isSkipping = true;
  run(3000, true);
  assert.deepEqual(running(), ["a0"]);
  made[0].isSkipping = false;
  run(1000, true);
  assert.deepEqual(running(), ["a0", "a2"]);
});
