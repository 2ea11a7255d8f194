// The service's own page in a browser, with the observer of its pictures.
import { readFileSync } from "node:fs";

import { quantile } from "../support/report.mjs";

const OBSERVER = readFileSync(new URL("./observer.js", import.meta.url), "utf8");
/** A pause between two pictures is a gap if it is longer than this many pictures last, and than GAP_MS. */
const GAP_PICTURES = 5;
const GAP_MS = 200;
/** Largest number of pictures per second with MJPEG. */
const MJPEG_FPS = 10;
export const VIEWPORT = { width: 1600, height: 900 };

/** The page, which has just begun to load. */
export class Page {
  /** Opens the page. `transport` is the user's choice of the transport. */
  static async open(browser, address, transport = "auto") {
    const context = await browser.newContext({ viewport: VIEWPORT });
    const page = await context.newPage();
    await page.addInitScript(OBSERVER);
    if (transport !== "auto") {
      await page.addInitScript((choice) => localStorage.setItem("transport", choice), transport);
    }
    await page.goto(address);
    return new Page(page);
  }

  constructor(page) {
    this.page = page;
  }

  /**
   * Waits until each of these cameras has shown a picture. Returns the times from the navigation to the first
   * picture, in milliseconds, by camera. Cameras without a picture after `seconds` are missing.
   */
  async firstPictures(ids, seconds) {
    const haveAll = (wanted) => wanted.every((id) => id in globalThis.observer.firstPictures);
    await this.page.waitForFunction(haveAll, ids, { timeout: seconds * 1000 }).catch(() => {});
    return this.page.evaluate(() => globalThis.observer.firstPictures);
  }

  /** Begins to record the pictures of cameras. `timings` has the timing of each camera's clip; see `Source.timing`. */
  record(timings, every) {
    const intervals = Object.values(timings).map(({ fps }) => 1000 / fps);
    const interval = Math.max(...intervals);
    const gapOf = (milliseconds) => Math.max(GAP_MS, GAP_PICTURES * milliseconds);
    const gaps = { gap: gapOf(interval), mjpegGap: gapOf(Math.max(interval, 1000 / MJPEG_FPS)) };
    const options = { cameras: timings, ...gaps, every };
    return this.page.evaluate((given) => globalThis.observer.begin(given), options);
  }

  /** Ends the recording, and returns it. */
  recorded() {
    return this.page.evaluate(() => globalThis.observer.end());
  }

  close() {
    return this.page.context().close();
  }
}

/** Returns the figures of a recording. Times are in milliseconds. */
export function figuresOf({ seconds, tiles, pauses }) {
  const ages = tiles.flatMap((tile) => tile.ages);
  const gaps = tiles.flatMap((tile) => tile.gaps);
  return {
    age: { p50: quantile(ages, 0.5), p95: quantile(ages, 0.95), max: quantile(ages, 1) },
    readings: ages.length,
    unreadable: tiles.reduce((sum, tile) => sum + tile.unreadable, 0),
    rate: tiles.reduce((sum, tile) => sum + tile.pictures, 0) / tiles.length / seconds,
    longest: Math.max(...tiles.map((tile) => tile.longest)),
    gaps: gaps.length,
    frozen: gaps.reduce((sum, { milliseconds }) => sum + milliseconds, 0),
    stalledGaps: tiles.reduce((sum, tile) => sum + tile.stalledGaps.length, 0),
    pauses: pauses.length,
    transports: counts(tiles.flatMap((tile) => tile.transports)),
  };
}

/** Returns how often each value occurs, such as `webrtc 15, mse 1`. */
function counts(values) {
  const names = [...new Set(values)];
  return names.map((name) => `${name} ${values.filter((value) => value === name).length}`).join(", ");
}
