// Measures how long pictures freeze when the manager is restarted. README.md describes the method.
import { writeFileSync } from "node:fs";

import { Parts } from "../../tests/browser/support/parts.mjs";
import { until } from "../../tests/browser/support/until.mjs";
import { launchBrowser } from "../../tests/browser/support/viewer.mjs";
import { post } from "../support/api.mjs";
import { Clip } from "../support/clip.mjs";
import { forAll } from "../support/concurrency.mjs";
import { number, readOptions } from "../support/options.mjs";
import { markdown, progress } from "../support/report.mjs";
import { Camera, RtspServer } from "../support/rtsp.mjs";

const USAGE = `usage: ./deploy/bench restart [OPTION]...

  --cameras N    number of cameras (20)
  --kill         end the manager with SIGKILL instead of SIGTERM
  --json FILE    write all results to a file
`;
const TILES_PER_WALL = 10;
/** Time limit until all pictures move. */
const SETTLE_SECONDS = 60;
/** Duration of the measurement after the new manager is ready. */
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

/** Runs in the page. Records for each picture when it last moved, and its longest freeze. */
function observe() {
  window.freezes = {};
  setInterval(() => {
    const now = performance.now();
    for (const tile of document.querySelectorAll(".tile")) {
      const freeze = (window.freezes[tile.dataset.camera] ??= { since: now, longest: 0, at: -1 });
      const at = tile.querySelector(".screen > video[data-shown]")?.currentTime ?? freeze.at;
      freeze.longest = Math.max(freeze.longest, now - freeze.since);
      if (at !== freeze.at) {
        Object.assign(freeze, { at, since: now });
      }
    }
  }, 100);
}

/** Runs in the page. Returns for each picture the longest freeze in seconds, and whether it moves now. */
function report() {
  return Object.entries(window.freezes).map(([camera, { since, longest }]) => {
    return { camera, longest: longest / 1000, moves: performance.now() - since < 1000 };
  });
}

/** Runs in the page. Discards the recorded freezes. */
function reset() {
  const now = performance.now();
  for (const freeze of Object.values(window.freezes)) {
    Object.assign(freeze, { since: now, longest: 0 });
  }
}

async function startCameras(parts) {
  const clip = Clip.load({ width: 320, height: 180, kbits: 150 });
  const cameras = Array.from({ length: options.cameras }, (_, index) => new Camera(clip, index));
  const find = (url) => cameras[/\/(\d+)\/?/.exec(new URL(url).pathname)?.[1]];
  const port = await new RtspServer(clip, find).listen();
  const ids = cameras.map((_, index) => `camera-${String(index).padStart(2, "0")}`);
  await forAll(ids, (id) => {
    const link = `rtsp://127.0.0.1:${port}/${Number(id.split("-")[1])}`;
    const url = `http://127.0.0.1:${parts.port}/api/stream/start`;
    return post(url, { indicator_id: id, rtsp_link: link });
  });
  return ids;
}

async function openWalls(browser, parts, ids) {
  const pages = [];
  for (let at = 0; at < ids.length; at += TILES_PER_WALL) {
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
    const page = await context.newPage();
    await page.goto(`${parts.origin}/#/?cameras=${ids.slice(at, at + TILES_PER_WALL)}&grid=4`);
    await page.evaluate(observe);
    pages.push(page);
  }
  return pages;
}

async function reports(pages) {
  return (await Promise.all(pages.map((page) => page.evaluate(report)))).flat();
}

async function allMove(pages) {
  const tiles = await reports(pages);
  return tiles.length === options.cameras && tiles.every(({ moves }) => moves);
}

const parts = await Parts.start();
const browser = await launchBrowser();
const ids = await startCameras(parts);
const pages = await openWalls(browser, parts, ids);
await until("all pictures move", SETTLE_SECONDS, () => allMove(pages));
progress(`${ids.length} pictures move; restarting the manager`);
await Promise.all(pages.map((page) => page.evaluate(reset)));

const start = Date.now();
await (options.kill ? parts.killManager() : parts.manager.end());
await parts.startManager();
const downSeconds = (Date.now() - start) / 1000;
await new Promise((resolve) => setTimeout(resolve, WATCH_SECONDS * 1000));
const tiles = await reports(pages);
await browser.close();
await parts.end();

const lost = tiles.filter(({ moves }) => !moves).map(({ camera }) => camera);
const longest = tiles.map((tile) => tile.longest).sort((a, b) => a - b);
const median = longest[Math.floor(longest.length / 2)];
const seconds = [downSeconds, median, longest.at(-1)].map((value) => value.toFixed(1));
const head = ["players", "manager down, s", "longest freeze: median, s", "max, s", "lost"];
console.log(markdown(head, [[ids.length, ...seconds, lost.length]]));
if (options.json) {
  writeFileSync(options.json, JSON.stringify({ downSeconds, tiles }, null, 2));
}
if (lost.length > 0) {
  progress(`the pictures of these cameras are still frozen: ${lost.join(", ")}`);
}
process.exit(lost.length > 0 ? 1 : 0);
