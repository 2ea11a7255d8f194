// Somebody at a browser who watches a camera.
import { chromium } from "playwright-core";

import { until } from "./until.mjs";

/** Generous: machines that run tests are busy. */
export const SECONDS = 60;

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
  // Signals are answered in child.mjs; at the exit that follows the browser is ended as well.
  const signals = { handleSIGINT: false, handleSIGTERM: false, handleSIGHUP: false };
  return chromium.launch({ executablePath, args: FLAGS, ...signals });
}

/** One page and all that can be seen of it. */
export class Viewer {
  /** Console errors, violations of the content security policy, uncaught errors. */
  problems = [];
  /** Every address that was asked for. */
  requests = [];

  static async open(browser, address) {
    const viewer = new Viewer(await browser.newPage());
    await viewer.page.addInitScript(reportViolations);
    await viewer.page.goto(address);
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

  /** Fills in the form and presses Start. */
  async start(id, link) {
    await this.page.getByLabel("Camera id").fill(id);
    await this.page.getByLabel("RTSP link").fill(link);
    await this.page.getByRole("button", { name: "Start" }).click();
  }

  async stop() {
    await this.page.getByRole("button", { name: "Stop" }).click();
  }

  /** Waits for words below the form. */
  async reads(words) {
    await this.#sees(words, (message) => message.text.includes(words));
  }

  /** Waits for words below the form that are marked as an error. */
  async readsError(words) {
    const isError = (message) => message.isError && message.text.includes(words);
    await this.#sees(`the error ${words}`, isError);
  }

  async #sees(what, isSeen) {
    let message;
    const probe = async () => isSeen((message = await this.message()));
    await until(what, SECONDS, probe).catch((error) => {
      throw new Error(`${error.message}; the page says ${JSON.stringify(message)}`);
    });
  }

  message() {
    return this.page.evaluate(() => {
      const { textContent, classList } = document.getElementById("message");
      return { text: textContent, isError: classList.contains("error") };
    });
  }

  /** Waits until `seconds` more have been played. */
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

  /** When the picture on the screen was taken, in Unix milliseconds; 0 when there is none. */
  async pictureTime() {
    const clock = await this.page.evaluate(readClock);
    // The clock holds the lower 32 bits of the time.
    const age = (Date.now() - clock) >>> 0;
    return clock === null ? 0 : Date.now() - age;
  }

  /** Waits until the picture on the screen was taken after `time`. */
  async seesPictureOfAfter(time) {
    const isLater = async () => (await this.pictureTime()) > time;
    await until(`a picture of after ${new Date(time).toISOString()}`, SECONDS, isLater);
  }

  close() {
    return this.page.close();
  }
}

/** In the page: violations become console errors, whatever the browser says of them itself. */
function reportViolations() {
  addEventListener("securitypolicyviolation", (event) =>
    console.error(`violates ${event.violatedDirective}: ${event.blockedURI}`),
  );
}

/** In the page: the test camera's clock blocks, 32 squares in a row at the top of the picture. */
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
