// Load on the index while cameras are recorded: playlists through nginx, and the deletion of old recordings.
import { once } from "node:events";
import { Agent, get } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

import { quantile } from "../support/report.mjs";

/** Pause between two playlists. */
const PAUSE_MILLISECONDS = 20;
/** Time limit of a response. */
const RESPONSE_MILLISECONDS = 30_000;
/** One of this many playlists is that of the last hour, which includes the file that is being written. */
const RECENT = 4;
const HOUR = 3_600_000;
const DAY = 24 * HOUR;

const random = (limit) => Math.floor(Math.random() * limit);

/** Requests playlists, one after the other: through nginx and, for comparison, from the manager, and a file from nginx. */
export class Playlists {
  #agent = new Agent({ keepAlive: true });
  #milliseconds = { playlists: [], direct: [], page: [] };
  #bytes = 0;
  #hasEnded = false;

  /**
   * `manager` has the origins of nginx and of the manager. `ids` are the cameras, which have recordings of the last `days`
   * days. Those of the first day can be deleted.
   */
  constructor({ origin, api }, ids, days) {
    Object.assign(this, { origin: origin.replace("localhost", "127.0.0.1"), api, ids, days });
    this.done = this.#run();
    // The error is thrown by `end`.
    this.done.catch(() => {});
  }

  async #run() {
    for (let number = 0; !this.#hasEnded; number += 1) {
      const { playlists, direct, page } = this.#milliseconds;
      this.#bytes += await this.#request(this.origin + this.#path(number), playlists);
      await sleep(PAUSE_MILLISECONDS);
      await this.#request(this.api + this.#path(number), direct);
      await sleep(PAUSE_MILLISECONDS);
      await this.#request(`${this.origin}/`, page);
      await sleep(PAUSE_MILLISECONDS);
    }
  }

  #path(number) {
    const age = number % RECENT === 0 ? HOUR : HOUR + random(Math.max(this.days - 1.1, 0) * DAY);
    const from = new Date(Date.now() - age).toISOString();
    const to = new Date(Date.parse(from) + HOUR).toISOString();
    const id = this.ids[random(this.ids.length)];
    return `/recordings/${id}/stream.m3u8?from=${from}&to=${to}`;
  }

  /** Requests a URL, and adds the duration to `durations`. Returns the size of the body. */
  async #request(url, durations) {
    const began = performance.now();
    // As browsers do, accepts compressed playlists.
    const headers = { "Accept-Encoding": "gzip" };
    const signal = AbortSignal.timeout(RESPONSE_MILLISECONDS);
    try {
      const [response] = await once(get(url, { agent: this.#agent, headers, signal }), "response");
      const bytes = Buffer.concat(await response.toArray());
      durations.push(performance.now() - began);
      if (response.statusCode !== 200) {
        throw new Error(`${response.statusCode} ${bytes}`);
      }
      return bytes.length;
    } catch (error) {
      throw new Error(`${url}: ${error.message}`, { cause: error });
    }
  }

  /** Ends the requests. Returns their durations in milliseconds. */
  async end() {
    this.#hasEnded = true;
    await this.done;
    const summary = (all) => ({
      count: all.length,
      p50: quantile(all, 0.5),
      p99: quantile(all, 0.99),
      max: Math.max(...all),
    });
    const { playlists, direct, page } = this.#milliseconds;
    const meanBytes = this.#bytes / playlists.length;
    return { playlists: { ...summary(playlists), meanBytes }, direct: summary(direct), page: summary(page) };
  }
}
