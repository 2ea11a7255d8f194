// A wall: 16 sub streams on the service's own page.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { launchBrowser } from "../../tests/browser/support/viewer.mjs";
import { forAll } from "../support/concurrency.mjs";
import { Manager } from "../support/manager.mjs";
import { markdown, progress, quantile } from "../support/report.mjs";
import { Source } from "../support/sources.mjs";
import { openBarePage } from "./bare.mjs";
import { figuresOf, Page, VIEWPORT } from "./page.mjs";
import { milliseconds, percent } from "./report.mjs";
import { programs, serviceGroups, Usage } from "./usage.mjs";

const TILES = 16;
/** Properties of the sub streams. */
const CLIP = { width: 640, height: 360, gop: 2, kbits: 500, isNumbered: true };
/** An address in a network that exists only in documentation (RFC 5737). Packets to it get no response. */
const UNREACHABLE = "192.0.2.1";
/** The manager's settings, by what the page can do with WebRTC. */
export const WEBRTC = {
  on: { WEBRTC_PORT: "0", WEBRTC_ADDRESSES: "127.0.0.1" },
  off: { WEBRTC_PORT: "off" },
  blocked: { WEBRTC_PORT: "0", WEBRTC_ADDRESSES: UNREACHABLE },
};
const TITLES = {
  on: "WebRTC possible",
  off: "WebRTC off",
  blocked: "WebRTC's port blocked",
};
/** Time limit for the first pictures. */
const SHOW_SECONDS = 60;
/** The age of every Nth picture of a tile is read. The other pictures only count. */
const READ_EVERY = 12;
const KEEP_RUNNING_MS = 5000;

const idOf = (number) => `camera-${String(number).padStart(2, "0")}`;
const IDS = Array.from({ length: TILES }, (_, number) => idOf(number));

/** Starts the sub streams, or keeps them running. */
function startStreams(manager) {
  return forAll(IDS, async (id) => {
    const body = { indicator_id: id, profile: "sub", output: "none" };
    const response = await manager.call("/api/stream/start", body);
    if (response.status >= 300) {
      throw new Error(`the stream of ${id} has not started: ${JSON.stringify(response.body)}`);
    }
  });
}

/** Opens the page several times. Returns the last page, and when its tiles and those of the others had pictures. */
async function openPages(browser, manager, tries) {
  const shown = [];
  for (let attempt = 1; ; attempt += 1) {
    const page = await Page.open(browser, manager.origin);
    const times = Object.values(await page.firstPictures(IDS, SHOW_SECONDS));
    if (times.length < TILES) {
      throw new Error(`only ${times.length} of ${TILES} tiles had a picture within ${SHOW_SECONDS} s`);
    }
    shown.push({ first: Math.min(...times), all: Math.max(...times) });
    progress(`wall: all tiles after ${milliseconds(Math.max(...times))} ms`);
    if (attempt >= tries) {
      return { page, shown };
    }
    await page.close();
  }
}

/** Returns the processor time of a page that only shows the same videos by WebRTC. */
async function measureBarePage(browser, { settle, seconds }, manager) {
  const keys = IDS.map((id) => `${id}~sub`);
  const page = await openBarePage(browser, manager.origin, keys, VIEWPORT);
  await sleep(settle * 1000);
  const usage = new Usage({ chromium: () => programs("chrom") });
  await sleep(seconds * 1000);
  const { chromium } = usage.shares();
  await page.context().close();
  return chromium;
}

async function measure(options, source, manager, hasWebrtc) {
  const { tries, settle, seconds } = options;
  const browser = await launchBrowser();
  const keeping = setInterval(() => startStreams(manager).catch(() => {}), KEEP_RUNNING_MS);
  try {
    await startStreams(manager);
    const { page, shown } = await openPages(browser, manager, tries);
    await sleep(settle * 1000);
    // First without the observer, which needs processor time itself.
    const usage = new Usage({ chromium: () => programs("chrom"), ...serviceGroups(manager) });
    await sleep(seconds * 1000);
    const cpu = usage.shares();
    await page.record(
      Object.fromEntries(IDS.map((id, number) => [id, source.timing(number)])),
      READ_EVERY,
    );
    await sleep(seconds * 1000);
    const recording = await page.recorded();
    await page.close();
    const bare = hasWebrtc ? await measureBarePage(browser, options, manager) : null;
    return { shown, cpu: { ...cpu, bare }, recording, figures: figuresOf(recording) };
  } finally {
    clearInterval(keeping);
    await browser.close();
  }
}

/** Measures the wall once for each of `options.webrtc`. Returns the results. */
export async function measureWall(options, directory) {
  const source = await Source.start({ ...CLIP, fps: options.fps });
  const results = [];
  try {
    for (const name of options.webrtc) {
      const { settle, seconds } = options;
      progress(`wall, ${TITLES[name]}: ${settle} + 2 × ${seconds} s`);
      const ownDirectory = join(directory, `wall-${name}`);
      mkdirSync(ownDirectory);
      const manager = await Manager.start(ownDirectory, WEBRTC[name]);
      try {
        const links = source.links(0, TILES);
        await forAll(IDS, (id) => {
          const link = links[IDS.indexOf(id)];
          return manager.service.put(id, { rtsp_link: link, rtsp_link_sub: link });
        });
        results.push({ name, title: TITLES[name], ...(await measure(options, source, manager, name === "on")) });
      } finally {
        await manager.end();
      }
    }
  } finally {
    await source.child.end();
  }
  return results;
}

const HEAD = [
  `${TILES} sub streams`,
  ...["first tile, ms", "all tiles: min, ms", "median", "max"],
  ...["age: median, ms", "p95", "max"],
  ...["pictures per s and tile", "longest gap, ms", "gaps", "while the page stalled"],
  ...["Chromium, CPU", "with a bare page", "manager", "nginx", "transports"],
];

/** Returns the table of the results. */
export function wallTable(results) {
  const rows = results.map(({ title, shown, cpu, figures }) => {
    const all = shown.map((times) => times.all);
    const { age } = figures;
    return [
      title,
      milliseconds(quantile(shown.map(({ first }) => first), 0.5)),
      ...[0, 0.5, 1].map((fraction) => milliseconds(quantile(all, fraction))),
      ...[age.p50, age.p95, age.max].map(milliseconds),
      figures.rate.toFixed(1),
      ...[milliseconds(figures.longest), figures.gaps, figures.stalledGaps],
      ...[cpu.chromium, cpu.bare, cpu.manager, cpu.nginx].map((share) => percent(share)),
      figures.transports,
    ];
  });
  return markdown(HEAD, rows);
}
