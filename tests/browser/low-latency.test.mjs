// Playing for long, since occasional stalls show only after a while.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { stage } from "./support/stage.mjs";
import { until } from "./support/until.mjs";
import { SECONDS } from "./support/viewer.mjs";

const HLS = new URL("../../nginx/web/node_modules/hls.js/dist/hls.min.js", import.meta.url);
/**
 * Long enough for stalls at every segment or every few segments. PLAY_SECONDS sets a longer time, for
 * those that are rare.
 */
const LONG_SECONDS = Number(process.env.PLAY_SECONDS || 40);
/** Latency of a player without low latency: three segments of two seconds, and a segment to load. */
const PLAIN_SECONDS = 15;

describe("hls.js", () => {
  const on = stage();

  test(`plays for ${LONG_SECONDS} s in low-latency mode without an error or a stall`, async (t) => {
    const viewer = await on.visit(t, on.service.page);
    await viewer.sees("live");
    await viewer.watches(2);
    await viewer.page.evaluate(recordTroubles);
    const begin = (await viewer.video()).currentTime;
    await sleep(LONG_SECONDS * 1000);

    assert.deepEqual(await viewer.page.evaluate(() => globalThis.troubles), []);
    assert.deepEqual(viewer.problems, []);
    const played = (await viewer.video()).currentTime - begin;
    assert.ok(Math.abs(played - LONG_SECONDS) < 2, `${played} s played`);
    const age = Date.now() - (await viewer.pictureTime());
    assert.ok(age < 1500, `the picture is ${age} ms old`);
    assert.match(await viewer.tile().locator(".latency").textContent(), /^0\.\d s behind$/);
  });

  test("plays the same stream without low-latency mode", async (t) => {
    // A view without a player.
    const viewer = await on.visit(t, "#/status");
    await on.service.start("demo");
    await until("a playlist that is long enough for such players", SECONDS, async () => {
      return (await on.service.status("demo")).uptime_seconds > PLAIN_SECONDS;
    });
    await viewer.page.evaluate(readFileSync(HLS, "utf8"));
    await viewer.page.evaluate(playPlainly, "/streams/demo/index.m3u8");
    await until("a picture", SECONDS, () => viewer.pictureTime());
    await viewer.page.evaluate(recordTroubles);
    await viewer.watches(10);
    assert.deepEqual(await viewer.page.evaluate(() => globalThis.troubles), []);
    const age = Date.now() - (await viewer.pictureTime());
    assert.ok(age < PLAIN_SECONDS * 1000, `the picture is ${age} ms old`);
  });
});

/** In the page: records the errors of hls.js and the stalls of the video from now on. */
function recordTroubles() {
  const video = document.querySelector("video");
  globalThis.troubles = [];
  // The page passes the errors of hls.js to the video element.
  video.addEventListener("hlserror", ({ detail }) => globalThis.troubles.push(detail));
  globalThis.plain?.on(globalThis.Hls.Events.ERROR, (_, { details, fatal }) => {
    // Without low latency, hls.js requests a whole future segment, and by its phase allows less time
    // than the segment takes; it repeats the request at once. What matters is that the picture continues.
    if (fatal || details !== "levelLoadTimeOut") {
      globalThis.troubles.push(details);
    }
  });
  video.addEventListener("waiting", () => globalThis.troubles.push("waiting"));
}

/** In the page: plays like other pages, independently of the page's own player. */
function playPlainly(url) {
  const video = document.body.appendChild(document.createElement("video"));
  video.muted = true;
  globalThis.plain = new globalThis.Hls({ lowLatencyMode: false, enableWorker: false });
  globalThis.plain.loadSource(url);
  globalThis.plain.attachMedia(video);
  return video.play();
}
