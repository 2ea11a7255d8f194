// Opens the page in a browser, and observes what a viewer sees there.
import { chromium } from "playwright-core";

import { until } from "./until.mjs";

/** Time limit of most waits. It is generous, because test machines are busy. */
export const SECONDS = 60;
/** Time limit for reading from the page, which can be busy for seconds. */
const READ_MS = 5000;

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

/** Starts a browser with these command-line arguments in addition to the usual ones. */
export function launchBrowser(args = []) {
  const executablePath = process.env.CHROMIUM_BIN || "/usr/bin/chromium";
  // On a signal, child.mjs ends the test process, and the end of the test process closes the browser.
  const signals = { handleSIGINT: false, handleSIGTERM: false, handleSIGHUP: false };
  return chromium.launch({ executablePath, args: [...FLAGS, ...args], ...signals });
}

/** One open page of the service, with the problems and requests seen so far. */
export class Viewer {
  /** Console errors, violations of the content security policy, and uncaught errors. */
  problems = [];
  /** The URLs of all requests of the page. */
  requests = [];

  /**
   * Opens an address in a new browser context. `transport` is the transport that the user has chosen for all cameras,
   * and the other options are options of Playwright's `newContext`.
   */
  static async open(browser, address, { transport = "auto", ...options } = {}) {
    const context = await browser.newContext(options);
    const viewer = new Viewer(await context.newPage());
    await viewer.page.addInitScript(reportViolations);
    if (transport !== "auto") {
      await viewer.page.addInitScript(chooseTransport, transport);
    }
    await viewer.page.goto(address);
    return viewer;
  }

  /** Opens an address as `open` does, and closes the page at the end of the test. */
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

  /** Adds a camera by RTSP link with the form, and opens it on the wall. */
  async add(name, link) {
    await this.page.goto(new URL("#/cameras?add", this.page.url()).href);
    await this.fillIn(name, link);
    await this.page.getByRole("button", { name: "Save and watch" }).click();
  }

  /** Fills in the name and the RTSP link in the camera form, which must be open. */
  async fillIn(name, link) {
    await this.page.getByRole("button", { name: "By RTSP link" }).click();
    await this.page.getByLabel("Name", { exact: true }).fill(name);
    await this.page.getByLabel(/^RTSP link( \*)?$/).fill(link);
  }

  /** Returns the tile of camera `id`, or the first tile if no id is given. */
  tile(id) {
    return this.page.locator(id ? `.tile[data-camera="${id}"]` : ".tile").first();
  }

  /** Waits until a tile is in one of these states and contains `words`. */
  async sees(states, words = "", id) {
    let tile;
    const probe = async () => {
      tile = await this.describe(id);
      return tile && [states].flat().includes(tile.state) && tile.text.includes(words);
    };
    await until(`a tile in state ${states} with the text "${words}"`, SECONDS, probe).catch(
      (error) => {
        throw new Error(`${error.message}; the tile is ${JSON.stringify(tile)}`);
      },
    );
  }

  /** Returns the state and the text of a tile, or null if there is no such tile. */
  async describe(id) {
    return this.tile(id)
      .evaluate(({ dataset, textContent }) => ({ state: dataset.state, text: textContent }), null, {
        timeout: READ_MS,
      })
      .catch(() => null);
  }

  /** Returns the mode in which the tile plays: `low-latency` or `plain`. */
  mode(id) {
    return this.tile(id).getAttribute("data-mode");
  }

  /** Returns the transport that a tile uses; null while it uses none. */
  transport(id) {
    return this.tile(id).getAttribute("data-transport");
  }

  /** Waits until the picture of the first tile is `seconds` later than now. The clock in the picture shows that. */
  async watches(seconds) {
    const begin = await until("a picture", SECONDS, () => this.pictureTime());
    const hasPlayed = async () => (await this.pictureTime()) >= begin + seconds * 1000;
    await until(`${seconds} s played`, SECONDS + seconds, hasPlayed);
  }

  /** Returns the position and the picture width of the visible video on the first tile. */
  video() {
    return this.page.evaluate(() => {
      const { currentTime, videoWidth } = document.querySelector(".screen > video[data-shown]");
      return { currentTime, videoWidth };
    });
  }

  /** Returns the width of the picture on the first tile; 0 while it has none. */
  pictureWidth() {
    return this.page.evaluate(() => {
      const element = document.querySelector(".screen > [data-shown]");
      return element.videoWidth ?? ("picture" in element.dataset ? element.width : 0);
    });
  }

  /**
   * Returns the time at which the camera made the picture on a tile, in Unix milliseconds, or 0 if there is no
   * picture. Without an id, observes the first tile.
   */
  async pictureTime(id) {
    const clock = await this.page.evaluate(readClock, id ? `.tile[data-camera="${id}"] ` : "");
    // The clock shows the lower 32 bits of the time.
    const age = (Date.now() - clock) >>> 0;
    return clock === null ? 0 : Date.now() - age;
  }

  /** Waits until the picture on a tile was made after `time`, in Unix milliseconds. */
  async seesPictureNewerThan(time, id) {
    const isLater = async () => (await this.pictureTime(id)) > time;
    const what = `a picture of ${id ?? "the camera"} made after ${new Date(time).toISOString()}`;
    await until(what, SECONDS, isLater);
  }

  /**
   * Makes the page believe that its tab is hidden, or visible again. In a headless browser, tabs are never
   * hidden.
   */
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

/** Runs in the page: reports violations of the content security policy as console errors. */
function reportViolations() {
  addEventListener("securitypolicyviolation", (event) =>
    console.error(`violates ${event.violatedDirective}: ${event.blockedURI}`),
  );
}

/** Runs in the page before its own scripts. */
function chooseTransport(transport) {
  try {
    localStorage.setItem("transport", transport);
  } catch {
    // The page is in a frame without storage.
  }
}

/**
 * Runs in the page: returns the time that the test camera's clock shows, the lower 32 bits of Unix milliseconds; null
 * without a picture. The clock is a row of 32 squares at the top of the picture. `within` is a selector, followed by a
 * space, of the tile or of the element with a shadow root that contains the picture.
 */
export function readClock(within = "") {
  const shadow = within && document.querySelector(within.trim())?.shadowRoot;
  const picture = shadow
    ? shadow.querySelector(".screen > [data-shown]")
    : (document.querySelector(`${within}.screen > [data-shown]`) ??
      document.querySelector("video"));
  // A canvas has a width before it has a picture.
  const width =
    picture?.videoWidth ?? (picture && "picture" in picture.dataset ? picture.width : 0);
  if (!width) {
    return null;
  }
  const size = width / 32;
  const context = new OffscreenCanvas(width, size).getContext("2d");
  context.drawImage(picture, 0, 0);
  const { data } = context.getImageData(0, size / 2, width, 1);
  const bit = (_, square) => (data[4 * (square + 0.5) * size] > 127 ? "1" : "0");
  return Number.parseInt(Array.from({ length: 32 }, bit).join(""), 2);
}
