// The page in a real browser, in front of the real service and real cameras.
import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";

import { Camera } from "./support/camera.mjs";
import { freePort } from "./support/port.mjs";
import { Service } from "./support/service.mjs";
import { until } from "./support/until.mjs";
import { SECONDS, Viewer, launchBrowser } from "./support/viewer.mjs";

/** A live picture is a few segments of two seconds old; more than this is not live. */
const LIVE_MILLISECONDS = 15_000;

describe("the page", () => {
  let service;
  let browser;

  before(async () => {
    service = await Service.start();
    browser = await launchBrowser();
  });
  after(async () => {
    await browser?.close();
    await service?.end();
  });
  afterEach((t) => {
    if (t.error) {
      console.error(service?.child.output);
    }
  });

  async function visit(t, address) {
    const viewer = await Viewer.open(browser, address);
    t.after(() => viewer.close());
    return viewer;
  }

  test("plays the demo camera from its link, and nothing is wrong", async (t) => {
    const viewer = await visit(t, service.page);
    await viewer.reads("live");
    await viewer.watches(5);

    assert.equal((await viewer.video()).videoWidth, 640);
    const age = Date.now() - (await viewer.pictureTime());
    assert.ok(age < LIVE_MILLISECONDS, `the picture is ${age} ms old`);
    assert.deepEqual(viewer.problems, []);
    const elsewhere = viewer.requests.filter((url) => new URL(url).origin !== service.origin);
    assert.deepEqual(elsewhere, []);
  });

  test("tells why a link does not work, plays one that does, and stops", async (t) => {
    const camera = await Camera.start();
    t.after(() => camera.end());
    const viewer = await visit(t, service.origin);

    await viewer.start("typed", "http://x");
    await viewer.readsError("rtsp_link must begin with rtsp://");
    await viewer.start("typed", `rtsp://127.0.0.1:${await freePort()}/h264`);
    await viewer.readsError("the camera refuses connections");

    await viewer.start("typed", camera.link);
    await viewer.reads("live");
    await viewer.watches(2);
    assert.equal((await service.status("typed")).state, "live");

    await viewer.stop();
    await viewer.reads("stopped");
    assert.equal((await service.status("typed")).state, "stopped");
    assert.equal((await viewer.video()).videoWidth, 0);
  });

  test("goes on by itself when a camera comes back", async (t) => {
    let camera = await Camera.start();
    t.after(() => camera.end());
    const viewer = await visit(t, service.origin);
    await viewer.start("returning", camera.link);
    await viewer.reads("live");
    await viewer.watches(2);
    await viewer.page.evaluate(() => (globalThis.isSamePage = true));

    await camera.die();
    await viewer.reads("waiting for the camera");
    await until("attempts while the camera is away", SECONDS, async () => {
      return (await service.status("returning")).restarts >= 2;
    });
    camera = await Camera.start(camera.port);
    const returnedAt = Date.now();

    await viewer.reads("live");
    await viewer.seesPictureOfAfter(returnedAt);
    await viewer.watches(2);
    assert.ok(await viewer.page.evaluate(() => globalThis.isSamePage), "the page was reloaded");
  });

  test("goes on by itself when its stream was ended by somebody else", async (t) => {
    const viewer = await visit(t, service.page);
    await viewer.reads("live");
    await viewer.watches(2);
    await service.stop("demo");
    await viewer.seesPictureOfAfter(Date.now());
    await viewer.watches(2);
  });
});
