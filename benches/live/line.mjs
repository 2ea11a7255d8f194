// Runs in the service's network namespace: starts the service and the cameras there, and a browser in the viewer's
// namespace. The argument is a JSON object; see loss.mjs. The results are written to its `file`.
import { randomBytes } from "node:crypto";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { launchBrowser } from "../../tests/browser/support/viewer.mjs";
import { Manager } from "../support/manager.mjs";
import { progress } from "../support/report.mjs";
import { Source } from "../support/sources.mjs";
import { SERVICE_ADDRESS } from "./namespaces.mjs";
import { Page } from "./page.mjs";

const MAIN_CLIP = { width: 1920, height: 1080, fps: 25, gop: 2, kbits: 4000, isNumbered: true };
const SUB_CLIP = { width: 640, height: 360, fps: 25, gop: 2, kbits: 500, isNumbered: true };
/** The age of every Nth picture is read. */
const READ_EVERY = 5;
const FIRST_SECONDS = 30;
/** Time for the service to notice that a page was closed. */
const CLOSED_MS = 2000;
const SKIPPED = "stream_manager_live_frames_skipped_total";
/** The camera that has only the small stream, and the camera with both. */
const SMALL = "small";
const BOTH = "both";

/** Each case shows one camera with a transport that the user has chosen. */
const CASES = [
  { title: "sub stream, WebRTC", id: SMALL, transport: "webrtc" },
  { title: "sub stream, socket with WebCodecs", id: SMALL, transport: "webcodecs" },
  { title: "sub stream, socket with MSE", id: SMALL, transport: "mse" },
  { title: "main stream, WebRTC", id: BOTH, transport: "webrtc" },
  { title: "main stream, socket with WebCodecs", id: BOTH, transport: "webcodecs" },
  { title: "main stream, socket with MSE", id: BOTH, transport: "mse" },
];

const { settle, seconds, directory, viewer, file } = JSON.parse(process.argv[2]);

/** Starts a browser in the viewer's namespace. `origin` counts as secure, although it is not `localhost`. */
async function launch(origin) {
  const program = process.env.CHROMIUM_BIN || "/usr/bin/chromium";
  const wrapper = join(directory, "chromium");
  writeFileSync(wrapper, `#!/bin/sh\nexec ip netns exec ${viewer} ${program} "$@"\n`);
  chmodSync(wrapper, 0o755);
  process.env.CHROMIUM_BIN = wrapper;
  return await launchBrowser([`--unsafely-treat-insecure-origin-as-secure=${origin}`]);
}

/** Shows a camera. Returns the recording of its pictures. */
async function measure(browser, manager, address, timings, { title, id, transport }) {
  progress(`loss, ${title}: ${settle} + ${seconds} s`);
  const isMoving = id === BOTH;
  const skippedBefore = await manager.metric(SKIPPED, key);
  const page = await Page.open(browser, address(id), transport);
  try {
    // The time until the change of the stream counts from the first picture on.
    const first = (await page.firstPictures([id], FIRST_SECONDS))[id] ?? null;
    if (!isMoving) {
      await sleep(settle * 1000);
    }
    await page.record({ [id]: timings[id] }, READ_EVERY);
    await sleep(seconds * 1000);
    const recording = await page.recorded();
    const [{ widths }] = recording.tiles;
    const skipped = await manager.metric(SKIPPED, key);
    const movedAfter = isMoving ? (widths[SUB_CLIP.width] ?? null) : null;
    return { title, first, movedAfter, skipped: skipped - skippedBefore, recording };
  } finally {
    await page.close();
    await sleep(CLOSED_MS);
  }
}

const key = randomBytes(24).toString("hex");
const [main, sub] = [await Source.start(MAIN_CLIP), await Source.start(SUB_CLIP)];
const manager = await Manager.start(directory, {
  API_KEYS: `benchmark:admin:${key}`,
  NGINX_BIND_ADDR: SERVICE_ADDRESS,
  WEBRTC_PORT: "0",
  WEBRTC_ADDRESSES: SERVICE_ADDRESS,
});
let browser;
try {
  const [[mainLink], [subLink]] = [main.links(0, 1), sub.links(0, 1)];
  await manager.service.put(SMALL, { rtsp_link: subLink, keep: "always" }, key);
  const links = { rtsp_link: mainLink, rtsp_link_sub: subLink };
  await manager.service.put(BOTH, { ...links, keep: "always" }, key);
  browser = await launch(manager.origin);
  // Both clips have the same timing, so the numbers of both streams have the same meaning.
  const timings = { [SMALL]: sub.timing(0), [BOTH]: main.timing(0) };
  const address = (id) => `${manager.origin}/?id=${id}#key=${key}`;
  const results = [];
  for (const each of CASES) {
    results.push(await measure(browser, manager, address, timings, each));
  }
  writeFileSync(file, JSON.stringify(results));
} finally {
  await browser?.close();
  await manager.end();
  await main.child.end();
  await sub.child.end();
}
process.exit(0);
