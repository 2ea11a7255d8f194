// Tests that hls.js and Chromium play recordings, and that they show the picture of the time to which a viewer seeks. The
// test camera's picture shows its clock.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";

import { Camera } from "./support/camera.mjs";
import { Parts } from "./support/parts.mjs";
import { until } from "./support/until.mjs";
import { launchBrowser, SECONDS, Viewer } from "./support/viewer.mjs";

const HLS = new URL("../../nginx/web/node_modules/hls.js/dist/hls.min.js", import.meta.url);
/** The longest difference between the time of a picture and the time that was requested, in milliseconds. */
const FRAME_MS = 60;

describe("recordings", () => {
  let browser;
  before(async () => (browser = await launchBrowser()));
  after(() => browser.close());

  /** Starts a service that records a camera, and opens a page without players. */
  async function setUp(t) {
    const camera = await Camera.startFor(t, 0, ["--running", "h264", "--gop-seconds", "1"]);
    const parts = await Parts.start({ records: true });
    t.after(() => parts.end());
    const viewer = await Viewer.openFor(t, browser, `${parts.origin}/#/status`);
    const { page } = viewer;
    await page.evaluate(readFileSync(HLS, "utf8"));
    await page.evaluate(definePlayer);
    const record = async (mode) => {
      const body = JSON.stringify({ rtsp_link: camera.link, recording: { mode } });
      const headers = { "Content-Type": "application/json" };
      const response = await fetch(`${parts.origin}/api/cameras/cam`, {
        method: "PUT",
        headers,
        body,
      });
      assert.ok(response.ok, await response.text());
    };
    /** Waits until `seconds` are recorded, and returns the beginning and the end in Unix milliseconds. */
    const recorded = async (seconds) => {
      let times;
      await until(`${seconds} s are recorded`, SECONDS, async () => {
        const { streams } = await (await fetch(`${parts.origin}/api/recordings`)).json();
        times = streams.map(({ from, to }) => [Date.parse(from), Date.parse(to)])[0];
        return times && times[1] - times[0] >= seconds * 1000;
      });
      return times;
    };
    await record("continuous");
    return { parts, page, record, recorded };
  }

  /** Opens a playlist of the time from `from` to `to`, in Unix milliseconds, and waits for the first picture. */
  function open(page, from, to) {
    const time = (millis) => new Date(millis).toISOString();
    const url = `/recordings/cam/index.m3u8?from=${time(from)}&to=${time(to)}`;
    return page.evaluate((url) => globalThis.openRecording(url), url);
  }

  test("plays while it is being recorded, and every seek shows the right picture", async (t) => {
    const { page, record, recorded } = await setUp(t);
    const [from] = await recorded(6);
    await open(page, from + 1000, from + 3_600_000);
    const first = await page.evaluate(() => globalThis.shown());
    // The player begins at the requested time, not at the live end.
    assert.ok(Math.abs(first.position) < 1, JSON.stringify(first));
    await page.evaluate(() => globalThis.player.video.play());
    // The playlist grows while the player plays.
    await until("five further seconds were played", SECONDS, () =>
      page.evaluate(() => globalThis.player.video.currentTime > 7),
    );
    const { date, clock } = await page.evaluate(() => globalThis.shown());
    const offset = date - clock;
    await recorded(16);
    await record("off");
    assert.deepEqual(await page.evaluate(() => globalThis.player.errors), []);

    // The difference between the picture's clock and the date is the same everywhere.
    const [begin, end] = await recorded(16);
    await open(page, begin, end);
    for (const second of [9.3, 2.5, 14.1, 0.3, 6.7, 12]) {
      const seen = await page.evaluate((second) => globalThis.seek(second), second);
      const difference = seen.date - seen.clock - offset;
      assert.ok(
        Math.abs(difference) <= FRAME_MS,
        `${second} s: ${JSON.stringify(seen)}, ${difference} ms`,
      );
      assert.ok(Math.abs(seen.date - begin - second * 1000) <= FRAME_MS, JSON.stringify(seen));
    }
    assert.deepEqual(await page.evaluate(() => globalThis.player.errors), []);
  });

  test("plays across a gap, and dates remain right", async (t) => {
    const { page, record, recorded } = await setUp(t);
    const [from, to] = await recorded(5);
    await record("off");
    await until("time passes without a recording", SECONDS, () => Date.now() - to > 6000);
    await record("continuous");
    const [, end] = await recorded((to - from) / 1000 + 12);
    await record("off");
    await open(page, from, end);
    const before = await page.evaluate(() => globalThis.seek(2));
    const { duration } = await page.evaluate(() => globalThis.shown());
    const afterwards = await page.evaluate((second) => globalThis.seek(second), duration - 1.5);
    const differences = [before, afterwards].map(({ date, clock }) => date - clock);
    // After the gap, the recording has a new anchor on the system's clock.
    assert.ok(Math.abs(differences[0] - differences[1]) < 500, JSON.stringify(differences));
    assert.ok(afterwards.date - before.date > (duration - 3.5) * 1000 + 4000, "the gap is skipped");
    await page.evaluate(() => globalThis.seek(0.5).then(() => globalThis.player.video.play()));
    await until("the recording is played to its end", SECONDS, () =>
      page.evaluate(() => globalThis.player.video.ended),
    );
    assert.deepEqual(await page.evaluate(() => globalThis.player.errors), []);
  });
});

/** Runs in the page: defines functions that open, seek and read a recording. */
function definePlayer() {
  /** Reads the clock in the picture: a row of 32 squares, which are the lower bits of the time. */
  const clock = (video) => {
    const canvas = document.createElement("canvas");
    const [width, side] = [video.videoWidth, video.videoWidth / 32];
    [canvas.width, canvas.height] = [width, side];
    const context = canvas.getContext("2d");
    context.drawImage(video, 0, 0, width, side, 0, 0, width, side);
    let time = 0;
    for (let square = 0; square < 32; square++) {
      const [red] = context.getImageData((square + 0.5) * side, side / 2, 1, 1).data;
      time = time * 2 + (red > 127 ? 1 : 0);
    }
    // The upper bits are those of the present.
    return Date.now() - ((Date.now() - time) >>> 0);
  };
  globalThis.shown = () => {
    const { video, hls, mediaTime } = globalThis.player;
    // The date of the picture that is shown, whose media time is a little earlier than the position.
    const date = hls.playingDate.getTime() + (mediaTime - video.currentTime) * 1000;
    return { date, clock: clock(video), position: video.currentTime, duration: video.duration };
  };
  const nextFrame = (player) =>
    new Promise((resolve) =>
      player.video.requestVideoFrameCallback((_, { mediaTime }) => {
        player.mediaTime = mediaTime;
        resolve();
      }),
    );
  globalThis.openRecording = async (url) => {
    globalThis.player?.hls.destroy();
    globalThis.player?.video.remove();
    const video = document.body.appendChild(document.createElement("video"));
    video.muted = true;
    const hls = new globalThis.Hls({ enableWorker: false });
    const player = { hls, video, errors: [], mediaTime: 0 };
    globalThis.player = player;
    hls.on(globalThis.Hls.Events.ERROR, (_, { details }) => player.errors.push(details));
    const frame = nextFrame(player);
    hls.loadSource(url);
    hls.attachMedia(video);
    await frame;
    const note = (_, { mediaTime }) => {
      player.mediaTime = mediaTime;
      video.requestVideoFrameCallback(note);
    };
    video.requestVideoFrameCallback(note);
  };
  globalThis.seek = async (second) => {
    const { player } = globalThis;
    player.video.pause();
    const seeked = new Promise((resolve) =>
      player.video.addEventListener("seeked", resolve, { once: true }),
    );
    const frame = nextFrame(player);
    player.video.currentTime = second;
    await Promise.all([seeked, frame]);
    return globalThis.shown();
  };
}
