// Tests plain hls.js players, without the page's own recovery: that they continue after interruptions, and
// that they soon show a picture after they join.
import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { after, before, describe, test } from "node:test";

import { Camera } from "./support/camera.mjs";
import { Parts } from "./support/parts.mjs";
import { until } from "./support/until.mjs";
import { launchBrowser, SECONDS, Viewer } from "./support/viewer.mjs";

const HLS = new URL("../../nginx/web/node_modules/hls.js/dist/hls.min.js", import.meta.url);
/** `./deploy/test --long` also runs the tests that take more than 20 seconds. */
const IS_LONG = Boolean(process.env.LONG_TESTS);
const FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

/** An API key of the role admin. */
const KEY = "admin-secret-000001";
/** The settings with which the players are tested. */
const PLAYERS = {
  default: {},
  tuned: { lowLatencyMode: true, liveSyncDuration: 0.6, maxLiveSyncPlaybackRate: 1.1 },
  plain: { lowLatencyMode: false },
};
/** The time within which every player must show new pictures again. */
const CONTINUES_SECONDS = 20;
/**
 * The time within which every player must show new pictures after a restart of the manager or a stop. The playlist keeps
 * its earlier segments, so the players need not wait until it is long again.
 */
const RESTARTED_SECONDS = 8;
/** The time within which a player that joins must show pictures. */
const JOINS_SECONDS = 5;
/** The playing time after a join in which the picture must not freeze. */
const PLAYS_SECONDS = 4;
/** The settings of the page's own player. */
const PAGE_SETTINGS = new URL("../../nginx/web/src/player/low-latency.json", import.meta.url);

describe("plain hls.js", () => {
  let browser;
  before(async () => (browser = await launchBrowser()));
  after(() => browser.close());

  /** Starts a service with a camera and opens a page without players. Adds the camera as `cam`. */
  async function setUp(t, options = []) {
    const camera = await Camera.startFor(t, 0, ["--running", "h264", ...options]);
    const parts = await Parts.start();
    t.after(() => parts.end());
    const viewer = await Viewer.openFor(t, browser, `${parts.origin}/#/status`);
    await viewer.page.evaluate(readFileSync(HLS, "utf8"));
    await viewer.page.evaluate(defineShow);
    const put = (link, more = {}) =>
      fetch(`${parts.origin}/api/cameras/cam`, {
        method: "PUT",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ rtsp_link: link, ...more }),
      });
    await put(camera.link);
    return { camera, parts, page: viewer.page, put };
  }

  /** Starts a player with each of the settings, and waits until all have played for `seconds`. */
  async function watch(page, seconds) {
    await page.evaluate((players) => {
      globalThis.players = Object.entries(players).map(([name, settings]) =>
        globalThis.show(name, settings),
      );
    }, PLAYERS);
    await until(`${seconds} s played`, SECONDS + seconds, () =>
      page.evaluate(
        (seconds) => globalThis.players.every(({ frames }) => frames >= 25 * seconds),
        seconds,
      ),
    );
  }

  /** Waits until every player has shown a second of new pictures. */
  async function continues(page, within = CONTINUES_SECONDS) {
    await page.evaluate(() => globalThis.players.forEach((player) => (player.frames = 0)));
    const isPlaying = () =>
      page.evaluate(() => globalThis.players.every(({ frames }) => frames >= 25));
    await until("every player continues", within, isPlaying).catch(async (error) => {
      throw new Error(
        `${error.message}: ${await page.evaluate(() => JSON.stringify(globalThis.players))}`,
      );
    });
    const errors = await page.evaluate(() => globalThis.players.flatMap(({ fatal }) => fatal));
    assert.deepEqual(errors, []);
  }

  for (const signal of ["SIGTERM", "SIGKILL"]) {
    test(`continues after the manager was restarted with ${signal}`, async (t) => {
      const { parts, page } = await setUp(t);
      await watch(page, 3);
      parts.manager.signal(signal);
      await parts.manager.waitForExit(20);
      await parts.startManager();
      await continues(page, RESTARTED_SECONDS);
    });
  }

  test("continues after the manager was restarted twice, when the playlist has its full length", {
    skip: !IS_LONG,
  }, async (t) => {
    const { parts, page } = await setUp(t);
    await watch(page, 20);
    for (const signal of ["SIGTERM", "SIGKILL"]) {
      parts.manager.signal(signal);
      await parts.manager.waitForExit(20);
      await parts.startManager();
      await continues(page, RESTARTED_SECONDS);
    }
  });

  test("continues after a restart of the manager with the clock set back an hour", {
    skip: !IS_LONG,
  }, async (t) => {
    const { parts, page } = await setUp(t);
    await watch(page, 5);
    parts.manager.signal("SIGTERM");
    await parts.manager.waitForExit(20);
    // Only the manager sees the changed time. Its FFmpegs do not.
    await parts.startManager({
      LD_PRELOAD: FAKETIME,
      FAKETIME: "-1h",
      FAKETIME_DONT_FAKE_MONOTONIC: "1",
    });
    await continues(page, RESTARTED_SECONDS);
  });

  test("continues after the stream was stopped while it was watched", {
    skip: !IS_LONG,
  }, async (t) => {
    const { parts, page } = await setUp(t);
    await watch(page, 10);
    const body = JSON.stringify({ indicator_id: "cam" });
    await fetch(`${parts.origin}/api/stream/stop`, { method: "POST", body });
    await continues(page, RESTARTED_SECONDS);
  });

  test("continues after the camera's source was replaced", { skip: !IS_LONG }, async (t) => {
    const { page, put } = await setUp(t);
    await watch(page, 10);
    const other = await Camera.startFor(t, 0, ["--width", "320", "--height", "192"]);
    await put(other.link);
    await until("the other picture", CONTINUES_SECONDS, () =>
      page.evaluate(() => globalThis.players.every(({ video }) => video.videoWidth === 320)),
    );
    await continues(page);
  });

  test("continues after the camera was unreachable for a minute", { skip: !IS_LONG }, async (t) => {
    const { camera, page } = await setUp(t);
    await watch(page, 10);
    await camera.die();
    await new Promise((resolve) => setTimeout(resolve, 60_000));
    await Camera.startFor(t, camera.port, ["--running", "h264"]);
    await continues(page);
  });

  test("plays with the cookie of a session, on a page of another origin", async (t) => {
    const server = createServer((_, response) =>
      response.setHeader("Content-Type", "text/html").end("<!doctype html><body>"),
    );
    t.after(() => server.close());
    await once(server.listen(0, "127.0.0.1"), "listening");
    // Chromium resolves all names below localhost to this machine. The two hosts belong to one site.
    const shop = `http://shop.site.localhost:${server.address().port}`;
    const camera = await Camera.startFor(t, 0, ["--running", "h264"]);
    const parts = await Parts.start({
      corsOrigins: `https://other.example ${shop}`,
      variables: { API_KEYS: `shop:admin:${KEY}` },
    });
    t.after(() => parts.end());
    const headers = { Authorization: `Bearer ${KEY}`, "Content-Type": "application/json" };
    const body = JSON.stringify({ rtsp_link: camera.link });
    await fetch(`${parts.origin}/api/cameras/cam`, { method: "PUT", headers, body });

    const video = parts.origin.replace("localhost", "video.site.localhost");
    const { page } = await Viewer.openFor(t, browser, shop);
    await page.evaluate(readFileSync(HLS, "utf8"));
    await page.evaluate(defineShow);
    const status = await page.evaluate(
      async ([url, headers]) => {
        // The header X-Requested-With, which some HTTP clients add, makes the browser send a preflight.
        const init = {
          method: "POST",
          credentials: "include",
          headers: { ...headers, "X-Requested-With": "XMLHttpRequest" },
          body: JSON.stringify({ user: "anna", camera: "cam", cookie: true }),
        };
        return (await fetch(`${url}/api/playback/sessions`, init)).status;
      },
      [video, headers],
    );
    assert.equal(status, 201);
    await page.evaluate((url) => {
      const xhrSetup = (request) => {
        request.withCredentials = true;
      };
      globalThis.players = [
        globalThis.show("cookie", { xhrSetup }, `${url}/streams/cam/index.m3u8`),
      ];
    }, video);
    await until("three seconds played", SECONDS, () =>
      page.evaluate(() => globalThis.players[0].frames >= 75),
    );

    // The browser also sends the cookie with requests for pictures, from every page of the site. The service must
    // refuse these requests if CORS_ORIGINS does not list the origin of the page.
    const showsPicture = () =>
      page.evaluate(
        (url) =>
          new Promise((resolve) => {
            const image = new Image();
            image.onload = () => resolve(true);
            image.onerror = () => resolve(false);
            image.src = url;
          }),
        `${video}/streams/cam/snapshot.jpg`,
      );
    assert.equal(await showsPicture(), true);
    await page.goto(shop.replace("shop.", "evil."));
    assert.equal(await showsPicture(), false, "a page that is not in CORS_ORIGINS got a picture");
  });

  test("plays soon after it joins a stream that has just started again, with a keyframe every 4 s", {
    skip: !IS_LONG,
  }, async (t) => {
    const { parts, page } = await setUp(t, ["--gop-seconds", "4"]);
    const players = { ...PLAYERS, page: JSON.parse(readFileSync(PAGE_SETTINGS, "utf8")) };
    for (let join = 0; join < 10; join += 1) {
      const start = { method: "POST", body: JSON.stringify({ indicator_id: "cam" }) };
      assert.equal((await fetch(`${parts.origin}/api/stream/start`, start)).status, 200);
      await page.evaluate((players) => {
        globalThis.players = Object.entries(players).map((entry) => globalThis.show(...entry));
      }, players);
      const hasPlayed = (seconds) =>
        page.evaluate(
          (count) => globalThis.players.every(({ frames }) => frames >= count),
          25 * seconds,
        );
      const within = JOINS_SECONDS + PLAYS_SECONDS - 1;
      await until(`pictures after join ${join}`, JOINS_SECONDS, () => hasPlayed(1));
      await until(`playing after join ${join}`, within, () => hasPlayed(PLAYS_SECONDS));
      await page.evaluate(() => globalThis.players.forEach(({ hls }) => hls.destroy()));
      await fetch(`${parts.origin}/api/stream/stop`, start);
    }
  });

  test("shows a picture soon after it joins a stream with a keyframe every 10 s", async (t) => {
    const { parts, page, put, camera } = await setUp(t, ["--gop-seconds", "10"]);
    await put(camera.link, { keep: "always" });
    const hasSecondGop = async () => {
      const text = await (await fetch(`${parts.origin}/streams/cam/stream.m3u8`)).text();
      return text.includes("INDEPENDENT=YES");
    };
    await until("the second GOP", SECONDS, hasSecondGop);
    const count = IS_LONG ? 10 : 1;
    for (let join = 0; join < count; join += 1) {
      await page.evaluate((players) => {
        globalThis.players = Object.entries(players).map((entry) => globalThis.show(...entry));
      }, PLAYERS);
      const hasPicture = () =>
        page.evaluate(() => globalThis.players.every(({ frames }) => frames >= 25));
      await until(`pictures after join ${join}`, JOINS_SECONDS, hasPicture);
      await page.evaluate(() => globalThis.players.forEach(({ hls }) => hls.destroy()));
    }
  });
});

/** Runs in the page: defines a function that starts a player, and counts its pictures and fatal errors. */
function defineShow() {
  globalThis.show = (name, settings, url = "/streams/cam/index.m3u8") => {
    const video = document.body.appendChild(document.createElement("video"));
    video.muted = true;
    const hls = new globalThis.Hls({ enableWorker: false, ...settings });
    const player = { hls, video, frames: 0, fatal: [] };
    player.toJSON = () => ({ name, ...player, hls: hls.latency, video: video.currentTime });
    hls.on(globalThis.Hls.Events.ERROR, (_, { details, fatal }) => {
      if (fatal) {
        player.fatal.push(details);
      }
    });
    const count = () => {
      player.frames += 1;
      video.requestVideoFrameCallback(count);
    };
    video.requestVideoFrameCallback(count);
    hls.loadSource(url);
    hls.attachMedia(video);
    video.play();
    return player;
  };
}
