// Back ends that start and stop a camera in no order that makes sense, and what happens to
// cameras and to FFmpegs. One for each camera.
import { setTimeout as sleep } from "node:timers/promises";

import { signal } from "../../tests/browser/support/processes.mjs";
import { readPlaylist } from "./players.mjs";
import { PATIENCE_MILLISECONDS, leaving } from "./record.mjs";

const PAUSE_SECONDS = [0.5, 8];
/**
 * A watched stream is back within this time after its fault is gone: the longest pause after a refusal
 * (60 s) and a start.
 */
const BACK_SECONDS = 80;

const ACTIONS = { start: 6, startAbandoned: 3, startSoon: 3, replace: 2, stop: 5, status: 3, fault: 3 };
const FAULTS = {
  cameraGone: 3,
  cameraFrozen: 3,
  passwordWrong: 1,
  ffmpegKilled: 3,
  ffmpegFrozen: 2,
};

/** What goes on around one camera. */
export class Operator {
  #variant = 0;

  constructor(world, camera, random) {
    Object.assign(this, { world, camera, random });
  }

  async live() {
    while (!this.world.isOver()) {
      await sleep(this.random.between(...PAUSE_SECONDS) * 1000);
      const action = this.random.weighted(ACTIONS);
      await this[action]();
    }
  }

  /** Starts the stream; the code of the error, if it is one. */
  async start(patience = PATIENCE_MILLISECONDS, more = {}) {
    const { camera } = this;
    const link = camera.link(this.#variant);
    const input = { indicator_id: camera.id, rtsp_link: link, ...more };
    return this.#post("starts", "/api/stream/start", input, patience);
  }

  startAbandoned() {
    return this.start(this.random.between(1, 600));
  }

  startSoon() {
    return this.start(PATIENCE_MILLISECONDS, { wait: false });
  }

  /** Another link of the same camera takes the place of the one that runs. */
  replace() {
    this.#variant += 1;
    return this.start();
  }

  stop() {
    const input = { indicator_id: this.camera.id };
    return this.#post("stops", "/api/stream/stop", input, PATIENCE_MILLISECONDS);
  }

  async status() {
    const { api, record } = this.world;
    const url = `${api}/api/stream/status?indicator_id=${this.camera.id}`;
    const response = await fetch(url, { signal: leaving(PATIENCE_MILLISECONDS) });
    if ((await record.answer("status", response)) === null) {
      await response.arrayBuffer();
    }
  }

  async #post(what, path, body, patience) {
    const { api, record } = this.world;
    try {
      const response = await fetch(api + path, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(body),
        signal: leaving(patience),
      });
      const code = await record.answer(what, response);
      if (code === null) {
        await response.arrayBuffer();
      }
      return code;
    } catch (error) {
      record.noAnswer(what, error, patience);
      return "left";
    }
  }

  async fault() {
    const kind = this.random.weighted(FAULTS);
    this.world.record.count(`faults: ${kind}`);
    await this[kind]();
    await this.isBack(kind);
  }

  async cameraGone() {
    await this.camera.die();
    await sleep(this.random.between(1, 12) * 1000);
    await this.camera.comeBack();
  }

  async cameraFrozen() {
    this.camera.freeze(true);
    await sleep(this.random.between(1, 15) * 1000);
    this.camera.freeze(false);
  }

  async passwordWrong() {
    await this.camera.lock(true);
    await sleep(this.random.between(1, 8) * 1000);
    await this.camera.lock(false);
  }

  ffmpegKilled() {
    return this.#hit("SIGKILL");
  }

  /** It is never woken again: the manager has to notice. */
  ffmpegFrozen() {
    return this.#hit("SIGSTOP");
  }

  async #hit(name) {
    await this.start();
    const pid = this.world.ffmpegOf(this.camera.id);
    if (pid !== undefined) {
      this.world.record.count(`FFmpegs that got ${name}`);
      signal(pid, name);
    }
  }

  /** Watches until the picture goes on. Whoever stops the stream meanwhile is no excuse. */
  async isBack(after) {
    const { record } = this.world;
    const began = Date.now();
    let seen = null;
    while (Date.now() < began + BACK_SECONDS * 1000) {
      const now = await this.#position();
      if (now !== null && seen !== null && now > seen) {
        record.back(after, (Date.now() - began) / 1000);
        return;
      }
      seen = now ?? seen;
      await sleep(500);
    }
    record.fault(`${this.camera.id} did not come back within ${BACK_SECONDS} s after ${after}`);
  }

  /** Where the playlist ends, in parts; null when there is none. */
  async #position() {
    const { origin, record } = this.world;
    const url = `${origin}/streams/${this.camera.id}/stream.m3u8`;
    try {
      const response = await fetch(url, { signal: leaving(PATIENCE_MILLISECONDS) });
      if ((await record.answer("playlists", response)) !== null) {
        return null;
      }
      const { next, growing } = readPlaylist(await response.text());
      return next * 1000 + growing;
    } catch (error) {
      record.noAnswer("playlists", error, PATIENCE_MILLISECONDS);
      return null;
    }
  }
}
