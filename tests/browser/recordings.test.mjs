// Tests that hls.js and Chromium play recordings, and that they show the picture of the time to which a viewer seeks. The
// test camera's picture shows its clock.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";

import { Camera } from "./support/camera.mjs";
import { Parts } from "./support/parts.mjs";
import { definePlayer } from "./support/recording-player.mjs";
import { S3 } from "./support/s3.mjs";
import { until } from "./support/until.mjs";
import { launchBrowser, SECONDS, Viewer } from "./support/viewer.mjs";

const HLS = new URL("../../nginx/web/node_modules/hls.js/dist/hls.min.js", import.meta.url);
/** The longest difference between the time of a picture and the time that was requested, in milliseconds. */
const FRAME_MS = 80;

const IS_LONG = Boolean(process.env.LONG_TESTS);

describe("recordings", () => {
  let browser;
  before(async () => (browser = await launchBrowser()));
  after(() => browser.close());

  /**
   * Starts a service that records a camera, and opens a page without players. `variables` are environment variables of the
   * manager.
   */
  async function setUp(t, mount = "h264", variables = {}) {
    const camera = await Camera.startFor(t, 0, ["--running", mount, "--gop-seconds", "1"]);
    const parts = await Parts.start({ records: true, variables });
    t.after(() => parts.end());
    const viewer = await Viewer.openFor(t, browser, `${parts.origin}/#/status`);
    const { page } = viewer;
    await page.evaluate(readFileSync(HLS, "utf8"));
    await page.evaluate(definePlayer);
    const record = async (mode, options = {}) => {
      const rtsp_link = camera.link.replace("h264", mount);
      const body = JSON.stringify({ rtsp_link, recording: { mode, ...options } });
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

  /**
   * Opens a playlist of the time from `from` to `to`, in Unix milliseconds, and waits for the first picture. `options` are
   * options of hls.js.
   */
  function open(page, from, to, more = "", options = {}) {
    const call = [playlist(from, to, more), options];
    return page.evaluate((call) => globalThis.openRecording(...call), call);
  }

  function playlist(from, to, more = "") {
    const time = (millis) => new Date(millis).toISOString();
    return `/recordings/cam/index.m3u8?from=${time(from)}&to=${time(to)}${more}`;
  }

  /** Returns the difference between the date and the camera's clock, which is the same everywhere in a recording. */
  async function offsetAt(page, second) {
    const { date, clock } = await page.evaluate((second) => globalThis.seek(second), second);
    return date - clock;
  }

  test("plays while it is being recorded, and every seek shows the right picture", async (t) => {
    const { page, record, recorded } = await setUp(t);
    // A player that is closer to the end than the length of some segments would have to wait for the camera.
    const [from] = await recorded(10);
    await open(page, from + 1000, from + 3_600_000);
    const first = await page.evaluate(() => globalThis.shown());
    // The player begins at the requested time, not at the live end.
    assert.ok(Math.abs(first.position) < 1, JSON.stringify(first));
    await page.evaluate(() => globalThis.player.video.play());
    // The playlist grows while the player plays.
    await until("more was played than was recorded at first", SECONDS, () =>
      page.evaluate(() => globalThis.player.video.currentTime > 12),
    );
    // While a video plays, its newest picture can be later than the time that the page knows of it.
    const { date, clock } = await page.evaluate(() => globalThis.seek(11));
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

  test("plays across a gap, and dates remain right", { skip: !IS_LONG }, async (t) => {
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

  test("shows every requested keyframe while a viewer scrubs", async (t) => {
    const { page, record, recorded } = await setUp(t);
    await recorded(12);
    await record("off");
    const [from, to] = await recorded(12);
    await open(page, from, to);
    const offset = await offsetAt(page, 3.5);
    const { duration } = await page.evaluate(() => globalThis.shown());
    await page.evaluate(() => globalThis.openKeyframes());
    const shown = [];
    for (let second = 0.5; second < duration - 1; second++) {
      const { clock, millis } = await page.evaluate((second) => globalThis.scrub(second), second);
      shown.push(millis);
      // A keyframe is shown until the next one.
      const late = from + second * 1000 - (clock + offset);
      assert.ok(late >= -FRAME_MS && late <= 1000 + FRAME_MS, `${second} s: ${late} ms`);
    }
    shown.sort((a, b) => a - b);
    t.diagnostic(
      `a keyframe is shown after ${shown[shown.length >> 1]} ms, at most ${shown.at(-1)} ms`,
    );
  });

  test("plays H.265 as H.264 where the browser cannot play it", { skip: !IS_LONG }, async (t) => {
    const { page, record, recorded } = await setUp(t, "hevc");
    await recorded(12);
    await record("off");
    const [from, to] = await recorded(12);
    const canPlay = await page.evaluate(() =>
      MediaSource.isTypeSupported('video/mp4; codecs="hvc1.1.6.L93.B0"'),
    );
    if (!canPlay) {
      const error = await page.evaluate((url) => globalThis.failToOpen(url), playlist(from, to));
      assert.equal(error, "manifestIncompatibleCodecsError");
    }
    await open(page, from, to, "&codec=h264");
    const offset = await offsetAt(page, 1.5);
    for (const second of [9.3, 2.5, 0.3, 6.7]) {
      const seen = await page.evaluate((second) => globalThis.seek(second), second);
      assert.ok(Math.abs(seen.date - seen.clock - offset) <= FRAME_MS, JSON.stringify(seen));
    }
    await page.evaluate(() => globalThis.seek(0.2).then(() => globalThis.player.video.play()));
    await until("the recording is played to its end", SECONDS, () =>
      page.evaluate(() => globalThis.player.video.ended),
    );
    const { errors, ranges } = await page.evaluate(() => ({
      errors: globalThis.player.errors,
      ranges: globalThis.player.video.buffered.length,
    }));
    assert.deepEqual(errors, []);
    assert.equal(ranges, 1, "there are gaps between segments");
  });

  test("an export begins and ends with the right picture", async (t) => {
    const { page, record, recorded } = await setUp(t);
    await recorded(9);
    await record("off");
    const [begin, end] = await recorded(9);
    await open(page, begin, end);
    const clockAt = async (millis) =>
      (await page.evaluate((second) => globalThis.seek(second), millis / 1000)).clock;
    const time = (millis) => new Date(millis).toISOString();
    for (const [from, to] of [
      [2520, 6320],
      [3020, 3420],
      [0, 8000],
    ]) {
      const url = `/recordings/cam/export.mp4?from=${time(begin + from)}&to=${time(begin + to)}`;
      const { first, last, duration } = await page.evaluate((url) => globalThis.playFile(url), url);
      assert.ok(Math.abs(duration * 1000 - (to - from)) <= FRAME_MS, `${duration} s`);
      // Pictures begin every 40 ms, and times are rounded to milliseconds.
      assert.equal(first, await clockAt(from + 10), `the first picture from ${from} ms`);
      assert.equal(last, await clockAt(to - 10), `the last picture before ${to} ms`);
    }
  });

  test("plays on without a pause when the local files are deleted, from their copies", {
    skip: !IS_LONG,
  }, async (t) => {
    const s3 = await S3.startFor(t);
    const { parts, page, record, recorded } = await setUp(t, "h264", s3.variables);
    const api = async (path, init) => (await fetch(`${parts.origin}/api/${path}`, init)).json();
    // Files with events are short, so there are some of them after a while.
    const events = { types: ["reported.door"], after_seconds: 60 };
    await record("continuous", { events });
    await recorded(2);
    const door = JSON.stringify({ type: "door" });
    const headers = { "Content-Type": "application/json" };
    await api("cameras/cam/events", { method: "POST", headers, body: door });
    const [from, to] = await recorded(30);
    await record("off", { events });
    let storage;
    await until("everything is copied", SECONDS, async () => {
      storage = await api("storage");
      const { bytes, waiting_files } = storage.offsite;
      return waiting_files === 0 && bytes === storage.bytes && bytes > 0;
    });
    const before = s3.received;
    // A player that loads everything at once would not notice that files are deleted.
    await open(page, from, to, "", { maxBufferLength: 3, maxMaxBufferLength: 3 });
    await page.evaluate(() => {
      const { video } = globalThis.player;
      globalThis.pauses = [];
      let [position, since] = [0, performance.now()];
      const look = () => {
        if (video.currentTime > position) {
          globalThis.pauses.push(performance.now() - since);
          [position, since] = [video.currentTime, performance.now()];
        }
        if (!video.ended) {
          setTimeout(look, 50);
        }
      };
      return video.play().then(look);
    });
    // The manager checks the marker from time to time.
    assert.ok(s3.received - before < 20_000, "local files are read from the server");
    await record("off", { events, max_bytes: 1 });
    await until(
      "the local files are deleted",
      SECONDS,
      async () => (await api("storage")).bytes === 0,
    );
    const position = await page.evaluate(() => globalThis.player.video.currentTime);
    await until("the recording is played to its end", SECONDS, () =>
      page.evaluate(() => globalThis.player.video.ended),
    );
    const pauses = await page.evaluate(() => globalThis.pauses);
    assert.ok(Math.max(...pauses) < 2000, `${Math.max(...pauses)} ms`);
    const read = s3.received - before;
    const left = 1 - position / ((to - from) / 1000);
    assert.ok(
      read > 0.5 * left * storage.offsite.bytes,
      `${read} bytes were read, after ${position} s`,
    );
    assert.ok(
      read < 1.1 * storage.offsite.bytes,
      `${read} bytes were read of ${storage.offsite.bytes}`,
    );
    t.diagnostic(
      `longest pause ${Math.round(Math.max(...pauses))} ms; local files deleted at ${position} s; ${read} bytes read`,
    );
    assert.deepEqual(await page.evaluate(() => globalThis.player.errors), []);
  });
});
