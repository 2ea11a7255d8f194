// Tests what the page shows if the viewer's connection is too slow for the video.
import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { Camera } from "./support/camera.mjs";
import { freePort } from "./support/port.mjs";
import { SlowLine } from "./support/slow-line.mjs";
import { stage } from "./support/stage.mjs";
import { until } from "./support/until.mjs";
import { SECONDS, Viewer } from "./support/viewer.mjs";

/** `./deploy/test --long` also runs the tests that take more than 20 seconds. */
const IS_LONG = Boolean(process.env.LONG_TESTS);
/** Bit rates in kbit/s. */
const MAIN_RATE = 4000;
const SUB_RATE = 120;
const LINE_RATE = 400;
/** The time within which the page must react to a connection that has become slow. */
const REACTS_SECONDS = 10;
/** The time within which the video must return when the connection is fast again. */
const RETURNS_SECONDS = 60;
/** The rate of a line on which the change to the sub stream is timed, and the time that the change may take. */
const MOVE_RATE = 1500;
const MOVED_MS = 1500;
const PICTURE_BYTES = 60_000;
const PICTURES_EVERY_MS = 3000;

/** Runs in the page: measures the time between the choice of the sub stream and its first picture. */
function timeMove() {
  let begunAt = null;
  const timer = setInterval(() => {
    const { width, videoWidth, dataset } = document.querySelector(".screen > [data-shown]");
    begunAt ??= document.querySelector(".tile-note") && performance.now();
    const shown = videoWidth ?? ("picture" in dataset ? width : 0);
    if (begunAt !== null && shown === 320) {
      clearInterval(timer);
      globalThis.moved = Math.max(1, performance.now() - begunAt);
    }
  }, 20);
}

describe("a tile on a slow connection", () => {
  const on = stage();

  /** Starts a camera that is suitable as a sub stream. */
  function startSub(t) {
    const small = ["--width", "320", "--height", "192", "--bitrate", String(SUB_RATE)];
    return Camera.startFor(t, 0, ["--running", "h264", ...small]);
  }

  /**
   * Adds a camera, with a sub stream if `subLink` is given, and opens it on the page. Waits for the picture, and then
   * slows down the connection.
   */
  async function slowDown(t, id, subLink, transport = "hls") {
    const main = await Camera.startFor(t, 0, ["--running", "h264", "--bitrate", String(MAIN_RATE)]);
    await on.service.put(id, { rtsp_link: main.link, ...(subLink && { rtsp_link_sub: subLink }) });
    const viewer = await on.visit(t, `#/?cameras=${id}`, { transport });
    await viewer.sees("live");
    await viewer.watches(3);
    const line = await viewer.page.context().newCDPSession(viewer.page);
    const limit = (kbits) =>
      line.send("Network.emulateNetworkConditions", {
        offline: false,
        latency: 20,
        downloadThroughput: kbits < 0 ? -1 : (kbits * 1000) / 8,
        uploadThroughput: -1,
      });
    await limit(LINE_RATE);
    return { viewer, release: () => limit(-1) };
  }

  /** Waits until the note of the tile contains these words. */
  function notes(viewer, words, seconds) {
    const note = viewer.tile().locator(".tile-note");
    return until(`the note "${words}"`, seconds, async () =>
      (await note.count()) > 0 ? (await note.textContent()).includes(words) : false,
    );
  }

  async function hasNoNote(viewer) {
    return (await viewer.tile().locator(".tile-note").count()) === 0;
  }

  for (const transport of ["webcodecs", "mse"]) {
    test(`shows the sub stream soon after a live socket was too slow (${transport})`, async (t) => {
      const id = `soon-${transport}`;
      const main = await Camera.startFor(t, 0, ["--running", "h264", "--bitrate", `${MAIN_RATE}`]);
      const sub = await startSub(t);
      // The sub stream runs, because another viewer watches it, for example on a wall.
      const links = { rtsp_link: main.link, rtsp_link_sub: sub.link };
      await on.service.put(id, { ...links, keep: "always" });
      const line = await SlowLine.startFor(t, on.service.origin);
      const viewer = await Viewer.openFor(t, on.browser, `${line.origin}/#/?cameras=${id}`, {
        transport,
      });
      await viewer.sees("live");
      await viewer.watches(2);
      await viewer.page.evaluate(timeMove);
      line.limit(MOVE_RATE);
      const moved = () => viewer.page.evaluate(() => globalThis.moved);
      const time = await until("the sub stream", SECONDS, moved);
      t.diagnostic(`a picture of the sub stream after ${Math.round(time)} ms`);
      assert.ok(time < MOVED_MS, `a picture of the sub stream after ${time} ms`);
      await viewer.watches(2);
      assert.equal(await viewer.transport(), transport);
    });
  }

  for (const transport of ["webcodecs", "mse"]) {
    const skip = !IS_LONG && transport === "mse";
    test(`shows the sub stream if a live socket is too slow (${transport})`, {
      skip,
    }, async (t) => {
      const id = `socket-${transport}`;
      const { viewer } = await slowDown(t, id, (await startSub(t)).link, transport);
      await notes(viewer, "The tile shows the sub stream", REACTS_SECONDS);
      await until("the sub stream", REACTS_SECONDS, async () => {
        return (await viewer.pictureWidth()) === 320;
      });
      await viewer.sees("live");
      await viewer.watches(3);
      assert.equal(await viewer.transport(), transport);
    });
  }

  test("shows the sub stream, and the main stream when the connection is fast again", async (t) => {
    const { viewer, release } = await slowDown(t, "with-sub", (await startSub(t)).link);
    await notes(viewer, "The tile shows the sub stream", REACTS_SECONDS);
    await until("the sub stream", REACTS_SECONDS, async () => {
      return (await viewer.video()).videoWidth === 320;
    });
    await viewer.sees("live");
    const beganAt = Date.now();
    await viewer.seesPictureNewerThan(beganAt);
    await viewer.watches(3);
    if (IS_LONG) {
      // As long as the connection is slow, the tile does not return to the main stream.
      await viewer.watches(40);
      assert.equal((await viewer.video()).videoWidth, 320);
      await release();
      await until("the main stream", RETURNS_SECONDS, async () => {
        return (await viewer.video()).videoWidth === 640;
      });
      await viewer.sees("live");
      await until("no note", SECONDS, () => hasNoNote(viewer));
    }
  });

  test("shows pictures if there is no sub stream, and video when the connection is fast again", async (t) => {
    const { viewer, release } = await slowDown(t, "no-sub");
    const pictures = [];
    viewer.page.on("response", (response) => {
      if (response.url().includes("/snapshot.jpg") && !response.url().includes("start=false")) {
        pictures.push({ at: Date.now(), bytes: Number(response.headers()["content-length"]) });
      }
    });
    await notes(viewer, "The tile shows a picture every 3 s", REACTS_SECONDS);
    await viewer.sees("pictures");
    await until("three pictures", SECONDS, () => pictures.length >= 3);
    const [first, , third] = pictures;
    assert.ok(
      Math.abs((third.at - first.at) / 2 - PICTURES_EVERY_MS) < 1000,
      JSON.stringify(pictures),
    );
    for (const { bytes } of pictures) {
      assert.ok(bytes > 0 && bytes <= PICTURE_BYTES, `${bytes} bytes`);
    }
    const width = await viewer
      .tile()
      .locator("canvas.still")
      .evaluate((canvas) => canvas.width);
    assert.equal(width, 640);
    if (IS_LONG) {
      await release();
      await viewer.sees("live");
      await viewer.seesPictureNewerThan(Date.now());
      await until("no note", SECONDS, () => hasNoNote(viewer));
    }
  });

  test("shows pictures of the main stream if the sub stream does not work", async (t) => {
    const { viewer } = await slowDown(t, "broken-sub", `rtsp://127.0.0.1:${await freePort()}/sub`);
    await viewer.sees("pictures", "The tile shows a picture every 3 s");
    await until("a picture of the main stream", SECONDS, () =>
      viewer.requests.some((url) => url.includes("/streams/broken-sub/snapshot.jpg?width=640&max")),
    );
  });
});
