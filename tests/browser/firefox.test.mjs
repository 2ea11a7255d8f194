// Tests the page in Firefox: that it plays by each transport that Firefox has, and continues after a restart.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { Camera } from "./support/camera.mjs";
import { FirefoxPage, launchFirefox } from "./support/firefox.mjs";
import { Parts } from "./support/parts.mjs";

/** Greatest median age of the picture in milliseconds, by transport. A busy machine needs a margin. */
const MAX_AGE_MS = { webcodecs: 1000, mse: 1000, hls: 2000, mjpeg: 1000 };
const MEASURED = 20;
const INTERVAL_MS = 100;

describe("the page in Firefox", { concurrency: false }, () => {
  let parts;
  let browser;

  before(async () => {
    parts = await Parts.start();
    browser = await launchFirefox();
  });
  after(async () => {
    await browser?.close();
    await parts?.end();
  });

  /** Starts a camera, and opens its tile on the page. */
  async function watch(t, transport) {
    const camera = await Camera.startFor(t, 0, ["--running", "h264"]);
    const id = `by-${transport}`;
    const put = await fetch(`${parts.origin}/api/cameras/${id}`, {
      method: "PUT",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ rtsp_link: camera.link }),
    });
    assert.ok(put.ok);
    return FirefoxPage.openFor(t, browser, `${parts.origin}/#/?cameras=${id}`, transport);
  }

  async function medianAge(page) {
    const ages = [];
    for (let index = 0; index < MEASURED; index += 1) {
      ages.push(await page.pictureAge());
      await sleep(INTERVAL_MS);
    }
    return ages.sort((a, b) => a - b)[MEASURED / 2];
  }

  for (const transport of ["webcodecs", "mse", "hls", "mjpeg"]) {
    test(`plays by ${transport}`, async (t) => {
      const page = await watch(t, transport);
      await page.shows(transport);
      const age = await medianAge(page);
      t.diagnostic(`median age of the picture: ${age} ms`);
      assert.ok(age < MAX_AGE_MS[transport], `the picture is ${age} ms old`);
      assert.deepEqual(page.problems, []);
    });
  }

  test("chooses a socket by default, and continues after a restart of the manager", async (t) => {
    const page = await watch(t, "auto");
    const chosen = await page.shows("webcodecs", "mse");
    parts.manager.signal("SIGTERM");
    await parts.manager.waitForExit(20);
    await parts.startManager();
    await page.shows(chosen);
  });
});
