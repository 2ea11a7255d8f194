// Tests of TransportSwitch, which changes between transports, with simulated transports and a simulated clock.
import assert from "node:assert/strict";
import { mock, test } from "node:test";

import { load } from "./support/load.mjs";

globalThis.document = { hidden: false };
const { TransportSwitch } = await load("player/switch.ts");
const { Turns } = await load("player/turns.ts");

const BEAT_MS = 100;

/** Returns a switch with simulated transports `a`, `b` and `c`, from the best to the worst. */
function setUp(t, { turns = new Turns(), names = ["a", "b", "c"] } = {}) {
  let now = 1000;
  mock.method(performance, "now", () => now);
  t.after(() => mock.restoreAll());
  const log = [];
  const made = [];
  const visible = { element: null };
  const screen = {
    show: (element) => (visible.element = element),
    release: (element) => log.push(`release ${element}`),
  };
  const sound = { isOn: false };
  const make = (name) => (job, events) => {
    const hasAudio = job.sound.isOn;
    const transport = {
      name,
      element: `${name}${made.filter((other) => other.name === name).length}`,
      isRunning: false,
      events,
      sound: job.sound,
      motion: { currentTime: 0 },
      applySound: () => hasAudio || !job.sound.isOn,
      start: () => (transport.isRunning = true),
      stop: () => (transport.isRunning = false),
    };
    made.push(transport);
    return transport;
  };
  const host = {
    onShown: () => log.push(`shown ${visible.element}`),
    onHiding: () => log.push("hiding"),
    onProblem: ({ code }) => log.push(`problem ${code}`),
    onExhausted: (reason, cause) => log.push(`exhausted ${cause?.code ?? reason}`),
    events: { away: (isAway) => log.push(isAway ? "away" : "back"), media: () => undefined },
  };
  const tested = new TransportSwitch(screen, make, () => ({ sound }), host, turns);
  /** Lets time pass, in which the picture moves, or has stopped. `interval` is the time between two frames. */
  const run = (milliseconds, isStopped = false, interval = 0) => {
    for (const begin = now; now < begin + milliseconds; ) {
      now += BEAT_MS;
      tested.keepUp(now, isStopped ? now - begin : 0, interval);
    }
  };
  const running = () => made.filter(({ isRunning }) => isRunning).map(({ element }) => element);
  const last = (name) => made.findLast((transport) => transport.name === name);
  tested.begin(names);
  return { tested, run, running, last, log, visible, made, sound };
}

/** Lets the newest transport of this name show its first picture, and get media that is newer than its beginning. */
function revive({ last, run }, name) {
  last(name).events.picture();
  run(600, true);
  last(name).events.media();
}

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
  last("c").events.picture();
  run(2000, true);
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

test("events of a transport that was stopped are ignored", (t) => {
  const { last, log, tested } = setUp(t);
  const old = last("a");
  tested.end();
  old.events.picture();
  old.events.failed({ reason: "connection" });
  old.events.away(true);
  assert.deepEqual(log, ["release a0"]);
});

const PROBLEM = { reason: "connection", problem: { code: "source_unreachable", detail: null } };

test("a pause of the camera is not blamed on the transport", (t) => {
  const { run, running, last, log, tested } = setUp(t);
  last("a").events.picture();
  run(1000, true);
  assert.deepEqual(running(), ["a0", "b0"]);
  // The service sends the frames that it has kept, and then nothing.
  last("b").events.media();
  last("b").events.picture();
  last("b").events.media();
  run(3000, true);
  assert.deepEqual(running(), ["a0", "b0"]);
  run(200);
  assert.deepEqual(running(), ["a0"]);
  assert.equal(tested.retries.reason("a"), undefined);
  assert.deepEqual(log, ["shown a0", "release b0"]);
});

test("a transport that gets what the visible one does not get replaces it", (t) => {
  const all = setUp(t);
  const { run, running, last, tested } = all;
  last("a").events.picture();
  run(1000, true);
  revive(all, "b");
  assert.deepEqual(running(), ["b0"]);
  assert.equal(tested.retries.reason("a"), "stalled");
});

test("the frame rate decides when a picture has stopped", (t) => {
  const { run, running, last } = setUp(t);
  last("a").events.picture();
  run(2000, true, 1000);
  assert.deepEqual(running(), ["a0"]);
  run(3000, true, 1000);
  assert.deepEqual(running(), ["a0", "b0"]);
});

test("while the camera is away, as any transport reports it, nothing is started or blamed", (t) => {
  const { run, running, last, log, tested } = setUp(t);
  last("a").events.picture();
  run(1000, true);
  last("b").events.away(true);
  assert.equal(tested.isAway, true);
  run(60_000, true);
  assert.deepEqual(running(), ["a0", "b0"]);
  last("b").events.away(false);
  run(300);
  assert.deepEqual(running(), ["a0"]);
  assert.equal(tested.retries.reason("b"), undefined);
  assert.deepEqual(log, ["shown a0", "away", "back", "release b0"]);
});

test("a failure that one of several attempts reports does not end the others", (t) => {
  const { run, running, last, log } = setUp(t);
  run(1100);
  last("b").events.failed(PROBLEM);
  assert.deepEqual(running(), ["a0"]);
  last("a").events.picture();
  assert.deepEqual(log, ["release b0", "shown a0"]);
});

test("a failure that several attempts report is reported", (t) => {
  const { run, last, log, running } = setUp(t);
  run(1100);
  last("b").events.failed(PROBLEM);
  last("a").events.failed(PROBLEM);
  assert.deepEqual(running(), []);
  assert.equal(log.at(-1), "problem source_unreachable");
});

test("if all transports fail, the failure that one of them has reported is the reason", (t) => {
  const { tested, last, log } = setUp(t);
  tested.begin(["a"]);
  last("a").events.failed({ reason: "connection", cause: { code: "disk_full", detail: null } });
  assert.equal(log.at(-1), "exhausted disk_full");
});

test("tiles take turns to try other transports", (t) => {
  const turns = new Turns(1);
  const [one, other] = [setUp(t, { turns }), setUp(t, { turns })];
  for (const { run } of [one, other]) {
    run(1100);
  }
  assert.deepEqual(one.running(), ["a0", "b0"]);
  assert.deepEqual(other.running(), ["a0"]);
  one.last("b").events.picture();
  other.run(200);
  assert.deepEqual(other.running(), ["a0", "b0"]);
  // A failure needs no turn.
  other.last("a").events.failed({ reason: "connection" });
  one.last("a").events.failed({ reason: "connection" });
  one.last("b").events.failed({ reason: "connection" });
  assert.deepEqual(one.running(), ["c0"]);
});

test("MJPEG is the last choice", (t) => {
  const { run, running, last } = setUp(t, { names: ["a", "mjpeg"] });
  run(5000);
  assert.deepEqual(running(), ["a0"]);
  last("a").events.failed({ reason: "connection" });
  assert.deepEqual(running(), ["mjpeg0"]);
});

test("a late transport is overtaken by one with another connection", (t) => {
  const { run, running, last } = setUp(t, { names: ["webcodecs", "mse", "hls"] });
  run(1100);
  assert.deepEqual(running(), ["webcodecs0", "hls0"]);
  last("webcodecs").events.failed({ reason: "connection" });
  last("hls").events.failed({ reason: "connection" });
  assert.deepEqual(running(), ["mse0"]);
});

test("the sound of an attempt follows the tile, and is heard only when the attempt is visible", (t) => {
  const { run, running, last, sound, tested } = setUp(t);
  sound.isOn = true;
  tested.applySound();
  assert.deepEqual(running(), ["a1"]);
  last("a").events.picture();
  assert.equal(last("a").sound.isHidden, false);
  run(1000, true);
  assert.equal(last("b").sound.isOn, true);
  assert.equal(last("b").sound.isHidden, true);
});

test("sound that is switched on during a renewal is not lost", (t) => {
  const { running, last, sound, tested } = setUp(t);
  last("a").events.picture();
  tested.renew();
  sound.isOn = true;
  tested.applySound();
  assert.deepEqual(running(), ["a0", "a2"]);
  last("a").events.picture();
  assert.deepEqual(running(), ["a2"]);
});

test("another stream takes over at its first picture", (t) => {
  const { running, last, log, run, tested } = setUp(t);
  last("a").events.picture();
  tested.leave();
  run(3000);
  assert.deepEqual(running(), ["a0"]);
  tested.handOver(["a", "b", "c"]);
  assert.deepEqual(running(), ["a0", "a1"]);
  run(1100);
  assert.deepEqual(running(), ["a0", "a1", "b0"]);
  last("b").events.picture();
  assert.deepEqual(running(), ["a1", "b0"]);
  assert.deepEqual(log, ["shown a0", "release a0", "shown b0"]);
});

test("the end of the old stream does not end the change to another one", (t) => {
  const { running, last, log, tested } = setUp(t);
  const old = last("a");
  old.events.picture();
  tested.handOver(["a", "b"]);
  old.events.failed(PROBLEM);
  assert.deepEqual(running(), ["a1"]);
  last("a").events.picture();
  assert.deepEqual(log, ["shown a0", "hiding", "release a0", "shown a1"]);
});

test("a transport that needs another connection is replaced without a gap", (t) => {
  const { running, last, tested } = setUp(t);
  last("a").events.renew();
  assert.deepEqual(running(), ["a1"]);
  last("a").events.picture();
  last("a").events.renew();
  assert.deepEqual(running(), ["a1", "a2"]);
  last("a").events.picture();
  assert.deepEqual(running(), ["a2"]);
  assert.deepEqual(
    [...tested.failures()],
    [
      ["b", "not_needed"],
      ["c", "not_needed"],
    ],
  );
});
