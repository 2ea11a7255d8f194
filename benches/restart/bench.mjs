// What viewers notice when the manager is restarted under them. README.md tells the method.
import { writeFileSync } from "node:fs";

import { Parts } from "../../tests/browser/support/parts.mjs";
import { until } from "../../tests/browser/support/until.mjs";
import { launchBrowser } from "../../tests/browser/support/viewer.mjs";
import { forAll } from "../support/all.mjs";
import { Clip } from "../support/clip.mjs";
import { number, readOptions } from "../support/options.mjs";
import { markdown, say } from "../support/report.mjs";
import { Camera, RtspServer } from "../support/rtsp.mjs";

const USAGE = `usage: ./deploy/bench restart [--cameras 20] [--kill] [--json FILE]\n`;
const TILES_A_WALL = 10;
const SETTLE_SECONDS = 60;
/** From when the new manager is ready. */
const WATCH_SECONDS = 30;

const options = readOptions(
  USAGE,
  {
    cameras: { type: "string", default: "20" },
    kill: { type: "boolean", default: false },
    json: { type: "string" },
  },
  (values) => ({ ...values, cameras: number("--cameras", values.cameras) }),
);

/** In the page: since when each picture has stood still, and the longest time of that. */
function observe() {
  window.stills = {};
  setInterval(() => {
    const now = performance.now();
    for (const tile of document.querySelectorAll(".tile")) {
      const still = (window.stills[tile.dataset.camera] ??= { since: now, longest: 0, at: -1 });
      const at = tile.querySelector("video")?.currentTime ?? still.at;
      still.longest = Math.max(still.longest, now - still.since);
      if (at !== still.at) {
        Object.assign(still, { at, since: now });
      }
    }
  }, 100);
}

/** In the page: the longest times in seconds, and whether the pictures move now. */
function report() {
  return Object.entries(window.stills).map(([camera, { since, longest }]) => {
    return { camera, longest: longest / 1000, moves: performance.now() - since < 1000 };
  });
}

function forget() {
  const now = performance.now();
  for (const still of Object.values(window.stills)) {
    Object.assign(still, { since: now, longest: 0 });
  }
}

async function startCameras(parts) {
  const clip = Clip.load({ width: 320, height: 180, kbits: 150 });
  const cameras = Array.from({ length: options.cameras }, (_, index) => new Camera(clip, index));
  const port = await new RtspServer(clip, (url) => cameras[/\/(\d+)\/?/.exec(new URL(url).pathname)?.[1]]).listen();
  const ids = cameras.map((_, index) => `camera-${String(index).padStart(2, "0")}`);
  await forAll(ids, async (id) => {
    const link = `rtsp://127.0.0.1:${port}/${Number(id.split("-")[1])}`;
    const answer = await fetch(`http://127.0.0.1:${parts.port}/api/stream/start`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ indicator_id: id, rtsp_link: link }),
    });
    if (!answer.ok) {
      throw new Error(`${id}: ${await answer.text()}`);
    }
  });
  return ids;
}

async function openWalls(browser, parts, ids) {
  const pages = [];
  for (let at = 0; at < ids.length; at += TILES_A_WALL) {
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
    const page = await context.newPage();
    await page.goto(`${parts.origin}/#/?cameras=${ids.slice(at, at + TILES_A_WALL)}&grid=4`);
    await page.evaluate(observe);
    pages.push(page);
  }
  return pages;
}

const all = async (pages) => (await Promise.all(pages.map((page) => page.evaluate(report)))).flat();

async function movesAll(pages) {
  const tiles = await all(pages);
  return tiles.length === options.cameras && tiles.every(({ moves }) => moves);
}

const parts = await Parts.start();
const browser = await launchBrowser();
const ids = await startCameras(parts);
const pages = await openWalls(browser, parts, ids);
await until("all pictures move", SETTLE_SECONDS, () => movesAll(pages));
say(`${ids.length} pictures move; the manager is restarted`);
await Promise.all(pages.map((page) => page.evaluate(forget)));

const began = Date.now();
await (options.kill ? parts.killManager() : parts.manager.end());
await parts.startManager();
const away = (Date.now() - began) / 1000;
await new Promise((resolve) => setTimeout(resolve, WATCH_SECONDS * 1000));
const tiles = await all(pages);
await browser.close();
await parts.end();

const lost = tiles.filter(({ moves }) => !moves).map(({ camera }) => camera);
const longest = tiles.map((tile) => tile.longest).sort((a, b) => a - b);
const shown = (seconds) => seconds.toFixed(1);
const median = longest[Math.floor(longest.length / 2)];
const row = [ids.length, away, median, longest.at(-1), lost.length];
console.log(
  markdown(
    ["players", "manager away, s", "picture stood still: median, s", "longest, s", "lost"],
    [[row[0], ...row.slice(1, 4).map(shown), row[4]].map(String)],
  ),
);
if (options.json) {
  writeFileSync(options.json, JSON.stringify({ away, tiles }, null, 2));
}
if (lost.length > 0) {
  say(`these never moved again: ${lost.join(", ")}`);
}
process.exit(lost.length > 0 ? 1 : 0);
