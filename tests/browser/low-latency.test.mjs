// Tests that video plays without stalls. The tests play for a long time, because rare stalls appear only
// after a while.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { stage } from "./support/stage.mjs";
import { until } from "./support/until.mjs";
import { SECONDS } from "./support/viewer.mjs";

const HLS = new URL("../../nginx/web/node_modules/hls.js/dist/hls.min.js", import.meta.url);
/**
 * Playing time in seconds. 40 s are enough to notice a stall that recurs every few segments. PLAY_SECONDS sets
 * a longer time, to find rarer stalls.
 */
const PLAYING_SECONDS = Number(process.env.PLAY_SECONDS || 40);
/**
 * Largest allowed latency of a player without low-latency mode, in seconds. Such a player stays at least three
 * segments (6 s) behind the end of the playlist.
 */
const MAX_PLAIN_SECONDS = 15;

describe("hls.js", () => {
  const on = stage();

  test(`plays for ${PLAYING_SECONDS} s in low-latency mode without an error or a stall`, async (t) => {
    const viewer = await on.visit(t, on.service.page, { transport: "hls" });
    await viewer.sees("live");
    await viewer.watches(2);
    await viewer.page.evaluate(recordProblems);
    const begin = (await viewer.video()).currentTime;
    await sleep(PLAYING_SECONDS * 1000);

    assert.deepEqual(await viewer.page.evaluate(() => globalThis.playerProblems), []);
    assert.deepEqual(viewer.problems, []);
    const played = (await viewer.video()).currentTime - begin;
    assert.ok(Math.abs(played - PLAYING_SECONDS) < 2, `played ${played} s of video`);
    const age = Date.now() - (await viewer.pictureTime());
    assert.ok(age < 1500, `the picture is ${age} ms old`);
    assert.match(await viewer.tile().locator(".latency").textContent(), /^0\.\d s behind$/);
  });

  test("plays without an error or a stall if low-latency mode is off", async (t) => {
    // The status view has no player, so the test's player is the only one.
    const viewer = await on.visit(t, "#/status");
    await on.service.start("demo");
    await until(
      "a playlist that is long enough for a player without low-latency mode",
      SECONDS,
      async () => {
        return (await on.service.status("demo")).uptime_seconds > MAX_PLAIN_SECONDS;
      },
    );
    await viewer.page.evaluate(readFileSync(HLS, "utf8"));
    await viewer.page.evaluate(playWithoutLowLatency, "/streams/demo/index.m3u8");
    await until("a picture", SECONDS, () => viewer.pictureTime());
    await viewer.page.evaluate(recordProblems);
    await viewer.watches(10);
    assert.deepEqual(await viewer.page.evaluate(() => globalThis.playerProblems), []);
    const age = Date.now() - (await viewer.pictureTime());
    assert.ok(age < MAX_PLAIN_SECONDS * 1000, `the picture is ${age} ms old`);
  });
});

/** Runs in the page: records all errors of hls.js and stalls of the video from now on. */
function recordProblems() {
  const video = document.querySelector("video");
  globalThis.playerProblems = [];
  // The page passes the errors of hls.js to the video element.
  video.addEventListener("hlserror", ({ detail }) => globalThis.playerProblems.push(detail));
  globalThis.plain?.on(globalThis.Hls.Events.ERROR, (_, { details, fatal }) => {
    // Without low-latency mode, hls.js sends playlist requests that wait until the next segment is complete.
    // Sometimes hls.js reaches its own time limit before that. hls.js then repeats the request at
    // once, so this error does not interrupt the video.
    if (fatal || details !== "levelLoadTimeOut") {
      globalThis.playerProblems.push(details);
    }
  });
  video.addEventListener("waiting", () => globalThis.playerProblems.push("waiting"));
}

/** Runs in the page: plays `url` with hls.js in a new video element, without low-latency mode. */
function playWithoutLowLatency(url) {
  const video = document.body.appendChild(document.createElement("video"));
  video.muted = true;
  globalThis.plain = new globalThis.Hls({ lowLatencyMode: false, enableWorker: false });
  globalThis.plain.loadSource(url);
  globalThis.plain.attachMedia(video);
  return video.play();
}
