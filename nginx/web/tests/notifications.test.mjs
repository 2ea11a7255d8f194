// Tests the service worker of notifications outside of a browser, and the choice of types.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { runInNewContext } from "node:vm";

import { transformWithEsbuild } from "vite";

async function load(path) {
  const file = new URL(`../src/views/notifications/${path}.ts`, import.meta.url);
  const { code } = await transformWithEsbuild(readFileSync(file, "utf8"), file.pathname);
  return import(`data:text/javascript,${encodeURIComponent(code)}`);
}
const { groupsFor, isChosen, toggledGroup, toggledType } = await load("choice");
const { deviceName } = await load("device");

const WORKER = readFileSync(new URL("../public/worker.js", import.meta.url), "utf8");
const GERMAN = JSON.parse(readFileSync(new URL("../src/locales/de.json", import.meta.url), "utf8"));
const SCOPE = "https://example.com/cameras/";

/** Runs the service worker with these open tabs. Returns what it has shown, sent and opened. */
function workerWith({ language = "en", tabs = [] } = {}) {
  const [handlers, done] = [{}, { shown: [], sent: [], opened: [], focused: [] }];
  const clients = tabs.map((url) => ({
    url,
    focused: false,
    postMessage: (message) => done.sent.push([url, { ...message }]),
    focus: () => done.focused.push(url),
  }));
  const self = {
    location: { href: `${SCOPE}worker.js?language=${language}` },
    addEventListener: (name, handler) => (handlers[name] = handler),
    registration: {
      scope: SCOPE,
      showNotification: (title, options) => done.shown.push({ title, ...options }),
    },
    clients: {
      matchAll: () => Promise.resolve(clients),
      openWindow: (url) => done.opened.push(url),
    },
  };
  runInNewContext(WORKER, { self, URL });
  const dispatch = async (name, event) => {
    const waits = [];
    handlers[name]({ ...event, waitUntil: (promise) => waits.push(promise) });
    await Promise.all(waits);
  };
  return {
    ...done,
    push: (content) => dispatch("push", { data: { json: () => JSON.parse(content) } }),
    click: (data) =>
      dispatch("notificationclick", { notification: { data, close: () => undefined } }),
  };
}

const MOTION = {
  type: "motion",
  title: "Front door",
  body: "Something moves",
  at: "2026-11-21T10:00:00.250Z",
  url: "#/recordings?cameras=front&at=2026-11-21T10:00:00.250Z",
  tag: "front motion",
};

test("the worker shows each push message, in the language of the page", async () => {
  const worker = workerWith();
  await worker.push(JSON.stringify(MOTION));
  const [shown] = worker.shown;
  assert.equal(shown.title, "Front door");
  assert.equal(shown.body, "Something moves");
  assert.equal(shown.timestamp, Date.parse(MOTION.at));
  assert.equal(shown.data, MOTION.url);
  assert.ok(shown.renotify && shown.tag === "front motion");

  const german = workerWith({ language: "de" });
  await german.push(JSON.stringify(MOTION));
  const storage = { type: "storage.full", body: "The disk for recordings is full: /var: x" };
  await german.push(JSON.stringify(storage));
  await german.push(JSON.stringify({ type: "reported.door", body: "Anna" }));
  assert.deepEqual(
    german.shown.map(({ body }) => body),
    ["Etwas bewegt sich", "Der Datenträger für Aufzeichnungen ist voll: /var: x", "Anna"],
  );

  // Browsers end the permission of pages that show nothing.
  for (const content of ["", "null", "7", "{}", '{"url":"https://evil.example/"}']) {
    const other = workerWith();
    await other.push(content);
    assert.equal(other.shown[0].data, "#/events", content);
  }
});

test("a click shows the place in an open tab of the page, or in a new one", async () => {
  const none = workerWith({
    tabs: ["https://example.com/cameras/player/x", "https://example.com/"],
  });
  await none.click(MOTION.url);
  assert.deepEqual(none.opened, [`${SCOPE}${MOTION.url}`]);
  const open = workerWith({ tabs: [`${SCOPE}player/x`, `${SCOPE}#/status`, `${SCOPE}?id=a`] });
  await open.click(MOTION.url);
  assert.deepEqual(open.sent, [[`${SCOPE}#/status`, { open: MOTION.url }]]);
  assert.deepEqual([open.focused, open.opened], [[`${SCOPE}#/status`], []]);
});

test("the worker has a German text for each type of the page's own", () => {
  const types = Object.keys(GERMAN)
    .map((key) => key.match(/^event\.((stream|camera|recording|storage)\.\w+)$/)?.[1])
    .filter(Boolean);
  assert.ok(types.length > 10);
  for (const type of types) {
    assert.match(WORKER, new RegExp(`"${type}": "`), type);
  }
});

const KNOWN = ["camera", "camera.offline", "camera.online", "reported"];

test("types are chosen one by one or as a group", () => {
  const [motion, camera, reported] = groupsFor(KNOWN, ["reported.door"]);
  assert.deepEqual(motion, { name: "motion", types: [] });
  assert.deepEqual(camera, { name: "camera", types: ["camera.offline", "camera.online"] });
  assert.deepEqual(reported, { name: "reported", types: ["reported.door"] });
  assert.ok(isChosen(["camera"], "camera.offline") && !isChosen(["camera.online"], "camera"));
  assert.deepEqual(toggledGroup(["motion", "camera.online"], "camera"), ["motion", "camera"]);
  assert.deepEqual(toggledGroup(["motion", "camera"], "camera"), ["motion"]);
  assert.deepEqual(toggledType(["camera", "motion"], camera, "camera.online"), [
    "motion",
    "camera.offline",
  ]);
  assert.deepEqual(toggledType(["motion"], camera, "camera.online"), ["motion", "camera.online"]);
});

test("devices have short names", () => {
  const chrome = "(KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36";
  const names = [
    [`Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 ${chrome}`, "Chrome, Android"],
    ["Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox, Linux"],
    [
      "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1",
      "Safari, iPhone",
    ],
    ["something else", ""],
  ];
  for (const [agent, name] of names) {
    assert.equal(deviceName(agent), name);
  }
});
