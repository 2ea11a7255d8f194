// Tests of what TransportSwitch blames on a transport, and of changes that the player requests.
import assert from "node:assert/strict";
import { test } from "node:test";

import { revive, setUp, Turns } from "./support/switch.mjs";

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

test("while the picture has stopped, transports that fail at once are tried again only every few seconds", (t) => {
  const { run, last, made, tested } = setUp(t);
  last("a").events.picture();
  for (let seconds = 0; seconds < 10; seconds += 1) {
    run(1000, true);
    for (let failures = 0; failures < 5; failures += 1) {
      last("b")?.events.failed({ reason: "connection" });
      last("c")?.events.failed({ reason: "connection" });
    }
  }
  // Both fail once, and then one of them every two to three seconds.
  assert.ok(made.length >= 6 && made.length <= 8, `${made.length}`);
  // The later attempts have not extended the pauses.
  for (const name of ["b", "c"]) {
    assert.equal(tested.retries.isPausing(name, performance.now()), true);
    assert.equal(tested.retries.isPausing(name, performance.now() + 4000), false);
  }
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

test("an attempt gives its turn to other tiles while the camera is away", (t) => {
  const turns = new Turns(1);
  const [one, other] = [setUp(t, { turns }), setUp(t, { turns })];
  one.last("a").events.picture();
  other.last("a").events.picture();
  one.run(1000, true);
  other.run(1000, true);
  assert.deepEqual(one.running(), ["a0", "b0"]);
  assert.deepEqual(other.running(), ["a0"]);
  one.last("b").events.away(true);
  one.run(200, true);
  other.run(1000, true);
  assert.deepEqual(other.running(), ["a0", "b0"]);
  assert.deepEqual(one.running(), ["a0", "b0"]);
});

test("an attempt that waits for a camera that starts gives its turn to other tiles", (t) => {
  const turns = new Turns(1);
  const [one, other] = [setUp(t, { turns }), setUp(t, { turns })];
  one.tested.begin(["a", "b", "c"], false);
  one.run(1100);
  one.last("b").events.accepted();
  other.run(1100);
  assert.deepEqual(one.running(), ["a1", "b0"]);
  assert.deepEqual(other.running(), ["a0", "b0"]);
});

test("MJPEG is the last choice", (t) => {
  const { run, running, last } = setUp(t, { names: ["webcodecs", "mse", "mjpeg"] });
  run(1100);
  assert.deepEqual(running(), ["webcodecs0", "mse0"]);
  last("mse").events.failed({ reason: "connection" });
  last("webcodecs").events.failed({ reason: "connection" });
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

test("a transport that cannot play the sound is replaced by one that can", (t) => {
  const { run, running, last, sound, tested, visible } = setUp(t);
  last("a").events.picture();
  sound.isOn = true;
  tested.applySound();
  last("a").events.soundless();
  last("a").events.picture();
  assert.deepEqual(running(), ["a1"]);
  run(2200);
  assert.deepEqual(running(), ["a1", "b0"]);
  // A failure of that one is not the end.
  last("b").events.failed({ reason: "connection" });
  run(200);
  assert.deepEqual(running(), ["a1", "c0"]);
  last("c").events.picture();
  assert.equal(visible.element, "c0");
  assert.equal(tested.retries.reason("a"), "codec");
  // A later attempt, after the pause, ends as soon as it is known that the sound still cannot be played.
  while (last("a").element === "a1") {
    run(1000);
  }
  assert.ok(running().includes("a2"));
  last("a").events.soundless();
  assert.ok(!running().includes("a2"));
  assert.equal(visible.element, "c0");
});

test("without sound, and without another transport, the picture plays on", (t) => {
  const { run, running, last, sound, tested } = setUp(t, { names: ["a", "mjpeg"] });
  sound.isOn = true;
  tested.applySound();
  last("a").events.soundless();
  last("a").events.picture();
  run(20_000);
  assert.deepEqual(running(), ["a1"]);
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
  tested.begin(["a", "b", "c"]);
  assert.deepEqual(running(), ["a0", "a1"]);
  run(1100);
  assert.deepEqual(running(), ["a0", "a1", "b0"]);
  last("b").events.picture();
  assert.deepEqual(running(), ["a1", "b0"]);
  assert.deepEqual(log, ["shown a0", "release a0", "shown b0"]);
});

test("a change to another stream can be given up", (t) => {
  const { running, last, tested } = setUp(t);
  last("a").events.picture();
  tested.begin(["a", "b"]);
  assert.deepEqual(running(), ["a0", "a1"]);
  tested.stay();
  assert.deepEqual(running(), ["a0"]);
  tested.renew();
  assert.deepEqual(running(), ["a0", "a2"]);
});

test("the end of the old stream does not end the change to another one", (t) => {
  const { running, last, log, tested } = setUp(t);
  const old = last("a");
  old.events.picture();
  tested.begin(["a", "b"]);
  old.events.failed(PROBLEM);
  assert.deepEqual(running(), ["a1"]);
  last("a").events.picture();
  assert.deepEqual(log, ["shown a0", "hiding", "release a0", "shown a1"]);
});

test("a new permission renews each transport but hls.js", (t) => {
  const { last, running, tested } = setUp(t, { names: ["native", "hls"] });
  last("native").events.picture();
  tested.renew(true);
  assert.deepEqual(running(), ["native0", "native1"]);
  tested.begin(["hls"]);
  last("hls").events.picture();
  tested.renew(true);
  assert.deepEqual(running(), ["hls0"]);
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
