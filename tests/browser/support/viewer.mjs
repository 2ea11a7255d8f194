// A viewer with a browser.
import { chromium } from "playwright-core";

import { until } from "./until.mjs";

/** Time limit of most waits; generous, since test machines are busy. */
export const SECONDS = 60;
/** Time limit of a question to the page, which may be busy for seconds. */
const ANSWER_MS = 5000;

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--autoplay-policy=no-user-gesture-required",
];

export function launchBrowser() {
  const executablePath = process.env.CHROMIUM_BIN || "/usr/bin/chromium";
  // Signals are handled in child.mjs; the exit that follows ends the browser as well.
  const signals = { handleSIGINT: false, handleSIGTERM: false, handleSIGHUP: false };
  return chromium.launch({ executablePath, args: FLAGS, ...signals });
}

/** A page, and everything that can be observed of it. */
export class Viewer {
  /** Console errors, violations of the content security policy, and uncaught errors. */
  problems = [];
  /** The addresses of all requests. */
  requests = [];

  static async open(browser, address, options = {}) {
    const context = await browser.newContext(options);
    const viewer = new Viewer(await context.newPage());
    await viewer.page.addInitScript(reportViolations);
    await viewer.page.goto(address);
    return viewer;
  }

  /** Opens a page until the test ends. */
  static async openFor(t, browser, address, options) {
    const viewer = await Viewer.open(browser, address, options);
    t.after(() => viewer.close());
    return viewer;
  }

  constructor(page) {
    this.page = page;
    page.on("request", (request) => this.requests.push(request.url()));
    page.on("pageerror", (error) => this.problems.push(String(error)));
    page.on("console", (line) => {
      if (line.type() === "error") {
        this.problems.push(line.text());
      }
    });
  }

  /** Adds a camera by its link in the form, and watches it. */
  async add(name, link) {
    await this.page.goto(new URL("#/cameras?add", this.page.url()).href);
    await this.fillIn(name, link);
    await this.page.getByRole("button", { name: "Save and watch" }).click();
  }

  /** Fills in the form for a camera with a link. */
  async fillIn(name, link) {
    await this.page.getByRole("button", { name: "By RTSP link" }).click();
    await this.page.getByLabel("Name", { exact: true }).fill(name);
    await this.page.getByLabel(/^RTSP link( \*)?$/).fill(link);
  }

  /** Returns the tile of a camera; the first tile without an id. */
  tile(id) {
    return this.page.locator(id ? `.tile[data-camera="${id}"]` : ".tile").first();
  }

  /** Waits until a tile is in one of these states, and contains `words`. */
  async sees(states, words = "", id) {
    let tile;
    const probe = async () => {
      tile = await this.describe(id);
      return tile && [states].flat().includes(tile.state) && tile.text.includes(words);
    };
    await until(`a tile that is ${states} ${words}`, SECONDS, probe).catch((error) => {
      throw new Error(`${error.message}; it is ${JSON.stringify(tile)}`);
    });
  }

  /** Returns the state and text of a tile; null if there is none. */
  async describe(id) {
    return this.tile(id)
      .evaluate(({ dataset, textContent }) => ({ state: dataset.state, text: textContent }), null, {
        timeout: ANSWER_MS,
      })
      .catch(() => null);
  }

  /** Returns how a camera plays: `low-latency` or `plain`. */
  mode(id) {
    return this.tile(id).getAttribute("data-mode");
  }

  /** Waits until another `seconds` have been played. */
  async watches(seconds) {
    const begin = (await this.video()).currentTime;
    const isFarther = async () => (await this.video()).currentTime >= begin + seconds;
    await until(`${seconds} s played`, SECONDS + seconds, isFarther);
  }

  video() {
    return this.page.evaluate(() => {
      const { currentTime, videoWidth } = document.querySelector("video");
      return { currentTime, videoWidth };
    });
  }

  /** Returns when the picture on the screen was taken, in Unix milliseconds; 0 if there is none. */
  async pictureTime() {
    const clock = await this.page.evaluate(readClock);
    // The clock has the lower 32 bits of the time.
    const age = (Date.now() - clock) >>> 0;
    return clock === null ? 0 : Date.now() - age;
  }

  /** Waits until the picture on the screen was taken after `time`. */
  async seesPictureOfAfter(time) {
    const isLater = async () => (await this.pictureTime()) > time;
    await until(`a picture of after ${new Date(time).toISOString()}`, SECONDS, isLater);
  }

  /** Hides the page, as another tab would. A headless browser hides nothing. */
  hide(isHidden = true) {
    return this.page.evaluate((isHidden) => {
      Object.defineProperty(document, "hidden", { value: isHidden, configurable: true });
      Object.defineProperty(document, "visibilityState", {
        value: isHidden ? "hidden" : "visible",
        configurable: true,
      });
      document.dispatchEvent(new Event("visibilitychange"));
    }, isHidden);
  }

  close() {
    return this.page.context().close();
  }
}

/** In the page: reports violations as console errors, regardless of the browser's own reports. */
function reportViolations() {
  addEventListener("securitypolicyviolation", (event) =>
    console.error(`violates ${event.violatedDirective}: ${event.blockedURI}`),
  );
}

/** In the page: reads the test camera's clock, 32 squares in a row at the top of the picture. */
function readClock() {
  const video = document.querySelector("video");
  const width = video.videoWidth;
  if (!width) {
    return null;
  }
  const size = width / 32;
  const context = new OffscreenCanvas(width, size).getContext("2d");
  context.drawImage(video, 0, 0);
  const { data } = context.getImageData(0, size / 2, width, 1);
  const bit = (_, square) => (data[4 * (square + 0.5) * size] > 127 ? "1" : "0");
  return Number.parseInt(Array.from({ length: 32 }, bit).join(""), 2);
}
