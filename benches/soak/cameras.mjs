// Cameras with faults. Each camera has its own server, so that it can fail independently.
import { setTimeout as sleep } from "node:timers/promises";

import { Camera, RtspServer } from "../support/rtsp.mjs";

/** No client uses this address for its connections, so the port of a dead camera stays free. */
const ADDRESS = "127.0.0.2";
/** One camera out of this many has a password. */
const PASSWORD_INTERVAL = 2;
export const PASSWORD = "soak-secret-7f3a91";

/** A camera whose faults can be controlled. */
export class FaultyCamera {
  constructor(clip, number) {
    this.id = `camera-${number}`;
    this.clip = clip;
    this.camera = new Camera(clip, number);
    this.password = number % PASSWORD_INTERVAL === 0 ? PASSWORD : null;
    this.camera.password = this.password;
    this.server = null;
    this.port = 0;
  }

  /** Starts the camera, or starts it again after `die`. */
  async start() {
    const server = new RtspServer(this.clip, () => this.camera);
    this.port = await server.listen(ADDRESS, this.port);
    this.server = server;
  }

  /** Breaks all connections and refuses new ones. */
  async die() {
    const { server } = this;
    this.server = null;
    await server?.die();
  }

  freeze(isFrozen) {
    this.camera.isFrozen = isFrozen;
  }

  /** Changes the password, or restores it. */
  async lock(isLocked) {
    this.camera.password = isLocked ? "another" : this.password;
    if (isLocked) {
      await this.die();
      await sleep(0);
      await this.start();
    }
  }

  /** Returns the link. The variant makes the link different, but the picture stays the same. */
  link(variant) {
    const credentials = this.password ? `viewer:${this.password}@` : "";
    return `rtsp://${credentials}${ADDRESS}:${this.port}/live${variant}`;
  }
}
