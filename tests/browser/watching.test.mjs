// Tests watching cameras in a real browser: playing, failures, recovery and slow browsers.
import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { Camera } from "./support/camera.mjs";
import { Parts } from "./support/parts.mjs";
import { freePort } from "./support/port.mjs";
import { stage } from "./support/stage.mjs";
import { allOf, until, untilEqual } from "./support/until.mjs";
import { launchBrowser, SECONDS, Viewer } from "./support/viewer.mjs";

/** Greatest age of a live picture: a few segments of two seconds. */
const MAX_AGE_MS = 15_000;
/** With these settings, a stream ends soon after its last viewer has left. */
const SETTINGS = { CLEANUP_DELAY_SECONDS: "4", CLEANUP_INTERVAL_SECONDS: "1" };

/**
 * If the picture has stopped and the playlist grows, but no media arrives, the page restarts the stream after a
 * little longer than this time.
 */
const MISSED_SECONDS = 1.8;
/**
 * The test with a slow browser observes the page for this time. It is longer than the time after which the page
 * restarts a stream without media.
 */
const SLOW_SECONDS = 10;

/** Returns how many start requests for a camera the page has sent. */
function startsOf(viewer, id) {
  return viewer.requests.filter((url) => url.includes(`/${id}/stream/start`)).length;
}

/** Observes the page for `seconds`. Returns the longest time, in seconds, without media from `path`. */
async function longestPause(page, path, seconds) {
  const times = [Date.now()];
  const isMedia = (url) => url.includes(path) && !url.includes(".m3u8");
  const record = (response) => isMedia(response.url()) && times.push(Date.now());
  page.on("response", record);
  await sleep(seconds * 1000);
  page.off("response", record);
  times.push(Date.now());
  return Math.max(...times.slice(1).map((time, index) => time - times[index])) / 1000;
}

// The tests run concurrently, because they spend most of the time waiting. So each test has its own camera.
describe("the page", { concurrency: 6 }, () => {
  const on = stage(SETTINGS);

  afterEach((t) => {
    if (t.error) {
      console.error(on.service?.child.output);
    }
  });

  test("plays the demo camera at the address that deploy/run prints, without errors", async (t) => {
    const { service } = on;
    const viewer = await on.visit(t, service.page);
    await viewer.sees("live");
    await viewer.watches(5);

    assert.equal(await viewer.pictureWidth(), 640);
    const age = Date.now() - (await viewer.pictureTime());
    assert.ok(age < MAX_AGE_MS, `the picture is ${age} ms old`);
    assert.deepEqual(viewer.problems, []);
    const toOtherHosts = viewer.requests.filter((url) => new URL(url).origin !== service.origin);
    assert.deepEqual(toOtherHosts, []);
  });

  test("reports why an RTSP link does not work, plays a working one, and stops", async (t) => {
    const camera = await Camera.startFor(t);
    const viewer = await on.visit(t, "#/cameras");

    await viewer.add("Typed", "http://x");
    const form = viewer.page.getByRole("dialog");
    await form.getByText("the RTSP link must begin with rtsp://").waitFor();
    await viewer.fillIn("Typed", `rtsp://127.0.0.1:${await freePort()}/h264`);
    await form.getByRole("button", { name: "Save and watch" }).click();
    await viewer.sees("retrying", "The camera cannot be reached.");

    await viewer.page.goto(`${on.service.origin}/#/cameras?edit=typed`);
    await viewer.fillIn("Typed", camera.link);
    await form.getByRole("button", { name: "Save" }).click();
    await form.waitFor({ state: "detached" });
    await viewer.page.getByRole("link", { name: "Watch Typed" }).click();
    await viewer.sees("live");
    await viewer.watches(2);
    assert.equal((await on.service.status("typed")).state, "live");

    await viewer.tile().hover();
    await viewer.tile().getByRole("button", { name: "Stop" }).click();
    await viewer.sees("stopped");
    await untilEqual("no picture", SECONDS, () => viewer.pictureWidth(), 0);
    await until(
      "the end of the stream",
      SECONDS,
      async () => (await on.service.status("typed")).state === "stopped",
    );
  });

  test("shows the camera's last picture until the video plays", async (t) => {
    const camera = await Camera.startFor(t);
    await on.service.put("poster", { rtsp_link: camera.link });
    const first = await on.visit(t, "#/?cameras=poster");
    await first.sees("live");
    const hasPicture = async () => (await on.service.get("cameras/poster")).picture_at !== null;
    await until("a picture for the next visit", SECONDS, hasPicture);
    assert.deepEqual(first.problems, []);

    await camera.die();
    const second = await on.visit(t, "#/?cameras=poster");
    const video = second.tile("poster").locator("video").first();
    const poster = await until("a poster", SECONDS, () => video.getAttribute("poster"));
    const width = await second.page.evaluate(async (url) => {
      const image = new Image();
      image.src = url;
      await image.decode();
      return image.naturalWidth;
    }, poster);
    assert.equal(width, 640);
    await second.sees(["retrying", "waiting"]);
  });

  test("reports a wrong password, and does not retry automatically", async (t) => {
    const camera = await Camera.startFor(t);
    const viewer = await on.visit(t, "#/cameras?add");
    const form = viewer.page.getByRole("dialog");
    await form.getByLabel("Name", { exact: true }).fill("Locked");
    await form.getByLabel("IP address or host").fill("127.0.0.1");
    await form.getByLabel("RTSP port").fill(String(camera.port));
    await form.getByLabel("Path *", { exact: true }).fill("/private");
    await form.getByLabel("User name").fill("viewer");
    await form.getByLabel("Password").fill("not-it");
    await form.getByRole("button", { name: "Save and watch" }).click();
    await viewer.sees(
      "failed",
      "The camera rejected the user name or password, or forbids access to the stream.",
    );
    assert.ok(!(await viewer.page.content()).includes("not-it"));

    // The page does not contact the camera when the tile comes back into sight or when the view is opened
    // again, because a camera can lock the account after repeated failed logins.
    const starts = () => startsOf(viewer, "locked");
    assert.equal(starts(), 1);
    await viewer.hide();
    await viewer.sees("idle");
    await viewer.hide(false);
    await viewer.sees(
      "failed",
      "The camera rejected the user name or password, or forbids access to the stream.",
    );
    await viewer.page.getByRole("link", { name: "Status" }).click();
    await viewer.page.getByRole("heading", { name: "Active streams" }).waitFor();
    await viewer.page.getByRole("link", { name: "Wall" }).click();
    await viewer.sees(
      "failed",
      "The camera rejected the user name or password, or forbids access to the stream.",
    );
    assert.equal(starts(), 1);
    // The page contacts the camera when the user requests it.
    await viewer.tile().hover();
    for (const number of [2, 3]) {
      await viewer.tile().getByRole("button", { name: "Try again" }).first().click();
      await until(`start ${number}`, SECONDS, () => starts() === number);
      await viewer.sees("failed");
    }

    // With the right password, the camera plays.
    await viewer.page.goto(`${on.service.origin}/#/cameras?edit=locked`);
    await form.getByLabel("Password").fill("secret");
    await form.getByRole("button", { name: "Save" }).click();
    await viewer.page.getByRole("link", { name: "Watch Locked" }).click();
    await viewer.sees("live");
  });

  test("continues automatically when a camera comes back", async (t) => {
    let camera = await Camera.startFor(t);
    const viewer = await on.visit(t, "#/cameras");
    await viewer.add("Returning", camera.link);
    await viewer.sees("live");
    await viewer.watches(2);
    await viewer.page.evaluate(() => (globalThis.isSamePage = true));

    await camera.die();
    await viewer.sees("waiting", "Reconnecting");
    await until("attempts while the camera is off", SECONDS, async () => {
      return (await on.service.status("returning")).restarts >= 2;
    });
    await viewer.sees("waiting", "The camera cannot be reached.");
    camera = await Camera.startFor(t, camera.port);
    const returnedAt = Date.now();

    await viewer.sees("live");
    await viewer.seesPictureNewerThan(returnedAt);
    await viewer.watches(2);
    assert.ok(await viewer.page.evaluate(() => globalThis.isSamePage), "the page was reloaded");
  });

  test("continues automatically when its stream was stopped by another client", async (t) => {
    await on.putCopy("ended");
    const viewer = await on.visit(t, "#/?cameras=ended");
    await viewer.sees("live");
    await viewer.watches(2);
    await on.service.stop("ended");
    await viewer.seesPictureNewerThan(Date.now());
    await viewer.watches(2);
  });

  test("does not restart a stream whose video stands still while media arrives", async (t) => {
    await on.putCopy("slow");
    const viewer = await on.visit(t, "#/?cameras=slow", { transport: "hls" });
    await viewer.sees("live");
    // Stop the video while media arrives: the extreme case of a browser that decodes too slowly.
    await viewer.page.evaluate(() => {
      const video = document.querySelector("video");
      video.playbackRate = 0;
      Object.defineProperty(video, "playbackRate", { get: () => 0, set: () => {} });
    });
    await viewer.sees("waiting");
    // On a busy machine, the media itself can pause. The test then observes the page again.
    await until("continuous media", 2 * SECONDS, async () => {
      const starts = startsOf(viewer, "slow");
      const pause = await longestPause(viewer.page, "/streams/slow/", SLOW_SECONDS);
      if (pause < MISSED_SECONDS) {
        assert.equal(startsOf(viewer, "slow"), starts);
      }
      return pause < MISSED_SECONDS;
    });
  });

  test("restarts a stream from which no media arrives although its state is live", async (t) => {
    await on.putCopy("starved");
    const viewer = await on.visit(t, "#/?cameras=starved", { transport: "hls" });
    await viewer.sees("live");
    await viewer.watches(2);
    const isBlocked = () => startsOf(viewer, "starved") === 1;
    await viewer.page.route("**/streams/starved/*", (route) =>
      isBlocked() ? undefined : route.continue(),
    );
    await until("another start", SECONDS, () => !isBlocked());
    const restoredAt = Date.now();
    await viewer.sees("live");
    await viewer.seesPictureNewerThan(restoredAt);
  });

  test("stops while its tab is hidden, and continues afterwards", async (t) => {
    await on.putCopy("resting");
    const viewer = await on.visit(t, "#/?cameras=resting");
    await viewer.sees("live");
    await viewer.hide();
    await until(
      "the end of the stream",
      SECONDS,
      async () => (await on.service.status("resting")).state === "stopped",
    );
    await viewer.sees("idle");
    const shownAt = Date.now();
    await viewer.hide(false);
    await viewer.sees("live");
    await viewer.seesPictureNewerThan(shownAt);
  });
});

describe("the page and a manager that crashes", () => {
  let parts;
  let browser;
  let camera;

  before(async () => {
    await allOf(
      Parts.start().then((started) => (parts = started)),
      launchBrowser().then((started) => (browser = started)),
      Camera.start().then((started) => (camera = started)),
    );
  });
  after(async () => {
    await browser?.close();
    await parts?.end();
    await camera?.end();
  });

  test("continues automatically when the manager runs again", async (t) => {
    const viewer = await Viewer.openFor(t, browser, parts.origin);
    await viewer.page.getByText("No cameras yet").waitFor();
    await viewer.add("Steady", camera.link);
    await viewer.sees("live");
    await viewer.watches(2);

    await parts.killManager();
    await viewer.page.getByText("The stream manager does not respond").waitFor();
    await viewer.sees(["waiting", "failed"]);
    await parts.startManager();
    const returnedAt = Date.now();
    await viewer.sees("live");
    await viewer.seesPictureNewerThan(returnedAt);
    await viewer.page
      .getByText("The stream manager does not respond")
      .waitFor({ state: "detached" });
  });
});
