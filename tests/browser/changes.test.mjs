// Tests that a tile keeps its picture when it changes to another stream or transport, that cameras with few frames play,
// and the sound and the full screen of each transport.
import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { Camera } from "./support/camera.mjs";
import { stage } from "./support/stage.mjs";
import { until, untilEqual } from "./support/until.mjs";
import { readClock, SECONDS } from "./support/viewer.mjs";

/** `./deploy/test --long` also runs the tests of the transports that share their code with others. */
const IS_LONG = Boolean(process.env.LONG_TESTS);
const SETTINGS = { WEBRTC_PORT: "0", WEBRTC_ADDRESSES: "127.0.0.1" };
const TRANSPORTS = ["webcodecs", "webrtc", "mse", "hls", "mjpeg"];
/** The picture may stop for this time when a tile changes, in milliseconds. A busy machine needs a margin. */
const MAX_PAUSE_MS = 1000;
/** No visible picture may be older than this, in milliseconds. */
const MAX_AGE_MS = 1000;

/** Waits until the first tile plays by a transport. */
function uses(viewer, transport, id) {
  return until(`a picture by ${transport}`, SECONDS, async () => {
    const { state } = (await viewer.describe(id)) ?? {};
    return state === "live" && (await viewer.transport(id)) === transport;
  });
}

/** Runs in the page: observes a tile at each frame of the page, and notes when it is not live or has no picture. */
function observe(id) {
  const tile = document.querySelector(`.tile[data-camera="${id}"]`);
  const faults = new Set();
  globalThis.faults = faults;
  const look = () => {
    const shown = tile.querySelector(".screen > [data-shown]");
    // While a video seeks, its old picture remains.
    const hasPicture =
      shown instanceof HTMLVideoElement
        ? shown.videoWidth > 0 && (shown.readyState >= 2 || shown.seeking)
        : "picture" in shown.dataset;
    if (!hasPicture) {
      faults.add("no picture");
    }
    if (tile.dataset.state !== "live") {
      faults.add(tile.dataset.state);
    }
    requestAnimationFrame(look);
  };
  look();
}

/** Runs in the page: notes the greatest age of the pictures that the tile shows by WebRTC, in milliseconds. */
function observeAge() {
  globalThis.oldest = 0;
  const look = () => {
    if (document.querySelector(".screen > [data-shown]").srcObject) {
      const age = (Date.now() - (globalThis.readClock() ?? Date.now())) >>> 0;
      globalThis.oldest = Math.max(globalThis.oldest, age);
    }
    requestAnimationFrame(look);
  };
  look();
}

describe("a tile", { concurrency: false }, () => {
  const on = stage(SETTINGS);

  /** Adds a camera whose main stream is 640 pixels wide, and whose sub stream is 320 pixels wide. */
  async function putWithSub(t, id) {
    const small = ["--width", "320", "--height", "192"];
    const sub = await Camera.startFor(t, 0, ["--running", "h264", ...small]);
    await on.putCopy(id, { rtsp_link_sub: sub.link });
  }

  for (const transport of TRANSPORTS) {
    const skip = !IS_LONG && !["webcodecs", "webrtc"].includes(transport);
    const name = `keeps its picture when it changes between the streams of a camera (${transport})`;
    test(name, { skip }, async (t) => {
      const id = `levels-${transport}`;
      await putWithSub(t, id);
      // With five tiles, the wall shows the sub stream.
      const others = ["a", "b", "c", "d"].map((name) => `${id}-${name}`);
      const viewer = await on.visit(t, `#/?cameras=${[id, ...others]}`, { transport });
      await uses(viewer, transport, id);
      await viewer.watches(1);
      const width = () => viewer.pictureWidth();
      const isMain = transport === "mjpeg" ? null : 640;
      await viewer.page.evaluate(observe, id);
      const requested = () => viewer.requests.length;
      let longest = 0;
      const change = async (act, expected) => {
        const before = requested();
        await act();
        const begin = Date.now();
        let last = await viewer.pictureTime(id);
        let changedAt = begin;
        await until(`a picture of ${expected} pixels`, SECONDS, async () => {
          const time = await viewer.pictureTime(id);
          if (time > last) {
            longest = Math.max(longest, Date.now() - changedAt);
            [last, changedAt] = [time, Date.now()];
          }
          return isMain === null ? requested() > before : (await width()) === expected;
        });
      };
      await change(
        () => viewer.page.getByRole("button", { name: `Enlarge ${id}`, exact: true }).click(),
        640,
      );
      await viewer.watches(1);
      await change(() => viewer.page.keyboard.press("Escape"), 320);
      await viewer.watches(1);
      const faults = await viewer.page.evaluate(() => [...globalThis.faults]);
      assert.deepEqual(faults, []);
      t.diagnostic(`the picture stopped for at most ${longest} ms`);
      assert.ok(longest < MAX_PAUSE_MS, `the picture stopped for ${longest} ms`);
      await uses(viewer, transport, id);
    });
  }

  test("keeps its picture when the user chooses another transport", async (t) => {
    await on.putCopy("choosing");
    const viewer = await on.visit(t, "#/?cameras=choosing");
    await uses(viewer, "webcodecs");
    await viewer.page.evaluate(observe, "choosing");
    await viewer.tile().hover();
    await viewer.tile().getByRole("button", { name: "More about choosing" }).click();
    const details = viewer.page.getByRole("dialog");
    for (const transport of ["webrtc", "mse", "hls", "mjpeg", "webcodecs"]) {
      await details.getByLabel("Transport for this camera").selectOption(transport);
      await uses(viewer, transport);
      await viewer.watches(1);
    }
    assert.deepEqual(await viewer.page.evaluate(() => [...globalThis.faults]), []);
  });

  test("shows no old pictures when WebRTC replaces another transport", async (t) => {
    const camera = await Camera.startFor(t, 0, ["--running", "h264", "--gop-seconds", "10"]);
    await on.service.put("fresh", { rtsp_link: camera.link });
    const viewer = await on.visit(t, "#/?cameras=fresh");
    await uses(viewer, "webcodecs");
    // WebRTC begins with the frames since the last keyframe.
    camera.child.signal("SIGUSR1");
    await viewer.watches(3);
    await viewer.page.evaluate(`globalThis.readClock = ${readClock}`);
    await viewer.page.evaluate(observeAge);
    await viewer.tile().hover();
    await viewer.tile().getByRole("button", { name: "More about fresh" }).click();
    const details = viewer.page.getByRole("dialog");
    await details.getByLabel("Transport for this camera").selectOption("webrtc");
    await uses(viewer, "webrtc");
    await viewer.watches(1);
    const oldest = await viewer.page.evaluate(() => globalThis.oldest);
    t.diagnostic(`the oldest picture was ${oldest} ms old`);
    assert.ok(oldest < MAX_AGE_MS, `a picture was ${oldest} ms old`);
  });

  test("shows in the details why other transports are not in use", async (t) => {
    await on.putCopy("reasons");
    const viewer = await on.visit(t, "#/?cameras=reasons");
    await uses(viewer, "webcodecs");
    await viewer.tile().hover();
    await viewer.tile().getByRole("button", { name: "More about reasons" }).click();
    const details = viewer.page.getByRole("dialog");
    await details.getByText("WebRTC: not needed, because a better one plays").waitFor();
    await details
      .getByText(/WebSocket with WebCodecs, picture 0\.\d\d s old, \d.*bit\/s/)
      .waitFor();
  });

  for (const [perSecond, transports] of [
    ["5", ["webcodecs", "webrtc", "mse", "hls"]],
    ["1", ["webcodecs", "webrtc", "mse"]],
  ]) {
    test(`plays a camera with ${perSecond} frames per second`, {
      skip: !IS_LONG,
    }, async (t) => {
      const options = ["--running", "h264", "--fps", perSecond, "--gop-seconds", "4"];
      const { link } = await Camera.startFor(t, 0, options);
      for (const transport of transports) {
        const id = `fps-${perSecond}-${transport}`;
        await on.service.put(id, { rtsp_link: link });
        const viewer = await on.visit(t, `#/?cameras=${id}`, { transport });
        await uses(viewer, transport);
        await viewer.page.evaluate(observe, id);
        await viewer.watches(6);
        assert.deepEqual(await viewer.page.evaluate(() => [...globalThis.faults]), [], transport);
        await viewer.close();
      }
      // The tile takes each of them by itself, and does not leave it.
      const id = `fps-${perSecond}-auto`;
      await on.service.put(id, { rtsp_link: link });
      const viewer = await on.visit(t, `#/?cameras=${id}`);
      await uses(viewer, "webcodecs");
      await viewer.watches(8);
      assert.equal(await viewer.transport(), "webcodecs");
      assert.ok(!viewer.requests.some((url) => /whep|stream\.m3u8/.test(url)));
    });
  }

  for (const [transport, mount] of [
    ["webcodecs", "h264-pcmu"],
    ["webrtc", "h264-pcmu"],
    ["mse", "h264-aac"],
    ["hls", "h264-aac"],
  ]) {
    const skip = !IS_LONG && !["webcodecs", "mse"].includes(transport);
    test(`plays the sound of a camera only while it is on (${transport})`, { skip }, async (t) => {
      const camera = await Camera.startFor(t, 0, ["--running", mount]);
      const id = `hears-${transport}`;
      await on.service.put(id, { rtsp_link: `rtsp://127.0.0.1:${camera.port}/${mount}` });
      const viewer = await on.visit(t, "#/status", { transport });
      await viewer.page.addInitScript(() => {
        globalThis.heard = 0;
        const { createBufferSource } = AudioContext.prototype;
        AudioContext.prototype.createBufferSource = function (...args) {
          globalThis.heard += 1;
          return createBufferSource.apply(this, args);
        };
      });
      await viewer.page.goto(`${on.service.origin}/?page#/?cameras=${id}`);
      await uses(viewer, transport);
      await viewer.page.evaluate(observe, id);
      const sounds = () =>
        viewer.page.evaluate(() => {
          const videos = [...document.querySelectorAll(".screen > video")];
          const loud = videos.filter((video) => !video.muted && (video.src || video.srcObject));
          return { loud: loud.length, volume: loud[0]?.volume ?? null, heard: globalThis.heard };
        });
      assert.deepEqual(await sounds(), { loud: 0, volume: null, heard: 0 });
      await viewer.tile().hover();
      await viewer.tile().getByRole("button", { name: "Unmute" }).click();
      await viewer.tile().getByLabel("Volume").fill("0.5");
      await until("the sound", SECONDS, async () => {
        const { loud, volume, heard } = await sounds();
        assert.ok(loud <= 1, "the sound is heard twice");
        return transport === "webcodecs" ? heard > 20 : loud === 1 && volume === 0.5;
      });
      await viewer.watches(2);
      await viewer.tile().getByRole("button", { name: "Mute", exact: true }).click();
      await until("silence", SECONDS, async () => (await sounds()).loud === 0);
      assert.equal(await viewer.page.evaluate(() => localStorage.getItem("volume")), "0.5");
      assert.deepEqual(await viewer.page.evaluate(() => [...globalThis.faults]), []);
    });
  }

  test("fills the page if the browser has no full screen for a canvas, as on a phone", async (t) => {
    await on.putCopy("phone");
    const viewer = await on.visit(t, "#/status");
    await viewer.page.addInitScript(() => {
      Object.defineProperty(document, "fullscreenEnabled", { value: false });
      globalThis.entered = [];
      HTMLVideoElement.prototype.webkitEnterFullscreen = function () {
        globalThis.entered.push("shown" in this.dataset);
      };
    });
    await viewer.page.goto(`${on.service.origin}/?page#/?cameras=phone`);
    await uses(viewer, "webcodecs");
    await viewer.page.getByRole("img", { name: "phone" }).waitFor();
    await viewer.tile().hover();
    const fullScreen = viewer.tile().getByRole("button", { name: "Full screen" });
    await fullScreen.click();
    const box = () => viewer.tile().boundingBox();
    const whole = { x: 0, y: 0, ...viewer.page.viewportSize() };
    await untilEqual("the tile fills the page", SECONDS, box, whole);
    await viewer.page.keyboard.press("Escape");
    await until("the tile is back in the wall", SECONDS, async () => (await box()).y > 0);
    assert.deepEqual(await viewer.page.evaluate(() => globalThis.entered), []);
    // A video has the phone's own full screen.
    await viewer.page.evaluate(() =>
      localStorage.setItem("transports", JSON.stringify({ phone: "mse" })),
    );
    await viewer.page.reload();
    await uses(viewer, "mse");
    await viewer.tile().hover();
    await fullScreen.click();
    const entered = () => viewer.page.evaluate(() => globalThis.entered);
    await untilEqual("the full screen of the video", SECONDS, entered, [true]);
  });
});
