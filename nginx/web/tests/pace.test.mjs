// Tests of Pace, which chooses the speed and the position of live video.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { mock, test } from "node:test";

import { transformWithEsbuild } from "vite";

const FILE = new URL("../src/player/pace.ts", import.meta.url);
const BEAT_MS = 200;
/** Target latency of the simulated hls.js, in seconds. */
const TARGET = 0.3;

const { code } = await transformWithEsbuild(readFileSync(FILE, "utf8"), FILE.pathname);
const { Pace } = await import(`data:text/javascript,${encodeURIComponent(code)}`);

/** Creates a Pace. Returns its simulated hls.js and video, and a function that lets time pass for them. */
function setUp(t, { latency, buffered = 10, isLowLatency = true, hasAudio = false }) {
  let now = 1000;
  mock.method(performance, "now", () => now);
  t.after(() => mock.restoreAll());
  const video = { currentTime: 50, paused: false, seeking: false, playbackRate: 1 };
  video.buffered = { length: 1, end: () => video.currentTime + buffered };
  const hls = {
    latency,
    targetLatency: TARGET,
    get liveSyncPosition() {
      return video.currentTime + hls.latency - TARGET;
    },
  };
  const pace = new Pace(video, hls, isLowLatency);
  pace.hasAudio = hasAudio;
  /** Lets time pass, in which the video plays or stalls. Returns the speeds that were set, without repetitions. */
  const run = (milliseconds, isMoving = true) => {
    const rates = new Set();
    for (const end = now + milliseconds; now < end; now += BEAT_MS) {
      video.currentTime += isMoving ? BEAT_MS / 1000 : 0;
      pace.keep();
      rates.add(video.playbackRate);
    }
    return [...rates];
  };
  return { hls, video, run };
}

test("video that is late is played faster, but only with enough buffered video", (t) => {
  assert.deepEqual(setUp(t, { latency: 0.6 }).run(2000), [1.1]);
  assert.deepEqual(setUp(t, { latency: 0.6, buffered: 0.1 }).run(2000), [1]);
  assert.deepEqual(setUp(t, { latency: 0.36 }).run(2000), [1.1]);
  assert.deepEqual(setUp(t, { latency: 0.34 }).run(2000), [1]);
});

test("video with audio keeps a larger buffer", (t) => {
  assert.deepEqual(setUp(t, { latency: 0.49, hasAudio: true }).run(2000), [1]);
  assert.deepEqual(setUp(t, { latency: 0.5 }).run(2000), [1.1]);
  assert.deepEqual(setUp(t, { latency: 0.8, buffered: 0.25, hasAudio: true }).run(2000), [1]);
});

test("video is not played faster for ten seconds after a stall", (t) => {
  const { run } = setUp(t, { latency: 1 });
  assert.deepEqual(run(2000), [1.1]);
  run(1000, false);
  assert.deepEqual(run(9000), [1]);
  run(2000);
  assert.deepEqual(run(2000), [1.1]);
});

test("a seek is not a stall", (t) => {
  const { video, run } = setUp(t, { latency: 1 });
  run(2000);
  video.seeking = true;
  run(1000, false);
  video.seeking = false;
  assert.deepEqual(run(2000), [1.1]);
});

test("video that has just begun is played faster if it is late", (t) => {
  const { run } = setUp(t, { latency: 1 });
  run(1000, false);
  assert.deepEqual(run(2000), [1.1]);
});

test("video that is far behind jumps to the target", (t) => {
  const { hls, video, run } = setUp(t, { latency: 5 });
  run(BEAT_MS);
  assert.ok(video.currentTime > 54, `${video.currentTime}`);
  hls.latency = TARGET;
  const before = video.currentTime;
  run(BEAT_MS);
  assert.ok(Math.abs(video.currentTime - before) < 0.3);
});

test("video jumps to a target that is not buffered only if it is very far behind", (t) => {
  const { video, run } = setUp(t, { latency: 5, buffered: 0.5 });
  run(BEAT_MS);
  assert.ok(video.currentTime < 51, `${video.currentTime}`);
  const lost = setUp(t, { latency: 20, buffered: 0.5 });
  lost.run(BEAT_MS);
  assert.ok(lost.video.currentTime > 69, `${lost.video.currentTime}`);
});

test("video with audio jumps to its own target, which is further behind", (t) => {
  const jump = (hasAudio) => {
    const { video, run } = setUp(t, { latency: 5, hasAudio });
    run(BEAT_MS);
    return video.currentTime;
  };
  assert.ok(Math.abs(jump(false) - jump(true) - 0.15) < 0.01);
});

test("video does not jump back to a target before its position", (t) => {
  const { hls, video, run } = setUp(t, { latency: 20 });
  Object.defineProperty(hls, "liveSyncPosition", { value: 40 });
  run(1000);
  assert.ok(video.currentTime > 50, `${video.currentTime}`);
});

test("paused video is not adjusted", (t) => {
  const { video, run } = setUp(t, { latency: 5 });
  video.paused = true;
  assert.deepEqual(run(1000, false), [1]);
  assert.equal(video.currentTime, 50);
});

test("without low latency, video that is early is played slower", (t) => {
  assert.deepEqual(setUp(t, { latency: -1, isLowLatency: false }).run(2000), [0.8]);
  assert.deepEqual(setUp(t, { latency: -1 }).run(2000), [1]);
});
