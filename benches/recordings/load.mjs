// Load on the index while cameras are recorded: playlists through nginx, and the deletion of old recordings.
import { once } from "node:events";
import { Agent, get } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

import { quantile } from "../support/report.mjs";

/** Pause between two playlists. */
const PAUSE_MILLISECONDS = 20;
/** One of this many playlists is that of the last hour, which includes the file that is being written. */
const RECENT = 4;
const HOUR = 3_600_000;
const DAY = 24 * HOUR;

const random = (limit) => Math.floor(Math.random() * limit);

/** Requests playlists, one after the other. */
export class Playlists {
  #agent = new Agent({ keepAlive: true });
  #milliseconds = [];
  #bytes = 0;
  #hasEnded = false;

  /** `ids` are the cameras, which have recordings of the last `days` days. Those of the first day can be deleted. */
  constructor(origin, ids, days) {
    Object.assign(this, { origin: origin.replace("localhost", "127.0.0.1"), ids, days });
    this.done = this.#run();
    // The error is thrown by `end`.
    this.done.catch(() => {});
  }

  async #run() {
    for (let number = 0; !this.#hasEnded; number += 1) {
      const age = number % RECENT === 0 ? HOUR : HOUR + random(Math.max(this.days - 1.1, 0) * DAY);
      const from = new Date(Date.now() - age).toISOString();
      const to = new Date(Date.parse(from) + HOUR).toISOString();
      const id = this.ids[random(this.ids.length)];
      await this.#request(`/recordings/${id}/stream.m3u8?from=${from}&to=${to}`);
      await sleep(PAUSE_MILLISECONDS);
    }
  }

  async #request(path) {
    const began = performance.now();
    // As browsers do, accepts compressed playlists.
    const headers = { "Accept-Encoding": "gzip" };
    const [response] = await once(get(this.origin + path, { agent: this.#agent, headers }), "response");
    const chunks = await response.toArray();
    this.#milliseconds.push(performance.now() - began);
    const bytes = Buffer.concat(chunks);
    if (response.statusCode !== 200) {
      throw new Error(`${path}: ${response.statusCode} ${bytes}`);
    }
    this.#bytes += bytes.length;
  }

  /** Ends the requests. Returns their durations in milliseconds. */
  async end() {
    this.#hasEnded = true;
    await this.done;
    const all = this.#milliseconds;
    const [p50, p99] = [quantile(all, 0.5), quantile(all, 0.99)];
    return { count: all.length, p50, p99, max: Math.max(...all), meanBytes: this.#bytes / all.length };
  }
}
