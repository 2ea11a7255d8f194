// The time from the first frame that shows motion until clients know of it.
import { createServer } from "node:http";
import { once } from "node:events";

import { until } from "../../tests/browser/support/until.mjs";
import { WALK } from "../support/clip.mjs";
import { Manager } from "../support/manager.mjs";
import { markdown, progress, quantile } from "../support/report.mjs";
import { Source } from "../support/sources.mjs";

const CLIP = { width: 640, height: 360, kbits: 500, isWalk: true };
/** The detector learns what the camera shows for this time, in which it reports only clear motion. */
const LEARN_SECONDS = 30;
/** A report that is later than this belongs to another walk. */
const LATEST_MS = 10_000;

/** Starts a receiver of webhooks. `note` gets each of them. */
async function receive(note) {
  const server = createServer(async (request, response) => {
    const at = Date.now();
    const body = Buffer.concat(await request.toArray());
    response.end();
    note(JSON.parse(body), at);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}

/** Reads server-sent events until the connection ends. `note` gets the data of each of them. */
async function follow(url, note, signal) {
  const response = await fetch(url, { signal });
  const decoder = new TextDecoder();
  let text = "";
  for await (const bytes of response.body) {
    const at = Date.now();
    text += decoder.decode(bytes, { stream: true });
    const messages = text.split("\n\n");
    text = messages.pop();
    for (const message of messages) {
      const data = /^data: ?(.*)$/m.exec(message)?.[1];
      if (data) {
        note(JSON.parse(data), at);
      }
    }
  }
}

/**
 * Returns by how many milliseconds `at` is later than the begin of the last walk in front of a camera, and when this walk
 * was.
 */
function lateness(at, { phase, duration }) {
  const position = (((at + phase) % duration) + duration) % duration;
  const late = (position - WALK.beginsAt * 1000 + duration) % duration;
  return { late, walk: Math.round((at - late) / 1000) };
}

/** Measures the walks in front of all cameras. */
export async function measureDelay({ cameras, walks }, directory) {
  const source = await Source.start(CLIP);
  const seen = { events: new Map(), webhooks: new Map() };
  const begunAt = Date.now() + LEARN_SECONDS * 1000;
  const note = (kind) => (event, at) => {
    const number = Number(/^walk-(\d+)$/.exec(event.camera)?.[1]);
    // The end of a motion has a time `until`.
    if (event.type !== "motion" || event.until || Number.isNaN(number) || at < begunAt) {
      return;
    }
    const { late, walk } = lateness(at, source.timing(number));
    const key = `${number} ${walk}`;
    if (!seen[kind].has(key)) {
      seen[kind].set(key, late);
    }
  };
  const receiver = await receive(note("webhooks"));
  const manager = await Manager.start(directory, {
    WEBHOOK_URL: `http://127.0.0.1:${receiver.address().port}/`,
  });
  const following = new AbortController();
  try {
    const followed = follow(`${manager.api}/api/events/stream?type=motion`, note("events"), following.signal);
    followed.catch(() => {});
    for (const [number, link] of source.links(0, cameras).entries()) {
      await manager.service.put(`walk-${number}`, { rtsp_link: link, motion: { source: "pictures" } });
    }
    const wanted = cameras * walks;
    const seconds = LEARN_SECONDS + (walks + 1) * WALK.seconds;
    progress(`delay: ${walks} walks in front of each of ${cameras} cameras, at most ${seconds} s`);
    await until("all walks are reported", seconds, () => seen.webhooks.size >= wanted).catch(() => {});
    const inTime = (delays) => [...delays.values()].filter((late) => late <= LATEST_MS);
    const [events, webhooks] = [inTime(seen.events), inTime(seen.webhooks)];
    return { wanted, others: seen.events.size - events.length, events, webhooks };
  } finally {
    following.abort();
    await manager.end();
    receiver.close();
    await source.child.end();
  }
}

/** Returns the table of the results. */
export function delayTable({ wanted, others, events, webhooks }) {
  const row = (name, delays) => {
    const times = [0.5, 0.95, 1].map((fraction) => Math.round(quantile(delays, fraction)));
    return [name, `${delays.length} of ${wanted}`, others, ...times];
  };
  const head = ["motion is known to", "walks", "other events", "after, ms: median", "p95", "max"];
  return markdown(head, [row("clients that follow events", events), row("webhooks", webhooks)]);
}
