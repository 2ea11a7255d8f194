// The test camera. Its encoder runs all the time, as in a real camera.
import { fileURLToPath } from "node:url";

import { Child } from "../../tests/browser/support/child.mjs";
import { until } from "../../tests/browser/support/until.mjs";

const PROGRAM = fileURLToPath(new URL("../../tests/camera/camera.py", import.meta.url));
const MOUNT = "h264";

export class Camera {
  static async start({ width, height, fps, gop, bitrate }) {
    const numbers = { width, height, fps, "gop-seconds": gop, bitrate };
    const options = Object.entries(numbers).filter(([, value]) => value !== undefined);
    const args = options.flatMap(([name, value]) => [`--${name}`, String(value)]);
    const child = new Child(PROGRAM, ["--running", MOUNT, ...args]);
    const [, port] = await child.waitForOutput(/"event":"ready","port":(\d+)/, 60);
    return new Camera(child, `rtsp://127.0.0.1:${port}/${MOUNT}`);
  }

  constructor(child, link) {
    this.child = child;
    this.link = link;
  }

  #count(event) {
    return this.child.output.split(`"event":"${event}"`).length - 1;
  }

  /** Waits until the camera has no clients. */
  async waitUntilIdle() {
    await until("the end of all connections to the camera", 60, () => {
      return this.#count("play") === this.#count("teardown");
    });
  }

  end() {
    return this.child.end();
  }
}
