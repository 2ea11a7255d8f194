// Viewers, good and bad: low-latency players whose reloads wait, plain ones that poll, and such that
// vanish in the middle of a request.
import { setTimeout as sleep } from "node:timers/promises";

import { PATIENCE_MILLISECONDS, leaving } from "./record.mjs";

const STAY_SECONDS = [2, 25];
const KINDS = { lowLatency: 5, plain: 3, vanishing: 2 };

/** What a playlist says, as far as it matters here. */
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

/** Why a playlist contradicts itself; undefined when it does not. */
function contradiction({ first, segments, skipped }) {
  const wrong = segments.find((number, index) => number !== first + skipped + index);
  return wrong === undefined ? undefined : `segment ${wrong} is not where it belongs`;
}

/** One player after the other, each of some camera for some time. */
export class Viewer {
  constructor(world, random) {
    this.world = world;
    this.random = random;
  }

  async live() {
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

  async #step(camera, kind) {
    const isBlocking = kind === "lowLatency" || (kind === "vanishing" && this.random.chance(0.8));
    const { known } = this;
    const query = isBlocking && known ? `?_HLS_msn=${known.next}&_HLS_part=${known.growing}` : "";
    const skip = query && this.random.chance(0.5) ? "&_HLS_skip=YES" : "";
    const leave = kind === "vanishing" ? this.random.between(1, 400) : PATIENCE_MILLISECONDS;
    const isReloaded = await this.#reload(camera, `${query}${skip}`, leave);
    if (isReloaded && this.random.chance(0.3)) {
      await this.#load(camera, leave);
    }
    if (!isReloaded || !query) {
      await sleep(this.random.between(200, 1500));
    }
  }

  /** Gets the playlist; false when there is none now. */
  async #reload(camera, query, patience) {
    const { origin, record } = this.world;
    const from = query ? "memory" : "disk";
    const name = `${camera.id}'s sequence number (${from})`;
    const before = record.highest(name);
    const seen = this.known?.next ?? 0;
    const url = `${origin}/streams/${camera.id}/stream.m3u8${query}`;
    const text = await this.#get(query ? "blocking reloads" : "playlists", url, patience);
    if (text === null) {
      this.known = null;
      return false;
    }
    const playlist = readPlaylist(text.toString("utf8"));
    record.grows(name, playlist.next, before);
    record.grows(`${camera.id}'s sequence number, for one viewer`, playlist.next, seen);
    const problem = contradiction(playlist);
    if (problem) {
      record.fault(`${camera.id}'s playlist: ${problem}`);
    }
    this.known = playlist;
    return true;
  }

  async #load(camera, patience) {
    const number = this.random.pick(this.known.segments);
    if (number !== undefined) {
      const url = `${this.world.origin}/streams/${camera.id}/${number}.m4s`;
      await this.#get("segments", url, patience);
    }
  }

  /** The body; null after an error, and when this viewer has left meanwhile. */
  async #get(what, url, patience) {
    const { record } = this.world;
    try {
      const response = await fetch(url, { signal: leaving(patience) });
      const code = await record.answer(what, response);
      return code === null ? Buffer.from(await response.arrayBuffer()) : null;
    } catch (error) {
      record.noAnswer(what, error, patience);
      return null;
    }
  }
}
