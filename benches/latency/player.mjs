// A browser page that plays one candidate and measures it.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath, pathToFileURL } from "node:url";

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const HTML = readFileSync(here("page.html"), "utf8");
const HLS = here("../../nginx/web/node_modules/hls.js/dist/hls.min.js");
/** The part of the service's page that keeps live video at its target latency. */
const PACE = here("../../nginx/web/src/player/pace.ts");

/** Returns the page's class `Pace` as a script that defines a global variable of this name. */
async function paceScript() {
  const vite = createRequire(here("../../nginx/web/package.json")).resolve("vite");
  const { transformWithEsbuild } = await import(pathToFileURL(vite));
  const options = { format: "iife", globalName: "paceModule" };
  const { code } = await transformWithEsbuild(readFileSync(PACE, "utf8"), PACE, options);
  return `${code}\nglobalThis.Pace = paceModule.Pace;`;
}

/** Returns the page's transports as a script that defines the global function `playTransport`. */
async function transportsScript() {
  const vite = createRequire(here("../../nginx/web/package.json")).resolve("vite");
  const { build } = await import(pathToFileURL(vite));
  const lib = { entry: here("transports.mjs"), formats: ["iife"], name: "transports" };
  const options = { configFile: false, logLevel: "silent", build: { write: false, lib } };
  const [{ output }] = await build(options);
  return output[0].code;
}

/** Time limit for the first picture. */
const OPEN_SECONDS = 60;

/** A browser page that is ready to start a stream. */
export class Player {
  static async load(browser, candidate) {
    const page = await browser.newPage({ bypassCSP: true });
    // The document has the candidate's origin, so that no candidate needs cross-origin requests. The
    // candidate does not serve the document, because its Content-Security-Policy can forbid the scripts.
    const address = new URL("/benchmark", candidate.origin).href;
    if (candidate.start.transport) {
      // Chromium forbids WebSockets to local addresses on pages that did not come from a local address. So the
      // document is the service's response to an unknown path, with another content.
      await page.goto(address);
      await page.setContent(HTML);
    } else {
      await page.route(address, (route) => route.fulfill({ contentType: "text/html", body: HTML }));
      await page.goto(address);
      await page.unroute(address);
    }
    await page.exposeFunction("beginStream", () => candidate.begin());
    await page.addScriptTag({ path: HLS });
    if (candidate.isPaced) {
      await page.addScriptTag({ content: await paceScript() });
    }
    if (candidate.start.transport) {
      await page.addScriptTag({ content: await transportsScript() });
    }
    await page.addScriptTag({ path: here("page.js") });
    return new Player(page, candidate);
  }

  constructor(page, candidate) {
    this.page = page;
    this.candidate = candidate;
  }

  /** Starts and plays the stream. Returns the result of `open` in page.js. */
  open(settings) {
    const opening = this.page.evaluate(
      ([start, config]) => globalThis.bench.open(start, config),
      [this.candidate.start, settings],
    );
    return within(OPEN_SECONDS, "no picture", opening);
  }

  /** Watches the stream, and returns the measurements. */
  watch(settleSeconds, seconds) {
    const watching = this.page.evaluate(
      ([settle, time]) => globalThis.bench.watch(settle, time),
      [settleSeconds, seconds],
    );
    return within(settleSeconds + seconds + OPEN_SECONDS, "no result of the page", watching);
  }

  close() {
    return this.page.close();
  }
}

/** Returns the result of a promise. Throws if that takes longer than `seconds`. */
async function within(seconds, failure, promise) {
  let timer;
  const timeout = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${failure} within ${seconds} s`)), seconds * 1000);
  });
  try {
    return await Promise.race([promise, timeout]);
  } finally {
    clearTimeout(timer);
    promise.catch(() => {});
  }
}
