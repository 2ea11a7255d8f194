// A camera each with a server of its own, so that one can be gone while the others are there.
import { setTimeout as sleep } from "node:timers/promises";

import { Camera, RtspServer } from "../support/rtsp.mjs";

/** No connection begins at this address, so that nobody takes the port of a camera that is gone. */
const ADDRESS = "127.0.0.2";
/** Every so many cameras want a password. */
const WITH_PASSWORD = 2;
export const PASSWORD = "soak-secret-7f3a91";

/** A camera that has faults. */
export class FaultyCamera {
  constructor(clip, number) {
    this.id = `camera-${number}`;
    this.clip = clip;
    this.camera = new Camera(clip, number);
    this.password = number % WITH_PASSWORD === 0 ? PASSWORD : null;
    this.camera.password = this.password;
    this.server = null;
    this.port = 0;
  }

  async comeBack() {
    const server = new RtspServer(this.clip, () => this.camera);
    this.port = await server.listen(ADDRESS, this.port);
    this.server = server;
  }

  /** Connections break off, new ones are refused. */
  async die() {
    const { server } = this;
    this.server = null;
    await server?.die();
  }

  freeze(isFrozen) {
    this.camera.isFrozen = isFrozen;
  }

  /** Somebody has changed its password, or changed it back. */
  async lock(isLocked) {
    this.camera.password = isLocked ? "another" : this.password;
    if (isLocked) {
      await this.die();
      await sleep(0);
      await this.comeBack();
    }
  }

  /** Links with another variant are another source of the same picture. */
  link(variant) {
    const credentials = this.password ? `viewer:${this.password}@` : "";
    return `rtsp://${credentials}${ADDRESS}:${this.port}/live${variant}`;
  }
}
