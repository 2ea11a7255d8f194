// Runs the test camera of tests/camera as a child process.
import { fileURLToPath } from "node:url";

import { Child } from "./child.mjs";

const PROGRAM = fileURLToPath(new URL("../../camera/camera.py", import.meta.url));
const RAW_PROGRAM = fileURLToPath(new URL("../../camera/raw.py", import.meta.url));
const START_SECONDS = 60;
const READY = /"event":"ready","port":(\d+)/;

/** A running test camera. `link` is the RTSP link of its public H.264 stream. */
export class Camera {
  /** Starts a camera. Port 0 selects a free port. */
  static async start(port = 0, options = []) {
    const child = new Child(PROGRAM, ["--port", String(port), ...options]);
    const [, actualPort] = await child.waitForOutput(READY, START_SECONDS);
    return new Camera(child, Number(actualPort));
  }

  /** Starts a camera that is stopped at the end of the test. */
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

  /** Kills the camera, as if its RTSP server had crashed, so it cannot end its RTSP sessions. */
  async die() {
    this.child.signal("SIGKILL");
    await this.child.waitForExit(10);
  }

  end() {
    return this.child.end();
  }
}

/** A running raw camera, which sends one of the videos of tests/camera/recording.py in a loop. */
export class RawCamera {
  /** Starts a camera with these arguments, which is stopped at the end of the test. */
  static async startFor(t, options) {
    const child = new Child(RAW_PROGRAM, options);
    t.after(() => child.end());
    const [, port] = await child.waitForOutput(READY, START_SECONDS);
    return new RawCamera(port);
  }

  constructor(port) {
    this.link = `rtsp://127.0.0.1:${port}/live`;
  }
}
