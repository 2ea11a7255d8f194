// Operators, one for each camera. An operator starts and stops the stream at random, and disturbs the
// camera or its FFmpeg.
import { setTimeout as sleep } from "node:timers/promises";

import { signal } from "../../tests/browser/support/processes.mjs";
import { readPlaylist } from "./players.mjs";
import { TIMEOUT_MILLISECONDS, abortAfter } from "./record.mjs";

const PAUSE_SECONDS = [0.5, 8];
/**
 * Time limit for the recovery of a watched stream after the end of a disturbance: the longest pause after
 * an error, 60 s, plus the time of a start.
 */
const RECOVERY_SECONDS = 80;

/** The actions of an operator, with their relative probabilities. */
const ACTIONS = { start: 6, startAbandoned: 3, startSoon: 3, replace: 2, stop: 5, status: 3, disturb: 3 };
/** The disturbances, with their relative probabilities. */
const DISTURBANCES = {
  cameraGone: 3,
  cameraFrozen: 3,
  passwordWrong: 1,
  ffmpegKilled: 3,
  ffmpegFrozen: 2,
};

/** The operator of one camera. */
export class Operator {
  #variant = 0;

  constructor(world, camera, random) {
    Object.assign(this, { world, camera, random });
  }

  /** Acts until the end of the run. */
  async run() {
    while (!this.world.isOver()) {
      await sleep(this.random.between(...PAUSE_SECONDS) * 1000);
      const action = this.random.weighted(ACTIONS);
      await this[action]();
    }
  }

  /**
   * Sends a start request, with additional `parameters`. Returns null if the request succeeded, the error
   * code if the response is an error, or "aborted" if there was no response.
   */
  async start(timeout = TIMEOUT_MILLISECONDS, parameters = {}) {
    const { camera } = this;
    const link = camera.link(this.#variant);
    const input = { indicator_id: camera.id, rtsp_link: link, ...parameters };
    return this.#post("starts", "/api/stream/start", input, timeout);
  }

  /** Sends a start request, and aborts that request soon. */
  startAbandoned() {
    return this.start(this.random.between(1, 600));
  }

  /** Starts the stream without waiting. */
  startSoon() {
    return this.start(TIMEOUT_MILLISECONDS, { wait: false });
  }

  /** Starts the stream with another link of the same camera. */
  replace() {
    this.#variant += 1;
    return this.start();
  }

  stop() {
    const input = { indicator_id: this.camera.id };
    return this.#post("stops", "/api/stream/stop", input, TIMEOUT_MILLISECONDS);
  }

  async status() {
    const { api, record } = this.world;
    const url = `${api}/api/stream/status?indicator_id=${this.camera.id}`;
    const response = await fetch(url, { signal: abortAfter(TIMEOUT_MILLISECONDS) });
    if ((await record.response("status", response)) === null) {
      await response.arrayBuffer();
    }
  }

  async #post(what, path, body, timeout) {
    const { api, record } = this.world;
    try {
      const response = await fetch(api + path, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(body),
        signal: abortAfter(timeout),
      });
      const code = await record.response(what, response);
      if (code === null) {
        await response.arrayBuffer();
      }
      return code;
    } catch (error) {
      record.noResponse(what, error, timeout);
      return "aborted";
    }
  }

  /** Causes a random disturbance, and waits until the stream has recovered, or for RECOVERY_SECONDS. */
  async disturb() {
    const kind = this.random.weighted(DISTURBANCES);
    this.world.record.count(`disturbances: ${kind}`);
    await this[kind]();
    await this.#waitForRecovery(kind);
  }

  async cameraGone() {
    await this.camera.die();
    await sleep(this.random.between(1, 12) * 1000);
    await this.camera.start();
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
    return this.#signalFfmpeg("SIGKILL");
  }

  /** Freezes FFmpeg permanently. The manager must detect and replace it. */
  ffmpegFrozen() {
    return this.#signalFfmpeg("SIGSTOP");
  }

  async #signalFfmpeg(name) {
    await this.start();
    const pid = this.world.ffmpegOf(this.camera.id);
    if (pid !== undefined) {
      this.world.record.count(`FFmpegs that received ${name}`);
      signal(pid, name);
    }
  }

  /**
   * Requests the playlist until it grows, and records the time of the recovery, or a violation if the
   * recovery takes too long. A playlist request starts the stream again, so the stream must recover even if
   * it was stopped.
   */
  async #waitForRecovery(disturbance) {
    const { record } = this.world;
    const start = Date.now();
    let last = null;
    while (Date.now() < start + RECOVERY_SECONDS * 1000) {
      const position = await this.#position();
      if (position !== null && last !== null && position > last) {
        record.recovered(disturbance, (Date.now() - start) / 1000);
        return;
      }
      last = position ?? last;
      await sleep(500);
    }
    record.violation(`${this.camera.id} did not recover within ${RECOVERY_SECONDS} s after ${disturbance}`);
  }

  /** Returns a number that increases with each new part of the playlist; null if the request fails. */
  async #position() {
    const { origin, record } = this.world;
    const url = `${origin}/streams/${this.camera.id}/stream.m3u8`;
    try {
      const response = await fetch(url, { signal: abortAfter(TIMEOUT_MILLISECONDS) });
      if ((await record.response("playlists", response)) !== null) {
        return null;
      }
      const { next, growing } = readPlaylist(await response.text());
      return next * 1000 + growing;
    } catch (error) {
      record.noResponse("playlists", error, TIMEOUT_MILLISECONDS);
      return null;
    }
  }
}
