// Cameras that the benchmark can disturb. Each has a separate server, so that each can fail independently.
import { setTimeout as sleep } from "node:timers/promises";

import { Camera, RtspServer } from "../support/rtsp.mjs";

/**
 * Address of the cameras. The local ports of outgoing connections belong to another address, 127.0.0.1, so no
 * connection can take the port of a stopped camera.
 */
const ADDRESS = "127.0.0.2";
/** Every camera whose number is a multiple of this has a password. */
const PASSWORD_INTERVAL = 2;
export const PASSWORD = "soak-secret-7f3a91";

/** A camera that can disappear, freeze or change its password. */
export class UnreliableCamera {
  constructor(clip, number) {
    this.id = `camera-${number}`;
    this.clip = clip;
    this.camera = new Camera(clip, number);
    this.password = number % PASSWORD_INTERVAL === 0 ? PASSWORD : null;
    this.camera.password = this.password;
    this.server = null;
    this.port = 0;
  }

  /** Starts the camera, for the first time or after `die`. */
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

  /** Freezes the camera, or lets it continue. */
  freeze(isFrozen) {
    this.camera.isFrozen = isFrozen;
  }

  /** Changes the password and breaks all connections, or restores the password. */
  async lock(isLocked) {
    this.camera.password = isLocked ? "another" : this.password;
    if (isLocked) {
      await this.die();
      await sleep(0);
      await this.start();
    }
  }

  /**
   * Returns a link to the camera. Links with different variants differ, but the camera sends the same video.
   */
  link(variant) {
    const credentials = this.password ? `viewer:${this.password}@` : "";
    return `rtsp://${credentials}${ADDRESS}:${this.port}/live${variant}`;
  }
}
