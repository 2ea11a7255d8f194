// A player of low-latency HLS that only counts: it requests each playlist with a blocking reload, and then its new
// parts.
import { Agent, request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

const RETRY_MS = 500;

/** Sends a GET request. Returns the body. Throws if the status is not 200 or 206. */
function get(url, agent, headers = {}) {
  return new Promise((resolve, reject) => {
    const sent = request(url, { agent, headers }, async (response) => {
      const body = Buffer.concat(await response.toArray().catch(() => []));
      const isRight = response.statusCode === 200 || response.statusCode === 206;
      return isRight ? resolve(body) : reject(new Error(`${url}: ${response.statusCode} ${body}`));
    });
    sent.on("error", reject);
    sent.end();
  });
}

/** Returns a playlist's parts, and the query for the playlist with the next one. */
function parse(playlist) {
  const attribute = (line, name) => new RegExp(`[:,]${name}="?([^",]+)`).exec(line)?.[1];
  const parts = [];
  let segment = Number(/^#EXT-X-MEDIA-SEQUENCE:(\d+)/m.exec(playlist)[1]);
  let part = 0;
  for (const line of playlist.split("\n")) {
    if (line.startsWith("#EXT-X-PART:")) {
      const [length, offset] = attribute(line, "BYTERANGE")?.split("@").map(Number) ?? [];
      const range = length === undefined ? {} : { Range: `bytes=${offset}-${offset + length - 1}` };
      parts.push({ id: `${segment}.${part}`, uri: attribute(line, "URI"), range });
      part += 1;
    } else if (line.startsWith("#EXTINF")) {
      segment += 1;
      part = 0;
    }
  }
  return { parts, next: `_HLS_msn=${segment}&_HLS_part=${part}` };
}

/**
 * Plays the stream with this playlist. Adds to `counters`: `bytes`, `frames` (parts), and `missed` (failed requests).
 */
export async function watchHls(url, counters) {
  const agent = new Agent({ keepAlive: true });
  const seen = new Set();
  let query = "";
  for (;;) {
    try {
      const playlist = await get(`${url}?${query}`, agent);
      const { parts, next } = parse(playlist.toString());
      query = next;
      counters.bytes += playlist.length;
      // At the beginning, only the newest part.
      const fresh = seen.size ? parts.filter(({ id }) => !seen.has(id)) : parts.slice(-1);
      for (const { uri, range } of fresh) {
        const media = await get(new URL(uri, url), agent, range);
          counters.bytes += media.length;
        counters.frames += 1;
      }
      seen.clear();
      parts.forEach(({ id }) => seen.add(id));
    } catch {
      counters.missed += 1;
      query = "";
      await sleep(RETRY_MS);
    }
  }
}
