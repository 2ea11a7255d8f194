// The cost of each further viewer of a camera, and the memory of each socket.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { Manager } from "../support/manager.mjs";
import { markdown, progress } from "../support/report.mjs";
import { Source } from "../support/sources.mjs";
import { memory } from "../support/usage.mjs";
import { Peers } from "./peers.mjs";
import { Readers } from "./readers.mjs";
import { megabytes, percent } from "./report.mjs";
import { serviceGroups, Usage } from "./usage.mjs";

const ID = "camera";
/** For each viewer of WebRTC, the browser decodes the video, so there are fewer of them. */
const VIEWERS_PER_PEER = 4;
const SETTINGS = { WEBRTC_PORT: "0", WEBRTC_ADDRESSES: "127.0.0.1" };

const socket = (format) => ({ path: "live", watch: { format, codecs: ["avc1"], audio: false } });
const pictures = { path: "mjpeg?width=640&fps=10" };
const playlist = { path: "stream.m3u8", isHls: true };

/** The kinds of viewers. `isDirect`: without nginx. */
export const KINDS = {
  mp4: { title: "live socket, mp4", ...socket("mp4"), isDirect: true },
  "mp4-nginx": { title: "live socket, mp4, through nginx", ...socket("mp4") },
  raw: { title: "live socket, raw", ...socket("raw"), isDirect: true },
  "raw-nginx": { title: "live socket, raw, through nginx", ...socket("raw") },
  mjpeg: { title: "MJPEG socket, 640 wide, 10 per s, through nginx", ...pictures },
  hls: { title: "low-latency HLS, through nginx", ...playlist },
  webrtc: { title: "WebRTC", isPeer: true },
};
const MEMORY_KINDS = ["mp4", "mp4-nginx", "raw", "raw-nginx"];

/** Opens viewers of a kind. */
function open(manager, { path, watch, isHls, isDirect, isPeer }, count) {
  if (isPeer) {
    return Peers.open(count, manager.origin, ID);
  }
  const origin = isDirect ? manager.api : manager.origin;
  return Readers.open(count, { url: `${origin}/streams/${ID}/${path}`, watch, isHls });
}

/** Starts a service with a running camera in its own directory, and calls `work`. */
async function withCamera(directory, name, source, work) {
  const ownDirectory = join(directory, name);
  mkdirSync(ownDirectory);
  const manager = await Manager.start(ownDirectory, SETTINGS);
  try {
    const [link] = source.links(0, 1);
    await manager.service.put(ID, { rtsp_link: link, keep: "always" });
    return await work(manager);
  } finally {
    await manager.end();
  }
}

/** Measures the processor time of the manager and of nginx for some seconds. */
async function measureUsage(manager, { settle, seconds }) {
  await sleep(settle * 1000);
  const usage = new Usage(serviceGroups(manager));
  await sleep(seconds * 1000);
  return usage.shares();
}

/**
 * Measures the cost of further viewers of a kind. One viewer stays during the whole measurement, so that the costs
 * which all viewers share do not count.
 */
async function measureKind(name, manager, options) {
  const kind = KINDS[name];
  const count = kind.isPeer ? Math.ceil(options.viewers / VIEWERS_PER_PEER) : options.viewers;
  const first = await open(manager, kind, 1);
  const rounds = [];
  try {
    let before = await measureUsage(manager, options);
    for (let round = 1; round <= options.rounds; round += 1) {
      const viewers = await open(manager, kind, count);
      let rates, during;
      try {
        await sleep(options.settle * 1000);
        const counters = await viewers.counters();
        during = await measureUsage(manager, { ...options, settle: 0 });
        rates = await viewers.rates(counters);
      } finally {
        await viewers.close();
      }
      if (rates.ended > 0) {
        throw new Error(`${rates.ended} of ${count} viewers (${name}) have ended early`);
      }
      const after = await measureUsage(manager, options);
      const cost = (group) => (during[group] - (before[group] + after[group]) / 2) / count;
      rounds.push({ manager: cost("manager"), nginx: cost("nginx"), before, during, after, rates });
      before = after;
      const total = rounds.at(-1).manager + rounds.at(-1).nginx;
      progress(`viewers ${name} ${round}/${options.rounds}: ${percent(total, 3)} of a core for each`);
    }
  } finally {
    await first.close();
  }
  return { name, title: kind.title, count, rounds };
}

/** Measures the cost of further viewers for each of `options.kinds`. */
export async function measureViewers(options, directory) {
  const source = await Source.start();
  try {
    return await withCamera(directory, "viewers", source, async (manager) => {
      const results = [];
      for (const name of options.kinds) {
        results.push(await measureKind(name, manager, options));
      }
      return results;
    });
  } finally {
    await source.child.end();
  }
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Returns the table of the results of `measureViewers`. */
export function viewersTable(results) {
  const head = ["each further viewer", "viewers", "manager, CPU", "nginx", "sum", "min", "max"];
  const rows = results.map(({ title, count, rounds }) => {
    const sums = rounds.map(({ manager, nginx }) => manager + nginx);
    const rates = rounds.map((round) => round.rates);
    const average = (name) => mean(rounds.map((round) => round[name]));
    return [
      ...[title, count],
      ...[average("manager"), average("nginx"), mean(sums)].map((share) => percent(share, 3)),
      ...[Math.min(...sums), Math.max(...sums)].map((share) => percent(share, 3)),
      mean(rates.map(({ bits }) => bits / 1e6)).toFixed(2),
      mean(rates.map(({ frames }) => frames)).toFixed(1),
      rates.reduce((sum, { missed }) => sum + missed, 0),
    ];
  });
  return markdown([...head, "Mbit/s", "frames or parts per s", "missed"], rows);
}

/** Returns the memory of the manager and of nginx in bytes. */
function memoryOf(manager) {
  const { manager: own, nginx } = manager.processes();
  const pss = (pids) => pids.reduce((sum, pid) => sum + memory(pid).pss, 0);
  return { manager: pss(own), nginx: pss(nginx) };
}

/** Measures the memory of `options.sockets` sockets. Each kind has a service of its own, which had no socket before. */
export async function measureMemory(options, directory) {
  const source = await Source.start();
  const results = [];
  try {
    for (const name of MEMORY_KINDS.filter((kind) => options.kinds.includes(kind))) {
      const result = await withCamera(directory, `memory-${name}`, source, async (manager) => {
        progress(`memory ${name}: ${options.sockets} sockets`);
        const first = await open(manager, KINDS[name], 1);
        const sockets = [first];
        try {
          await sleep(options.settle * 1000);
          const before = memoryOf(manager);
          sockets.push(await open(manager, KINDS[name], options.sockets));
          const counters = sockets[1].counters();
          await sleep(options.settle * 1000);
          const after = memoryOf(manager);
          return { before, after, rates: sockets[1].rates(counters) };
        } finally {
          await Promise.all(sockets.map((each) => each.close()));
        }
      });
      results.push({ name, title: KINDS[name].title, count: options.sockets, ...result });
    }
  } finally {
    await source.child.end();
  }
  return results;
}

/** Returns the table of the results of `measureMemory`. */
export function memoryTable(results) {
  const head = ["each socket", "sockets", "manager, MB", "nginx", "sum", "frames per s", "missed"];
  const rows = results.map(({ title, count, before, after, rates }) => {
    const each = (group) => (after[group] - before[group]) / count;
    const bytes = [each("manager"), each("nginx"), each("manager") + each("nginx")];
    return [title, count, ...bytes.map(megabytes), rates.frames.toFixed(1), rates.missed];
  });
  return markdown(head, rows);
}
