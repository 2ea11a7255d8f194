// Tests that each transport of the page continues after outages of its camera and of the manager, in a hidden tab, and
// after the end of its permission. One page plays five cameras, each with another transport.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { Camera } from "./support/camera.mjs";
import { Parts } from "./support/parts.mjs";
import { until } from "./support/until.mjs";
import { launchBrowser, SECONDS, Viewer } from "./support/viewer.mjs";

const TRANSPORTS = ["webcodecs", "webrtc", "mse", "hls", "mjpeg"];
const SETTINGS = {
  WEBRTC_PORT: "0",
  WEBRTC_ADDRESSES: "127.0.0.1",
  ALLOW_ANONYMOUS: "",
  API_KEYS: "desk:admin:desk-secret-0000001",
};
const HEADERS = {
  "Content-Type": "application/json",
  Authorization: "Bearer desk-secret-0000001",
};
/** The time within which all tiles must show new pictures after an outage. Busy machines need a margin. In milliseconds. */
const CONTINUES_MS = 20_000;

/** Runs in the page before its own scripts: chooses the transport with which each camera is named. */
function chooseTransports(names) {
  const choices = Object.fromEntries(names.map((name) => [name, name]));
  localStorage.setItem("transports", JSON.stringify(choices));
}

describe("each transport continues", { concurrency: false }, () => {
  let parts, browser, camera, viewer;

  const call = (method, path, body) =>
    fetch(`${parts.origin}/api/${path}`, { method, headers: HEADERS, body: JSON.stringify(body) });

  /** Waits until all tiles play with the transport of their name, and show pictures that were made after `time`. */
  async function allPlay(time) {
    for (const id of TRANSPORTS) {
      await viewer.seesPictureNewerThan(time, id);
      await until(`${id} is live`, SECONDS, async () => {
        const { state } = (await viewer.describe(id)) ?? {};
        return state === "live" && (await viewer.transport(id)) === id;
      });
    }
  }

  /** Asserts that all tiles show new pictures soon. */
  async function continues(t) {
    const begin = Date.now();
    await allPlay(begin);
    const time = Date.now() - begin;
    t.diagnostic(`${time} ms`);
    assert.ok(time < CONTINUES_MS, `all tiles play after ${time} ms`);
  }

  before(async () => {
    camera = await Camera.start(0, ["--running", "h264"]);
    parts = await Parts.start({ variables: SETTINGS });
    for (const id of TRANSPORTS) {
      assert.ok((await call("PUT", `cameras/${id}`, { rtsp_link: camera.link })).ok);
    }
    browser = await launchBrowser();
    const address = `${parts.origin}/#key=desk-secret-0000001`;
    viewer = await Viewer.open(browser, address);
    await viewer.page.evaluate(chooseTransports, TRANSPORTS);
    await viewer.page.goto(`${parts.origin}/?wall#/?cameras=${TRANSPORTS}`);
    await allPlay(Date.now());
  });
  after(async () => {
    await browser?.close();
    await camera?.end();
    await parts?.end();
  });

  test("after the tab was hidden", async (t) => {
    await viewer.hide();
    for (const id of TRANSPORTS) {
      await viewer.sees("idle", "", id);
    }
    await viewer.hide(false);
    await continues(t);
  });

  test("after a restart of the camera", async (t) => {
    const { port } = camera;
    await camera.die();
    for (const id of TRANSPORTS) {
      await viewer.sees(["waiting", "retrying"], "", id);
    }
    camera = await Camera.start(port, ["--running", "h264"]);
    await continues(t);
  });

  for (const signal of ["SIGTERM", "SIGKILL"]) {
    test(`after a restart of the manager with ${signal}`, async (t) => {
      parts.manager.signal(signal);
      await parts.manager.waitForExit(20);
      await parts.startManager(SETTINGS);
      await continues(t);
    });
  }

  test("after the end of the playback session", async (t) => {
    const { sessions } = await (await call("GET", "playback/sessions")).json();
    assert.ok(sessions.length > 0);
    for (const { session_id: id } of sessions) {
      await call("DELETE", `playback/sessions/${id}`);
    }
    await continues(t);
  });

  test("after the page has been opened with the token of a session that has ended", async (t) => {
    const { sessions } = await (await call("GET", "playback/sessions")).json();
    for (const { session_id: id } of sessions) {
      await call("DELETE", `playback/sessions/${id}`);
    }
    await viewer.page.reload();
    await continues(t);
  });
});
