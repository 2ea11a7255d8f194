// Opens pages in WebKitGTK, which plays through Media Source Extensions with GStreamer's decoders. Playwright cannot
// drive Debian's WebKitGTK, so this module speaks WebDriver.
import { Child } from "./child.mjs";
import { freePort } from "./port.mjs";
import { until } from "./until.mjs";

const MINI_BROWSER = "/usr/lib/x86_64-linux-gnu/webkit2gtk-4.1/MiniBrowser";
const START_SECONDS = 60;

/** A window of WebKitGTK's MiniBrowser, on a virtual screen. */
export class WebKit {
  /** Opens a window that is closed at the end of the test. */
  static async openFor(t, address) {
    const window = new this();
    t.after(() => window.#close());
    await window.#start();
    await window.#command("POST", "/url", { url: address });
    return window;
  }

  async #start() {
    const port = await freePort();
    // xvfb-run selects a free display. It ends the screen when the driver has ended.
    const arguments_ = ["--auto-servernum", "WebKitWebDriver", `--port=${port}`];
    this.driver = new Child("xvfb-run", arguments_);
    const origin = `http://127.0.0.1:${port}`;
    await until("WebKitWebDriver responds", START_SECONDS, () =>
      fetch(`${origin}/status`).then(
        (response) => response.ok,
        () => false,
      ),
    );
    const browserOptions = { binary: MINI_BROWSER, args: ["--automation"] };
    const alwaysMatch = { "webkitgtk:browserOptions": browserOptions };
    const { sessionId } = await request(`${origin}/session`, "POST", {
      capabilities: { alwaysMatch },
    });
    this.session = `${origin}/session/${sessionId}`;
  }

  #command(method, path, body) {
    return request(this.session + path, method, body);
  }

  /**
   * Runs a function or a script in the page, as Playwright's `page.evaluate` does, and returns the function's result.
   * The function is sent as text.
   */
  evaluate(run, ...values) {
    const script = typeof run === "string" ? run : `return (${run})(...arguments)`;
    return this.#command("POST", "/execute/sync", { script, args: values });
  }

  async #close() {
    if (this.session) {
      await this.#command("DELETE", "").catch(() => {});
    }
    await this.driver?.end();
  }
}

/** Sends a WebDriver command, and returns the value of the response. Throws the driver's error. */
async function request(url, method, body) {
  const response = await fetch(url, { method, body: body && JSON.stringify(body) });
  const { value } = await response.json();
  if (!response.ok) {
    throw new Error(`${value.error}: ${value.message}`);
  }
  return value;
}
