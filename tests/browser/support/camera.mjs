// The test camera, as a process of the tests.
import { fileURLToPath } from "node:url";

import { Child } from "./child.mjs";

const PROGRAM = fileURLToPath(new URL("../../camera/camera.py", import.meta.url));
const START_SECONDS = 60;

/** A camera that is available at `link`. */
export class Camera {
  static async start(port = 0, options = []) {
    const child = new Child(PROGRAM, ["--port", String(port), ...options]);
    const [, bound] = await child.says(/"event":"ready","port":(\d+)/, START_SECONDS);
    return new Camera(child, Number(bound));
  }

  /** Starts a camera that ends with the test. */
  static async startFor(t, port = 0, options = []) {
    const camera = await Camera.start(port, options);
    t.after(() => camera.end());
    return camera;
  }

  constructor(child, port) {
    this.child = child;
    this.port = port;
    this.link = `rtsp://127.0.0.1:${port}/h264`;
  }

  /** Ends at once without closing its connections, as in a power cut. */
  async die() {
    this.child.signal("SIGKILL");
    await this.child.ended(10);
  }

  end() {
    return this.child.end();
  }
}
