// Viewers: low-latency players with blocking reloads, plain players that poll, and players that abort their
// requests.
import { setTimeout as sleep } from "node:timers/promises";

import { TIMEOUT_MILLISECONDS, abortAfter } from "./record.mjs";

const STAY_SECONDS = [2, 25];
const KINDS = { lowLatency: 5, plain: 3, vanishing: 2 };

/**
 * Parses a playlist. `next` is the number of the segment that is still growing, and `growing` is the number
 * of parts of that segment.
 */
export function readPlaylist(text) {
  const tag = (name) => Number(new RegExp(`^#EXT-X-${name}:(\\d+)`, "m").exec(text)?.[1]);
  const segments = [...text.matchAll(/^(\d+)\.m4s$/gm)].map(([, number]) => Number(number));
  const skipped = Number(/SKIPPED-SEGMENTS=(\d+)/.exec(text)?.[1] ?? 0);
  const first = tag("MEDIA-SEQUENCE");
  const parts = [...text.matchAll(/^#EXT-X-PART:.*URI="(\d+)\.m4s"/gm)].map(([, n]) => Number(n));
  const next = first + skipped + segments.length;
  const growing = parts.filter((number) => number === next).length;
  return { first, segments, skipped, next, growing };
}

/**
 * Returns a description of the first inconsistency in a playlist; undefined if the playlist is consistent.
 */
function inconsistency({ first, segments, skipped }) {
  const wrong = segments.find((number, index) => number !== first + skipped + index);
  return wrong === undefined ? undefined : `segment ${wrong} is at the wrong position`;
}

/**
 * A viewer, who watches random cameras one after the other, each for some time and with a random player.
 */
export class Viewer {
  constructor(world, random) {
    this.world = world;
    this.random = random;
  }

  /** Watches cameras until the end of the run. */
  async run() {
    while (!this.world.isOver()) {
      const camera = this.random.pick(this.world.cameras);
      const kind = this.random.weighted(KINDS);
      const until = Date.now() + this.random.between(...STAY_SECONDS) * 1000;
      this.world.record.count(`viewers: ${kind}`);
      this.known = null;
      while (!this.world.isOver() && Date.now() < until) {
        await this.#step(camera, kind);
      }
    }
  }

  /** Loads the playlist and maybe a segment, as a player of this kind does. */
  async #step(camera, kind) {
    const isBlocking = kind === "lowLatency" || (kind === "vanishing" && this.random.chance(0.8));
    const { known } = this;
    const query = isBlocking && known ? `?_HLS_msn=${known.next}&_HLS_part=${known.growing}` : "";
    const skip = query && this.random.chance(0.5) ? "&_HLS_skip=YES" : "";
    const timeout = kind === "vanishing" ? this.random.between(1, 400) : TIMEOUT_MILLISECONDS;
    const isReloaded = await this.#reload(camera, `${query}${skip}`, timeout);
    if (isReloaded && this.random.chance(0.3)) {
      await this.#loadSegment(camera, timeout);
    }
    if (!isReloaded || !query) {
      await sleep(this.random.between(200, 1500));
    }
  }

  /** Loads and checks the playlist. Returns whether it was loaded. */
  async #reload(camera, query, timeout) {
    const { origin, record } = this.world;
    const kind = query ? "blocking" : "plain";
    const name = `${camera.id}'s sequence number (${kind})`;
    const before = record.highest(name);
    const seen = this.known?.next ?? 0;
    const url = `${origin}/streams/${camera.id}/stream.m3u8${query}`;
    const text = await this.#get(query ? "blocking reloads" : "playlists", url, timeout);
    if (text === null) {
      this.known = null;
      return false;
    }
    const playlist = readPlaylist(text.toString("utf8"));
    record.mustNotDecrease(name, playlist.next, before);
    record.mustNotDecrease(`${camera.id}'s sequence number, for one viewer`, playlist.next, seen);
    const problem = inconsistency(playlist);
    if (problem) {
      record.violation(`${camera.id}'s playlist: ${problem}`);
    }
    this.known = playlist;
    return true;
  }

  async #loadSegment(camera, timeout) {
    const number = this.random.pick(this.known.segments);
    if (number !== undefined) {
      const url = `${this.world.origin}/streams/${camera.id}/${number}.m4s`;
      await this.#get("segments", url, timeout);
    }
  }

  /** Returns the body of a response; null after an error response, or if there was no response. */
  async #get(what, url, timeout) {
    const { record } = this.world;
    try {
      const response = await fetch(url, { signal: abortAfter(timeout) });
      const code = await record.response(what, response);
      return code === null ? Buffer.from(await response.arrayBuffer()) : null;
    } catch (error) {
      record.noResponse(what, error, timeout);
      return null;
    }
  }
}
