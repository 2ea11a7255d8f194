// Tests the view of recordings on the page: the right picture after each action, gaps, cameras in step, exports, share
// links, rights, and days on which clocks change. The test camera's picture shows its clock.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { statSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { Camera } from "./support/camera.mjs";
import { Parts } from "./support/parts.mjs";
import {
  goTo,
  RecordedStage,
  recordingsAddress,
  shown,
  standsStill,
  zoomIn,
} from "./support/recorded.mjs";
import { until } from "./support/until.mjs";
import { launchBrowser, SECONDS, Viewer } from "./support/viewer.mjs";

/** The longest difference between the time of a picture and the requested time, in milliseconds. */
const FRAME_MS = 80;
const GOP_MS = 1000;
const IS_LONG = Boolean(process.env.LONG_TESTS);
const ADMIN_KEY = "admin-secret-000001";
const VIEWER_KEY = "viewer-secret-00001";
const FFPROBE = process.env.FFPROBE_BIN || "ffprobe";

describe("the timeline", () => {
  let browser;
  before(async () => (browser = await launchBrowser()));
  after(() => browser.close());

  /** Starts a service, and a camera that it records. */
  async function setUp(t, { variables = {}, key } = {}) {
    const camera = await Camera.startFor(t, 0, ["--running", "h264", "--gop-seconds", "1"]);
    const parts = await Parts.start({ records: true, variables });
    t.after(() => parts.end());
    const stage = new RecordedStage(parts, key);
    await stage.record("cam", camera.link, "continuous", { name: "Front door" });
    return { camera, parts, stage };
  }

  /** Opens the recordings of cameras at a date. */
  async function open(t, parts, cameras, at, options) {
    const viewer = await Viewer.openFor(
      t,
      browser,
      recordingsAddress(parts.origin, cameras, at),
      options,
    );
    return { viewer, page: viewer.page };
  }

  /** Waits until the picture of a camera is the one of a date, and returns the difference to the camera's clock. */
  async function seesPicture(page, at, offset, camera = "cam") {
    let seen;
    const isRight = async () => {
      seen = await shown(page);
      const { clock, isScrubbed } = seen.pictures[camera] ?? {};
      if (!clock || isScrubbed || seen.date === null) {
        return false;
      }
      const difference = at - clock - offset;
      // The picture began up to a frame before the date. The clock is not exact on a busy machine.
      return Math.abs(seen.date - at) < 2 && Math.abs(difference) < FRAME_MS;
    };
    await until(`the picture of ${new Date(at).toISOString()}`, 20, isRight).catch((error) => {
      throw new Error(`${error.message}; the page shows ${JSON.stringify(seen)}, offset ${offset}`);
    });
    return seen;
  }

  /** Returns the difference between dates and the camera's clock, from the recording at a date. */
  async function offsetAt(page, at) {
    let seen;
    await until("a picture", SECONDS, async () => {
      seen = await shown(page);
      return seen.pictures.cam?.clock && seen.date === at;
    });
    // The picture begins up to a frame before the date: see the test with steps.
    return at - seen.pictures.cam.clock;
  }

  test("shows the right picture while the camera is recorded, steps, and plays on", async (t) => {
    const { parts, stage } = await setUp(t);
    const [from] = await stage.recorded("cam", 8);
    const { viewer, page } = await open(t, parts, "cam", from + 3000);
    const offset = (await offsetAt(page, from + 3000)) - 20;
    assert.ok(Math.abs(offset) < 1500, `the clock differs by ${offset} ms`);
    for (const second of [1.5, 6.2, 0.3, 4.9, 2]) {
      await goTo(page, "cam", from + second * 1000);
      await seesPicture(page, from + second * 1000, offset);
    }
    // Steps: the picture changes by one frame each time.
    const before = (await shown(page)).pictures.cam.clock;
    const clocks = [];
    for (const key of [".", ".", ".", ",", ",", ","]) {
      const last = clocks.at(-1) ?? before;
      await page.keyboard.press(key);
      await until(`another picture after ${key}`, 20, async () => {
        const { clock } = (await shown(page)).pictures.cam;
        return clock !== last && clocks.push(clock);
      });
    }
    const frame = clocks[0] - before;
    assert.ok(frame > 20 && frame < 80, `a frame of ${frame} ms`);
    assert.ok(Math.abs(clocks[2] - before - 3 * frame) <= 12, `${before}, ${clocks}`);
    assert.ok(Math.abs(clocks[5] - before) <= 4, `${before}, ${clocks}`);
    // Plays into what was recorded in the meantime.
    await page.keyboard.press(" ");
    await until("ten seconds were played", SECONDS, async () => {
      const { date } = await shown(page);
      return date > from + 12_000;
    });
    await page.keyboard.press(" ");
    await page.getByRole("button", { name: "Play", exact: true }).waitFor();
    const { date: pausedAt } = await standsStill(page);
    await seesPicture(page, pausedAt, offset);
    await until("the address has the moment", SECONDS, () =>
      page.url().includes(`at=${new Date(pausedAt).toISOString().slice(0, 19)}`),
    );
    assert.deepEqual(viewer.problems, []);
  });

  test("shows keyframes while searching, and the exact picture afterwards", async (t) => {
    const { parts, stage, camera } = await setUp(t);
    const [from, to] = await stage.recorded("cam", 20);
    await stage.record("cam", camera.link, "off", { name: "Front door" });
    const { viewer, page } = await open(t, parts, "cam", from + 3000);
    const offset = (await offsetAt(page, from + 3000)) - 20;
    await zoomIn(page, 11);
    const track = page.locator(".track");
    const place = async (date) => {
      const { x, y, width, height } = await track.boundingBox();
      const [begin, end] = await track.evaluate(({ dataset }) => [
        Number(dataset.from),
        Number(dataset.to),
      ]);
      return [x + ((date - begin) / (end - begin)) * width, y + height - 20];
    };
    await page.mouse.move(...(await place(from + 4000)));
    await page.mouse.down();
    for (let date = from + 5000; date < to - 3000; date += 1700) {
      await page.mouse.move(...(await place(date)));
      let seen;
      await until(`the keyframe for ${date - from} ms`, 20, async () => {
        seen = await shown(page);
        const { clock, isScrubbed } = seen.pictures.cam;
        const difference = seen.date - clock - offset;
        return isScrubbed && difference > -60 && difference < GOP_MS + 60;
      }).catch((error) => {
        throw new Error(`${error.message}: ${JSON.stringify(seen)}, offset ${offset}`);
      });
    }
    await page.mouse.up();
    const { date } = await standsStill(page);
    await seesPicture(page, date, offset);
    assert.deepEqual(viewer.problems, []);
  });

  test("skips a gap visibly, and a date in the gap leads to the next recording", async (t) => {
    const { parts, stage, camera } = await setUp(t);
    const [from, end] = await stage.recorded("cam", 5);
    await stage.record("cam", camera.link, "off");
    await until("time passes without a recording", SECONDS, () => Date.now() - end > 7000);
    await stage.record("cam", camera.link, "continuous");
    await stage.recorded("cam", (end - from) / 1000 + 13);
    await stage.record("cam", camera.link, "off");
    const { viewer, page } = await open(t, parts, "cam", from + 1000);
    await offsetAt(page, from + 1000);
    await page.getByRole("button", { name: "Play" }).click();
    await page.getByText(/^Skipped \d+ s without recordings/).waitFor({ timeout: 30_000 });
    await until("the end is reached", SECONDS, async () => {
      const { pictures } = await shown(page);
      return pictures.cam.note.includes("no later recordings");
    });
    const [, last] = await stage.range("cam");
    const atEnd = await shown(page);
    assert.ok(Math.abs(atEnd.date - last) < 500, `${atEnd.date - last} ms from the end`);
    await goTo(page, "cam", end + 3000);
    await until("the first picture after the gap", SECONDS, async () => {
      const { date, pictures } = await shown(page);
      return date > end + 5000 && date < last - 3000 && pictures.cam.clock;
    });
    assert.deepEqual(viewer.problems, []);
  });

  test("plays cameras in step", { skip: !IS_LONG }, async (t) => {
    const { parts, stage, camera } = await setUp(t);
    await stage.record("other", camera.link, "continuous", { name: "Yard" });
    await stage.record("third", camera.link, "continuous", { name: "Gate" });
    const [, end] = await stage.recorded("other", 5);
    await stage.record("other", camera.link, "off", { name: "Yard" });
    await until("time passes without a recording", SECONDS, () => Date.now() - end > 5000);
    await stage.record("other", camera.link, "continuous", { name: "Yard" });
    const [from] = await stage.recorded("cam", 22);
    for (const id of ["cam", "other", "third"]) {
      await stage.record(id, camera.link, "off");
    }
    const begin = Math.max(from, (await stage.range("other"))[0], (await stage.range("third"))[0]);
    const { viewer, page } = await open(t, parts, "cam,other,third", begin + 1000);
    let paused;
    const clocks = (seen) =>
      Object.values(seen.pictures)
        .filter(({ note }) => note === "")
        .map(({ clock }) => clock);
    const spread = (list) => Math.max(...list) - Math.min(...list);
    // The recordings of a camera have an anchor of their own on the system's clock.
    await until("the pictures of the same time", SECONDS, async () => {
      paused = await shown(page);
      const each = clocks(paused);
      return each.length === 3 && each.every(Boolean) && spread(each) <= 150;
    });
    t.diagnostic(`paused: ${spread(clocks(paused))} ms apart`);
    await page.keyboard.press("k");
    const spreads = [];
    let hadGap = false;
    await until("the cameras have played past the gap", SECONDS, async () => {
      const seen = await shown(page);
      hadGap ||= seen.pictures.other.note.includes("Nothing was recorded");
      spreads.push(spread(clocks(seen)));
      await sleep(100);
      return seen.date > end + 9000;
    });
    assert.ok(hadGap, "the camera without recordings shows that");
    spreads.sort((a, b) => a - b);
    const p95 = spreads[Math.floor(spreads.length * 0.95)];
    t.diagnostic(
      `in step: ${spreads.length} observations, p95 ${p95} ms, max ${spreads.at(-1)} ms`,
    );
    assert.ok(p95 <= 150, `${p95} ms apart`);
    assert.deepEqual(viewer.problems, []);
  });

  test("exports and shares a time that is selected by dragging", async (t) => {
    const keys = {
      API_KEYS: `boss:admin:${ADMIN_KEY},wall:viewer:${VIEWER_KEY}`,
      ALLOW_ANONYMOUS: "",
    };
    const { parts, stage, camera } = await setUp(t, { variables: keys, key: ADMIN_KEY });
    const [from] = await stage.recorded("cam", 15);
    await stage.record("cam", camera.link, "off", { name: "Front door" });
    const viewer = await Viewer.openFor(t, browser, `${parts.origin}/#key=${ADMIN_KEY}`);
    const { page } = viewer;
    await page.getByRole("link", { name: "Recordings", exact: true }).click();
    await goTo(page, "cam", from + 3000);
    await offsetAt(page, from + 3000);
    await zoomIn(page, 11);
    const track = page.locator(".track");
    const { x, y, width, height } = await track.boundingBox();
    const [begin, end] = await track.evaluate(({ dataset }) => [
      Number(dataset.from),
      Number(dataset.to),
    ]);
    const place = (date) => [x + ((date - begin) / (end - begin)) * width, y + height - 20];
    await page.keyboard.down("Shift");
    await page.mouse.move(...place(from + 4000));
    await page.mouse.down();
    await page.mouse.move(...place(from + 8000), { steps: 4 });
    await page.mouse.move(...place(from + 10_000), { steps: 4 });
    await page.mouse.up();
    await page.keyboard.up("Shift");
    const [download] = await Promise.all([
      page.waitForEvent("download"),
      page.getByRole("button", { name: "Export" }).click(),
    ]);
    const file = await download.path();
    assert.match(download.suggestedFilename(), /^cam_.*\.mp4$/);
    const probe = execFileSync(FFPROBE, [
      ..."-v error -show_entries format=duration -of csv=p=0".split(" "),
      file,
    ]);
    assert.ok(Math.abs(Number(probe) - 6) < 0.5, `${probe} s`);
    await page.getByText(`${(statSync(file).size / 1e6).toFixed(1)} MB`).waitFor();
    await page.getByRole("button", { name: "Compute SHA-256" }).click();
    const digest = execFileSync("sha256sum", [file]).toString().slice(0, 64);
    await page.getByText(digest).waitFor();

    await page.getByRole("button", { name: "Share", exact: true }).click();
    await page.getByLabel("Label").fill("insurance");
    await page.getByRole("button", { name: "Create link" }).click();
    const address = await page.locator(".created-link input").inputValue();
    await page.locator("[data-share]").filter({ hasText: "insurance" }).waitFor();

    // A browser without a key plays the link, but nothing else.
    const guest = await Viewer.openFor(t, browser, address);
    const guestSees = async () => (await shown(guest.page)).pictures.cam;
    await until("the guest sees a picture", SECONDS, async () => (await guestSees())?.clock);
    await guest.page.keyboard.press("k");
    const isAtEnd = async () => (await guestSees()).note.includes("no later recordings");
    await until("the guest has seen the whole time", SECONDS, isAtEnd);
    const seenView = await guest.page.locator(".track").getAttribute("data-from");
    await guest.page.keyboard.press("-");
    await guest.page.locator(`.track:not([data-from="${seenView}"])`).waitFor();
    const { date: seenLast } = await standsStill(guest.page);
    assert.ok(seenLast > from + 9000, "the end stays when the view changes");
    assert.deepEqual(
      guest.problems.filter((text) => !text.includes("401")),
      [],
    );
    assert.equal(await guest.page.getByRole("link", { name: "Cameras" }).count(), 0);

    await page.getByRole("button", { name: "Revoke link: insurance" }).click();
    await page.getByText("There are no share links of this camera.").waitFor();
    await guest.page.reload();
    await guest.page.getByText("The recordings cannot be shown").waitFor();

    // A key without the right has no view of recordings.
    const watcher = await Viewer.openFor(t, browser, `${parts.origin}/#key=${VIEWER_KEY}`);
    await watcher.page.getByRole("link", { name: "Events" }).waitFor();
    assert.equal(await watcher.page.getByRole("link", { name: "Recordings" }).count(), 0);
    await watcher.page.goto(recordingsAddress(parts.origin, "cam", from));
    await watcher.page.getByText("Your key does not permit watching recordings.").waitFor();
    assert.equal(watcher.requests.filter((url) => url.includes("/recordings/")).length, 0);
  });

  test("shows H.265 in any browser", { skip: !IS_LONG }, async (t) => {
    const { parts, stage, camera } = await setUp(t);
    const link = camera.link.replace("/h264", "/hevc");
    // Once with a sub stream in H.264, and once without one, so that the service converts the video.
    const both = { mode: "continuous", profile: "both" };
    await stage.api("cameras/cam", "PUT", {
      rtsp_link: link,
      rtsp_link_sub: camera.link,
      recording: both,
    });
    await stage.api("cameras/only", "PUT", { rtsp_link: link, recording: { mode: "continuous" } });
    const [from] = await stage.recorded("only", 6);
    for (const [id, stream] of [
      ["cam", "cam~sub"],
      ["only", "only"],
    ]) {
      await stage.recorded(stream, 4);
      const viewer = await Viewer.openFor(t, browser, `${parts.origin}/#/status`);
      const { page } = viewer;
      // The user turns the sound on and plays before the view knows that the browser cannot play the video.
      const held = [];
      await page.route("**/stream.m3u8*", (route) => held.push(route));
      await goTo(page, id, from + 3000);
      await page.getByRole("button", { name: "Unmute" }).click();
      await page.getByRole("button", { name: "Play" }).click();
      await until("the playlist is requested", SECONDS, () => held.length > 0);
      await Promise.all(held.map((route) => route.continue()));
      await page.unroute("**/stream.m3u8*");
      await until(`a picture of ${id}, which moves`, SECONDS, async () => {
        const { pictures, date } = await shown(page);
        return pictures[id]?.clock && date > from + 3500;
      });
      assert.equal(await page.locator(".recorded").getAttribute("data-stream"), stream);
      assert.equal(await page.locator("video.shown").evaluate(({ muted }) => muted), false);
      await viewer.close();
    }
  });

  test("continues after an outage", { skip: !IS_LONG }, async (t) => {
    const { parts, stage } = await setUp(t);
    const [from] = await stage.recorded("cam", 6);
    const viewer = await Viewer.openFor(t, browser, `${parts.origin}/#/status`);
    const { page } = viewer;
    await page.route("**/stream.m3u8*", (route) =>
      route.fulfill({ status: 503, json: { code: "busy", detail: "busy" } }),
    );
    await goTo(page, "cam", from + 3000);
    await page.getByRole("alert").filter({ hasText: "busy" }).waitFor();
    await page.unroute("**/stream.m3u8*");
    await offsetAt(page, from + 3000);
  });

  test("shows a day of 23 hours", async (t) => {
    const { parts, stage } = await setUp(t);
    await stage.recorded("cam", 1);
    const viewer = await Viewer.openFor(t, browser, `${parts.origin}/#/status`, {
      timezoneId: "Europe/Berlin",
    });
    const { page } = viewer;
    // 29 March 2026, 1:00 to 5:30 local time, without the hour from 2:00.
    const span = { from: "2026-03-29T00:00:00Z", to: "2026-03-29T03:30:00Z" };
    const times = { first: span.from, last: span.to };
    const recorded = { ...span, bytes: 1, locked: false, event: false };
    await page.route("**/timeline.json*", (route) =>
      route.fulfill({ json: { id: "cam", ...span, ...times, spans: [recorded], events: [] } }),
    );
    await page.route("**/activity.json*", (route) => route.fulfill({ json: { parts: [] } }));
    await page.route("**/stream.m3u8*", () => undefined);
    await page.goto(recordingsAddress(parts.origin, "cam", Date.parse("2026-03-29T02:00:00Z")));
    await page.locator(".lane .span").waitFor();
    const view = await page.locator(".track").evaluate(({ dataset }) => dataset.to - dataset.from);
    assert.equal(view / 3_600_000, 23);
    const [track, bar] = await Promise.all(
      [".lane", ".lane .span"].map((name) => page.locator(name).boundingBox()),
    );
    // One hour after midnight, and 3.5 hours long.
    assert.ok(Math.abs((bar.x - track.x) / track.width - 1 / 23) < 0.002, JSON.stringify(bar));
    assert.ok(Math.abs(bar.width / track.width - 3.5 / 23) < 0.002, JSON.stringify(bar));
    const labels = await page.locator(".scale span").allTextContents();
    assert.deepEqual(labels.slice(1, 3), ["4:00 AM", "6:00 AM"], labels.join(", "));
  });
});
