// Opens pages in Firefox, which Playwright cannot drive as Debian packages it. Puppeteer speaks WebDriver BiDi to it.
import puppeteer from "puppeteer-core";

import { until } from "./until.mjs";
import { readClock, SECONDS } from "./viewer.mjs";

/** Starts a browser. */
export function launchFirefox() {
  return puppeteer.launch({
    browser: "firefox",
    executablePath: process.env.FIREFOX_BIN || "/usr/bin/firefox-esr",
    // 0 permits pages to play with sound without a click.
    extraPrefsFirefox: { "media.autoplay.default": 0 },
    // On a signal, child.mjs ends the test process, and the end of the test process closes the browser.
    handleSIGINT: false,
    handleSIGTERM: false,
    handleSIGHUP: false,
  });
}

/** One open page of the service in Firefox. */
export class FirefoxPage {
  /** The console errors and the uncaught errors of the page. */
  problems = [];

  /** Opens a page that is closed at the end of the test. The user has chosen `transport` for all cameras. */
  static async openFor(t, browser, address, transport) {
    const context = await browser.createBrowserContext();
    t.after(() => context.close());
    const opened = new this(await context.newPage());
    await opened.page.evaluateOnNewDocument((chosen) => {
      localStorage.setItem("transport", chosen);
    }, transport);
    await opened.page.goto(address);
    return opened;
  }

  constructor(page) {
    this.page = page;
    page.on("pageerror", (error) => this.problems.push(String(error)));
    page.on("console", (line) => {
      if (line.type() === "error") {
        this.problems.push(line.text());
      }
    });
  }

  /**
   * Waits until the first tile is live, uses one of these transports, and shows a picture that was made after now.
   * Returns the transport.
   */
  shows(...transports) {
    const begin = Date.now();
    return until(`a picture by ${transports}`, SECONDS, async () => {
      const tile = await this.page.evaluate(() => ({
        ...document.querySelector(".tile")?.dataset,
      }));
      const isShown = tile.state === "live" && transports.includes(tile.transport);
      return isShown && (await this.pictureAge()) < Date.now() - begin && tile.transport;
    });
  }

  /** Returns the age of the picture on the first tile in milliseconds; infinite if there is no picture. */
  async pictureAge() {
    const clock = await this.page.evaluate(readClock);
    // The clock shows the lower 32 bits of the time.
    return clock === null ? Number.POSITIVE_INFINITY : (Date.now() - clock) >>> 0;
  }
}
