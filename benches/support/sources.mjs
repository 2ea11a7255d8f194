// Starts the camera process, source.mjs.
import { fileURLToPath } from "node:url";

import { Child } from "../../tests/browser/support/child.mjs";
import { phaseOf } from "./rtsp.mjs";

const PROGRAM = fileURLToPath(new URL("./source.mjs", import.meta.url));

/** The camera process, which has any number of cameras. */
export class Source {
  #reports = 0;

  /** Starts the process. All cameras send the same clip, with these properties; see `Clip.load`. */
  static async start(clip = {}) {
    const child = new Child(process.execPath, [PROGRAM, JSON.stringify(clip)]);
    const [, event] = await child.waitForOutput(/^(\{"event":"ready".*)$/m, 120);
    return new Source(child, JSON.parse(event));
  }

  constructor(child, { port, bitRate, clip }) {
    Object.assign(this, { child, port, bitRate, clip });
  }

  /**
   * Returns how the age of a picture follows from its number in the clip, which the picture shows if the clip is
   * numbered: the age is the remainder of `Date.now() + phase - number * 1000 / fps` divided by `duration`.
   */
  timing(number) {
    const { duration, fps } = this.clip;
    return { duration, fps, phase: phaseOf(number, this.clip) };
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
