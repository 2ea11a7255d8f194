// Tests the page in WebKitGTK, whose media engine is GStreamer: that the page plays, and that it shows new pictures
// after interruptions.
import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { Camera } from "./support/camera.mjs";
import { Parts } from "./support/parts.mjs";
import { until } from "./support/until.mjs";
import { SECONDS } from "./support/viewer.mjs";
import { WebKit } from "./support/webkit.mjs";

/** `./deploy/test --long` also runs the tests that take more than 20 seconds. */
const IS_LONG = Boolean(process.env.LONG_TESTS);
/** The time within which the page must show new pictures. Without a graphics card, WebKitGTK starts to play slowly. */
const CONTINUES_SECONDS = 20;
/** The number of presented pictures after which the video counts as playing. */
const PICTURES = 5;

describe("the page in WebKitGTK", { skip: !IS_LONG, concurrency: false }, () => {
  /** Starts a service with a camera, opens the camera on the page, and waits until the page has played. */
  async function watch(t) {
    const camera = await Camera.startFor(t, 0, ["--running", "h264"]);
    const parts = await Parts.start();
    t.after(() => parts.end());
    const put = await fetch(`${parts.origin}/api/cameras/cam`, {
      method: "PUT",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ rtsp_link: camera.link }),
    });
    assert.ok(put.ok);
    const page = await WebKit.openFor(t, `${parts.origin}/#/?cameras=cam`);
    await until("a tile", SECONDS, () => page.evaluate(countPictures));
    await shows(page, SECONDS);
    return { parts, page };
  }

  /** Waits until the tile is live and has presented several new pictures. */
  async function shows(page, seconds) {
    await page.evaluate(() => {
      globalThis.pictures = 0;
    });
    const has = (count) =>
      document.querySelector(".tile").dataset.state === "live" && globalThis.pictures >= count;
    await until("pictures", seconds, () => page.evaluate(has, PICTURES));
  }

  for (const signal of ["SIGTERM", "SIGKILL"]) {
    test(`shows pictures after a restart of the manager with ${signal}`, async (t) => {
      const { parts, page } = await watch(t);
      parts.manager.signal(signal);
      await parts.manager.waitForExit(20);
      await parts.startManager();
      await shows(page, CONTINUES_SECONDS);
    });
  }

  test("shows pictures after the stream was stopped", async (t) => {
    const { parts, page } = await watch(t);
    const body = JSON.stringify({ indicator_id: "cam" });
    await fetch(`${parts.origin}/api/stream/stop`, { method: "POST", body });
    await shows(page, CONTINUES_SECONDS);
  });
});

/** Runs in the page: counts the pictures that the tile presents. Returns whether there is a tile. */
function countPictures() {
  if (!document.querySelector(".tile")) {
    return false;
  }
  globalThis.pictures = 0;
  const { drawImage } = CanvasRenderingContext2D.prototype;
  CanvasRenderingContext2D.prototype.drawImage = function draw(...parameters) {
    globalThis.pictures += this.canvas.closest?.(".screen") ? 1 : 0;
    return drawImage.apply(this, parameters);
  };
  // The player adds video elements when it changes to another transport.
  const observed = new Set();
  const observe = (video) => {
    observed.add(video);
    const count = () => {
      globalThis.pictures += 1;
      video.requestVideoFrameCallback(count);
    };
    video.requestVideoFrameCallback(count);
  };
  setInterval(() => {
    const videos = [...document.querySelectorAll(".screen > video")];
    videos.filter((video) => !observed.has(video)).forEach(observe);
  }, 20);
  return true;
}
