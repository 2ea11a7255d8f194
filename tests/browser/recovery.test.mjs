// Tests that the page and the player of the examples show new pictures soon after interruptions. The tests observe
// the frames that the browser presents.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { Camera } from "./support/camera.mjs";
import { Parts } from "./support/parts.mjs";
import { until } from "./support/until.mjs";
import { launchBrowser, SECONDS, Viewer } from "./support/viewer.mjs";

/** `./deploy/test --long` also runs the tests that take more than 20 seconds. */
const IS_LONG = Boolean(process.env.LONG_TESTS);
const HLS = new URL("../../nginx/web/node_modules/hls.js/dist/hls.min.js", import.meta.url);
const EXAMPLE = new URL("../../deploy/examples/camera.js", import.meta.url);
const FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";
/**
 * The time within which the picture must move again after the end of an interruption. It is long enough for one
 * failed attempt of the page and then a start, which includes the wait for a keyframe.
 */
const CONTINUES_SECONDS = 6;
/** The corresponding time for the player of the examples, which pauses longer between two attempts. */
const EXAMPLE_CONTINUES_SECONDS = 9;

describe("new pictures appear soon", { concurrency: false }, () => {
  let browser;
  before(async () => (browser = await launchBrowser()));
  after(() => browser.close());

  /** Starts a service with a camera, and watches the camera on the page for `seconds`. */
  async function watch(t, seconds) {
    const camera = await Camera.startFor(t, 0, ["--running", "h264"]);
    const parts = await Parts.start();
    t.after(() => parts.end());
    const put = async (link) => {
      const body = JSON.stringify({ rtsp_link: link });
      const headers = { "Content-Type": "application/json" };
      const url = `${parts.origin}/api/cameras/cam`;
      assert.ok((await fetch(url, { method: "PUT", headers, body })).ok);
    };
    await put(camera.link);
    const viewer = await Viewer.openFor(t, browser, `${parts.origin}/#/?cameras=cam`);
    await viewer.sees("live");
    await viewer.watches(seconds);
    return { camera, parts, viewer, put };
  }

  /** Waits until the page shows a picture that the camera made after this call, and asserts that it comes in time. */
  async function continues(t, viewer, within = CONTINUES_SECONDS) {
    const begin = Date.now();
    await viewer.seesPictureNewerThan(begin);
    const seconds = (Date.now() - begin) / 1000;
    t.diagnostic(`${seconds} s`);
    await viewer.watches(2);
    assert.ok(seconds < within, `the picture moved after ${seconds} s`);
  }

  async function restart(parts, signal, { pause = 0, variables = {} } = {}) {
    parts.manager.signal(signal);
    await parts.manager.waitForExit(20);
    await sleep(pause * 1000);
    await parts.startManager(variables);
  }

  for (const signal of ["SIGTERM", "SIGKILL"]) {
    const skip = !IS_LONG && signal === "SIGTERM";
    test(`after a restart of the manager with ${signal}`, { skip }, async (t) => {
      const { parts, viewer } = await watch(t, 5);
      await restart(parts, signal);
      await continues(t, viewer);
    });
  }

  test("after the stream was stopped", async (t) => {
    const { parts, viewer } = await watch(t, 5);
    const body = JSON.stringify({ indicator_id: "cam" });
    await fetch(`${parts.origin}/api/stream/stop`, { method: "POST", body });
    await continues(t, viewer);
  });

  test("after the source was replaced", async (t) => {
    const { viewer, put } = await watch(t, 5);
    const other = await Camera.startFor(t, 0, [
      "--running",
      "h264",
      "--width",
      "320",
      "--height",
      "192",
    ]);
    await put(other.link);
    await continues(t, viewer);
    await until("the other picture", SECONDS, async () => (await viewer.pictureWidth()) === 320);
  });

  for (const signal of ["SIGTERM", "SIGKILL"]) {
    test(`after the manager was down for a minute (${signal})`, { skip: !IS_LONG }, async (t) => {
      const { parts, viewer } = await watch(t, 20);
      await restart(parts, signal, { pause: 60 });
      await continues(t, viewer);
    });
  }

  test("after a restart with the clock set back an hour", { skip: !IS_LONG }, async (t) => {
    const { parts, viewer } = await watch(t, 20);
    // Only the manager sees the changed time. Its FFmpegs do not.
    const variables = {
      LD_PRELOAD: FAKETIME,
      FAKETIME: "-1h",
      FAKETIME_DONT_FAKE_MONOTONIC: "1",
    };
    await restart(parts, "SIGTERM", { variables });
    await continues(t, viewer);
  });

  test("after the camera was unreachable for a minute", { skip: !IS_LONG }, async (t) => {
    const { camera, viewer } = await watch(t, 20);
    await camera.die();
    await sleep(60_000);
    await Camera.startFor(t, camera.port, ["--running", "h264"]);
    await continues(t, viewer);
  });

  /** Shows the camera of a service with the player of the examples, and waits until it has played. */
  async function watchExample(t) {
    const { parts } = await watch(t, 1);
    const viewer = await Viewer.openFor(t, browser, `${parts.origin}/#/status`);
    await viewer.page.evaluate(() => {
      document.body.innerHTML =
        '<video id="video" muted data-hls-url="/streams/cam/index.m3u8"></video>' +
        '<p id="message"></p><form id="renew"></form>';
    });
    await viewer.page.evaluate(readFileSync(HLS, "utf8"));
    await viewer.page.evaluate(readFileSync(EXAMPLE, "utf8"));
    await viewer.watches(5);
    return { parts, viewer };
  }

  for (const [signal, pause] of [
    ["SIGTERM", 0],
    ["SIGKILL", 60],
  ]) {
    const name = `in the examples' player after ${signal} and ${pause} s without a manager`;
    test(name, { skip: !IS_LONG && pause > 0 }, async (t) => {
      const { parts, viewer } = await watchExample(t);
      await restart(parts, signal, { pause });
      await continues(t, viewer, EXAMPLE_CONTINUES_SECONDS);
    });
  }
});
