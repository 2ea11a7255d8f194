// Tests <stream-camera> in a page of another site with a strict Content-Security-Policy, which loads the element from
// the service.
import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { gzipSync } from "node:zlib";

import { Camera } from "./support/camera.mjs";
import { addElement } from "./support/element.mjs";
import { stage } from "./support/stage.mjs";
import { until, untilEqual } from "./support/until.mjs";
import { readClock, SECONDS, Viewer } from "./support/viewer.mjs";

const ADMIN = "boss-secret-0123456789";
/** Lifetime of the sessions that are renewed, in seconds. */
const SHORT_SECONDS = 5;
/** Time for which a camera that starts slowly does not respond. Other transports are usually tried after 0.9 s. */
const SLOW_START_MS = 2000;
/** The size of the compressed scripts without hls.js that the description of the package states, in bytes. */
const MAX_BYTES = statedSize("../../clients/web/README.md");

function statedSize(path) {
  const text = readFileSync(new URL(path, import.meta.url), "utf8");
  return Number(/less than (\d+) kB/.exec(text)[1]) * 1000;
}

describe("<stream-camera>", () => {
  const on = stage({
    API_KEYS: `boss:admin:${ADMIN}`,
    ALLOW_ANONYMOUS: "",
    WEBRTC_PORT: "0",
    WEBRTC_ADDRESSES: "127.0.0.1",
  });
  let server, address;

  before(async () => {
    await Promise.all(["gate", "yard"].map((id) => on.putCopy(id, {}, ADMIN)));
    const service = on.service.origin;
    // The directives that docs/guide/web-component.md names.
    const policy = [
      "default-src 'none'",
      `script-src ${service}`,
      `connect-src ${service} ${service.replace(/^http/, "ws")}`,
      "img-src blob:",
      "media-src blob:",
    ].join("; ");
    server = createServer((_, response) => {
      response.writeHead(200, { "Content-Type": "text/html", "Content-Security-Policy": policy });
      response.end(
        `<!doctype html><title>Shop</title>
        <script type="module" src="${service}/player/stream-camera.js"></script>`,
      );
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    // The service is at localhost, so this page is of another site.
    address = `http://127.0.0.1:${server.address().port}/`;
  });
  after(() => {
    server?.close();
    server?.closeAllConnections();
  });

  async function session(cameras, seconds = 600) {
    const response = await fetch(`${on.service.origin}/api/playback/sessions`, {
      method: "POST",
      headers: { Authorization: `Bearer ${ADMIN}`, "Content-Type": "application/json" },
      body: JSON.stringify({ user: "anna", cameras, ttl_seconds: seconds }),
    });
    assert.equal(response.status, 201);
    return response.json();
  }

  async function endSession({ session_id: id }) {
    const headers = { Authorization: `Bearer ${ADMIN}` };
    await fetch(`${on.service.origin}/api/playback/sessions/${id}`, { method: "DELETE", headers });
  }

  /** Waits until no live socket and no WebRTC session is open at the manager. */
  async function seesNoConnection() {
    const headers = { Authorization: `Bearer ${ADMIN}` };
    await until("no connection at the manager", SECONDS, async () => {
      const text = await (await fetch(`${on.service.manager}/metrics`, { headers })).text();
      const count = (name) =>
        Number(new RegExp(`^stream_manager_${name} (\\d+)$`, "m").exec(text)[1]);
      return count("live_sockets") + count("webrtc_sessions") === 0;
    });
  }

  /** Opens the page. `getToken` is the function of the page that requests a token. */
  async function open(t, getToken) {
    const viewer = await Viewer.openFor(t, on.browser, address);
    const { page } = viewer;
    if (getToken) {
      await page.exposeFunction("getToken", getToken);
    }
    const add = (properties, name = "camera") => {
      const getsToken = Boolean(getToken);
      return page.evaluate(addElement, { name, properties, getsToken });
    };
    const events = (name = "camera") => page.evaluate((id) => globalThis.events[id], name);
    const read = (property, name = "camera") =>
      page.evaluate(([id, key]) => document.getElementById(id)[key], [name, property]);
    const set = (properties, name = "camera") =>
      page.evaluate(
        ([id, values]) => void Object.assign(document.getElementById(id), values),
        [name, properties],
      );
    const call = (method, name = "camera") =>
      page.evaluate(([id, key]) => void document.getElementById(id)[key](), [name, method]);
    /** Waits for an event with these details, after `from` events. */
    const sees = (wanted, { name = "camera", from = 0 } = {}) =>
      until(`the event ${JSON.stringify(wanted)}`, SECONDS, async () =>
        (await events(name))
          .slice(from)
          .find((event) => Object.entries(wanted).every(([key, value]) => event[key] === value)),
      ).catch(async (error) => {
        const seen = JSON.stringify(await events(name));
        throw new Error(`${error.message}; the events are ${seen}`);
      });
    /** Waits until the clock in the picture shows that video moves. */
    const moves = async (name = "camera") => {
      const clock = () => page.evaluate(readClock, `#${name} `);
      const first = await until("a picture", SECONDS, clock);
      await until("another picture", SECONDS, async () => (await clock()) !== first);
    };
    return { viewer, page, add, events, read, set, call, sees, moves };
  }

  test("plays from a token, and reports its states", async (t) => {
    const { viewer, add, events, read, sees, moves, call } = await open(t);
    const { token } = await session(["gate"]);
    await add({ server: on.service.origin, camera: "gate", token });
    const { transport } = await sees({ type: "statechange", state: "playing" });
    await moves();
    assert.equal(transport, "webcodecs");
    assert.equal(await read("currentTransport"), "webcodecs");
    await until("the picture's age", SECONDS, async () => (await read("latency")) !== null);
    assert.deepEqual(
      (await events()).slice(0, 2).map(({ type, state }) => `${type} ${state}`),
      ["statechange connecting", "statechange playing"],
    );
    assert.ok(!viewer.requests.some((url) => url.includes("/player/hls-")), "hls.js was loaded");
    await call("stop");
    await sees({ state: "idle" });
    await seesNoConnection();
    // A camera that is not running has no picture yet, so 404 is expected for its poster.
    assert.deepEqual(
      viewer.problems.filter((problem) => !problem.includes("404")),
      [],
    );
  });

  test("tries no other transport while the camera starts", async (t) => {
    const camera = await Camera.startFor(t);
    await on.service.put("slow", { rtsp_link: camera.link }, ADMIN);
    const { viewer, page, add, sees } = await open(t);
    const sockets = [];
    page.on("websocket", (socket) => sockets.push(socket.url()));
    // The camera accepts connections, and does not respond.
    camera.child.signal("SIGSTOP");
    const { token } = await session(["slow"]);
    await add({ server: on.service.origin, camera: "slow", token });
    await until("a socket", SECONDS, async () => sockets.length > 0);
    await sleep(SLOW_START_MS);
    camera.child.signal("SIGCONT");
    await sees({ state: "playing", transport: "webcodecs" });
    assert.equal(sockets.length, 1);
    assert.ok(!viewer.requests.some((url) => /\/whep$|\/player\/hls-/.test(url)));
  });

  test("starts a camera by a socket before it uses WebRTC", async (t) => {
    const camera = await Camera.startFor(t);
    await on.service.put("cold", { rtsp_link: camera.link }, ADMIN);
    const { viewer, page, add, sees } = await open(t);
    const sockets = [];
    page.on("websocket", (socket) => sockets.push(socket.url()));
    camera.child.signal("SIGSTOP");
    const { token } = await session(["cold", "gate"]);
    // Several elements prefer WebRTC.
    await add({ server: on.service.origin, camera: "gate", token }, "other");
    await add({ server: on.service.origin, camera: "cold", token });
    const isCold = (url) => url.includes("/cold/");
    await until("a socket", SECONDS, async () => sockets.some(isCold));
    await sleep(SLOW_START_MS);
    assert.ok(!viewer.requests.some((url) => isCold(url) && url.endsWith("/whep")));
    camera.child.signal("SIGCONT");
    await sees({ state: "playing", transport: "mse" });
    await sees({ state: "playing", transport: "webrtc" });
  });

  test("uses WebRTC at once if only WebRTC is allowed", async (t) => {
    const { add, events, sees } = await open(t);
    const { token } = await session(["gate"]);
    await add({ server: on.service.origin, camera: "gate", token, transport: "webrtc" });
    await sees({ state: "playing", transport: "webrtc" });
    assert.ok(!(await events()).some(({ type }) => type === "error"));
  });

  test("plays the address of a session's stream, with controls", async (t) => {
    const { page, add, read, moves, sees } = await open(t);
    const { hls_url: path } = await session(["yard"]);
    await add({ src: new URL(path, on.service.origin).href, controls: true, muted: false });
    await moves();
    await page.getByRole("button", { name: "Turn the sound off" }).click();
    await untilEqual("the sound is off", SECONDS, () => read("muted"), true);
    await page.getByRole("button", { name: "Stop" }).click();
    await sees({ state: "idle" });
    await page.getByRole("button", { name: "Play" }).press("Enter");
    await moves();
  });

  test("requests tokens from the page before they expire, without an interruption", async (t) => {
    let calls = 0;
    const getToken = async () => {
      calls += 1;
      return (await session(["gate"], SHORT_SECONDS)).hls_url;
    };
    const { page, add, events, sees, moves } = await open(t, getToken);
    const ends = [];
    const noteEnd = ({ payload }) => /"type":"end"/.test(payload) && ends.push(String(payload));
    page.on("websocket", (socket) => socket.on("framereceived", noteEnd));
    await add({ server: on.service.origin, camera: "gate" });
    await sees({ state: "playing" });
    await until("several sessions", SECONDS, async () => calls >= 3);
    await moves();
    assert.deepEqual(
      (await events()).filter(({ type }) => type !== "statechange"),
      [],
    );
    // The service has ended no connection, because each was replaced before.
    assert.deepEqual(ends, []);
  });

  test("requests a token if the session was ended, and ends if there is none", async (t) => {
    const sessions = [];
    let isOver = false;
    const getToken = async () => {
      if (isOver) {
        return null;
      }
      sessions.push(await session(["gate"]));
      return sessions.at(-1).token;
    };
    const { add, set, events, sees, moves } = await open(t, getToken);
    await add({ server: on.service.origin, camera: "gate" });
    await sees({ state: "playing" });
    await endSession(sessions[0]);
    await until("another session", SECONDS, async () => sessions.length === 2);
    await moves();
    assert.ok(!(await events()).some(({ type }) => type === "sessionend"));
    isOver = true;
    await endSession(sessions[1]);
    await sees({ type: "sessionend", code: "unauthorized" });
    await sees({ state: "ended" });
    await seesNoConnection();
    const { token } = await session(["gate"]);
    const from = (await events()).length;
    await set({ token });
    await sees({ state: "playing" }, { from });
  });

  test("reports an unknown camera, a wrong token and a service that does not respond", async (t) => {
    const { add, set, events, sees } = await open(t);
    const { token } = await session(["gate", "lost"]).catch(() => session(["*"]));
    await add({ server: on.service.origin, camera: "nowhere", token });
    await sees({ type: "error", code: "unknown_camera", isRetried: false });
    await sees({ state: "failed" });
    let from = (await events()).length;
    await set({ camera: "gate", token: "wrong" });
    await sees({ type: "error", code: "unauthorized" }, { from });
    from = (await events()).length;
    await set({ token });
    await sees({ state: "playing" }, { from });
    from = (await events()).length;
    await set({ server: "http://127.0.0.1:9" });
    await sees({ type: "error", code: "unreachable", isRetried: true }, { from });
    from = (await events()).length;
    await set({ server: on.service.origin, camera: "" });
    await sees({ type: "error", code: "invalid_source" }, { from });
  });

  test("is small, and can be loaded by pages of all origins", async (t) => {
    const load = async (name) => {
      const url = `${on.service.origin}/player/${name}`;
      const response = await fetch(url, { headers: { Origin: "https://shop.example" } });
      assert.equal(response.status, 200);
      assert.equal(response.headers.get("Access-Control-Allow-Origin"), "*");
      assert.equal(response.headers.get("Content-Encoding"), "gzip");
      return response.text();
    };
    const entry = await fetch(`${on.service.origin}/player/stream-camera.js`);
    const source = await entry.text();
    const [, name] = /from\s*"\.\/([^"]+)"/.exec(source);
    const bytes = gzipSync(source).length + gzipSync(await load(name)).length;
    assert.ok(bytes < MAX_BYTES, `${bytes} bytes`);
    t.diagnostic(`${bytes} bytes, compressed`);
    // Servers that render pages can import the package.
    const { StreamCamera } = await import("../../clients/web/dist/stream-camera.js");
    assert.equal(typeof StreamCamera, "function");
  });

  test("follows changes of its attributes while it plays", async (t) => {
    const { viewer, add, set, events, sees, moves } = await open(t);
    const { token } = await session(["gate", "yard"]);
    await add({ server: on.service.origin, camera: "gate", token });
    await sees({ state: "playing" });
    let from = (await events()).length;
    await set({ transport: "hls" });
    await sees({ state: "playing", transport: "hls" }, { from });
    await moves();
    assert.ok(viewer.requests.some((url) => /\/hls-/.test(url)));
    from = (await events()).length;
    await set({ camera: "yard", transport: "mse" });
    await sees({ state: "playing", transport: "mse" }, { from });
    await moves();
    assert.ok(viewer.requests.some((url) => url.includes("/yard/")));
    from = (await events()).length;
    await set({ token: (await session(["yard"])).token, muted: false, volume: 0.5 });
    await moves();
    assert.deepEqual((await events()).slice(from), []);
    assert.deepEqual(
      viewer.problems.filter((problem) => problem.includes("violates")),
      [],
    );
  });

  test("fills the page if the browser has no full screen for a canvas, as on a phone", async (t) => {
    const { page, add, set, call, sees, moves } = await open(t);
    await page.evaluate(() => {
      Object.defineProperty(document, "fullscreenEnabled", { value: false });
      globalThis.entered = 0;
      HTMLVideoElement.prototype.webkitEnterFullscreen = () => (globalThis.entered += 1);
    });
    const { token } = await session(["gate"]);
    await add({ server: on.service.origin, camera: "gate", token, controls: true });
    await sees({ state: "playing", transport: "webcodecs" });
    const box = () => page.locator("#camera").boundingBox();
    const before = await box();
    const whole = { x: 0, y: 0, ...page.viewportSize() };
    const button = page.getByRole("button", { name: "Full screen" });
    const fillsPage = () => untilEqual("the picture fills the page", SECONDS, box, whole);
    const isInPlace = () => untilEqual("the picture is in its place", SECONDS, box, before);
    await button.click();
    await fillsPage();
    await moves();
    await button.click();
    await isInPlace();
    await call("fullscreen");
    await fillsPage();
    await page.keyboard.press("Escape");
    await isInPlace();
    // A video has the phone's own full screen.
    await set({ transport: "mse" });
    await sees({ state: "playing", transport: "mse" });
    await button.click();
    const entered = () => page.evaluate(() => globalThis.entered);
    await untilEqual("the full screen of the video", SECONDS, entered, 1);
    await isInPlace();
  });

  test("two elements play, moving one does not restart it, and removing them ends all connections", async (t) => {
    const { page, viewer, add, events, sees, moves } = await open(t);
    const { token } = await session(["gate", "yard"]);
    const sockets = [];
    page.on("websocket", (socket) => sockets.push(socket));
    await add({ server: on.service.origin, camera: "gate", token }, "one");
    await sees({ state: "playing", transport: "webcodecs" }, { name: "one" });
    await add({ server: on.service.origin, camera: "yard", token }, "two");
    // Several elements use WebRTC, which needs less processor time than WebCodecs.
    await sees({ state: "playing", transport: "webrtc" }, { name: "one" });
    await sees({ state: "playing", transport: "webrtc" }, { name: "two" });
    const before = (await events("one")).length;
    const requests = viewer.requests.length;
    await page.evaluate(() => {
      const box = document.body.appendChild(document.createElement("div"));
      box.append(document.getElementById("one"));
    });
    await moves("one");
    assert.equal((await events("one")).length, before);
    assert.equal(viewer.requests.length, requests);
    await page.evaluate(() => {
      globalThis.removed = [...document.querySelectorAll("stream-camera")];
      for (const element of globalThis.removed) {
        element.remove();
      }
    });
    const states = () => page.evaluate(() => globalThis.removed.map(({ state }) => state));
    await untilEqual("both elements are idle", SECONDS, states, ["idle", "idle"]);
    await seesNoConnection();
    await until("no open socket", SECONDS, async () => sockets.every((each) => each.isClosed()));
    const sent = viewer.requests.length;
    await until("no viewer", SECONDS, async () => {
      const { streams } = await on.service.get("streams", ADMIN);
      return streams.every(({ viewers }) => viewers === 0);
    });
    assert.equal(viewer.requests.length, sent);
  });
});
