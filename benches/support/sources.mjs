// Starts the camera process, source.mjs.
import { fileURLToPath } from "node:url";

import { Child } from "../../tests/browser/support/child.mjs";

const PROGRAM = fileURLToPath(new URL("./source.mjs", import.meta.url));

/** The camera process, which has any number of cameras. */
export class Source {
  #reports = 0;

  static async start() {
    const child = new Child(process.execPath, [PROGRAM]);
    const [, event] = await child.waitForOutput(/^(\{"event":"ready".*)$/m, 120);
    return new Source(child, JSON.parse(event));
  }

  constructor(child, { port, bitRate }) {
    Object.assign(this, { child, port, bitRate });
  }

  /** Returns the number of frames that all cameras have sent so far. */
  async framesSent() {
    this.#reports += 1;
    this.child.process.kill("SIGUSR2");
    const report = new RegExp(`^(\\{"event":"sent","report":${this.#reports},.*)$`, "m");
    const [, event] = await this.child.waitForOutput(report, 10);
    return JSON.parse(event).frames;
  }

  /** Returns the links of `count` cameras, starting at number `first`. */
  links(first, count) {
    return Array.from({ length: count }, (_, index) => `rtsp://127.0.0.1:${this.port}/${first + index}`);
  }
}
