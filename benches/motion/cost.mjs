// The cost of the analysis, and its effect on a camera that is watched.
import { setTimeout as sleep } from "node:timers/promises";
import { readFileSync } from "node:fs";

import { until } from "../../tests/browser/support/until.mjs";
import { launchBrowser } from "../../tests/browser/support/viewer.mjs";
import { figuresOf, Page } from "../live/page.mjs";
import { percent } from "../live/report.mjs";
import { serviceGroups, Usage } from "../live/usage.mjs";
import { Manager } from "../support/manager.mjs";
import { markdown, progress } from "../support/report.mjs";
import { Source } from "../support/sources.mjs";
import { memory } from "../support/usage.mjs";

const MAIN = { width: 1920, height: 1080, kbits: 4000, isNumbered: true };
const SUB = { width: 640, height: 360, kbits: 500 };
const WATCHED = "watched";
/** Time limit for the first picture on the page, and for the first analysed picture. */
const BEGIN_SECONDS = 60;
/** The age of every Nth picture is read. */
const READ_EVERY = 5;

/** What the cameras are analysed for, in the order of the measurements. */
const CASES = [
  { name: "no analysis", source: "off", hasSub: false },
  { name: "main streams, 1920×1080", source: "pictures", hasSub: false },
  { name: "no analysis, with sub streams", source: "off", hasSub: true },
  { name: "sub streams, 640×360", source: "pictures", hasSub: true },
];

const idOf = (number) => `analysed-${number}`;

/** Returns the process ids of the FFmpegs that make grey pictures. */
function decoders(manager) {
  return manager.processes().ffmpegs.filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("rawvideo");
    } catch {
      // The process has just ended.
      return false;
    }
  });
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Sets what is analysed. The main stream of each camera runs in every case, so only the analysis differs. */
async function prepare(manager, ids, links, { source, hasSub }) {
  for (const [index, id] of ids.entries()) {
    const camera = { rtsp_link: links.main[index], keep: "always", motion: { source } };
    await manager.service.put(id, { ...camera, rtsp_link_sub: hasSub ? links.sub[index] : null });
  }
  await until("all cameras are analysed", BEGIN_SECONDS, async () => {
    const states = await Promise.all(ids.map((id) => manager.call(`/api/cameras/${id}/motion`)));
    const wanted = hasSub ? "sub" : "main";
    return source === "off" || states.every(({ body }) => body.profile === wanted && body.pictures_per_second > 0);
  });
}

/** Measures the page and the processes for a while. */
async function measure(manager, page, timing, { settle, seconds }) {
  await sleep(settle * 1000);
  const analysed = () => manager.metric("stream_manager_analysed_pictures_total");
  const before = await analysed();
  const usage = new Usage({ decoders: () => decoders(manager), ...serviceGroups(manager) });
  await page.record({ [WATCHED]: timing }, READ_EVERY);
  await sleep(seconds * 1000);
  const figures = figuresOf(await page.recorded());
  const pids = decoders(manager);
  const memories = pids.map((pid) => memory(pid).pss);
  const rate = ((await analysed()) - before) / seconds;
  return { cpu: usage.shares(), figures, decoders: pids.length, memory: memories.length ? mean(memories) : null, rate };
}

/** Returns the results of all cases. */
export async function measureCost(options, directory) {
  const main = await Source.start(MAIN);
  const sub = await Source.start(SUB);
  const manager = await Manager.start(directory);
  const browser = await launchBrowser();
  try {
    const ids = Array.from({ length: options.cameras }, (_, number) => idOf(number));
    const links = { main: main.links(1, options.cameras), sub: sub.links(1, options.cameras) };
    await manager.service.put(WATCHED, { rtsp_link: main.links(0, 1)[0] });
    await prepare(manager, ids, links, CASES[0]);
    const page = await Page.open(browser, `${manager.origin}/#/?cameras=${WATCHED}`, "hls");
    await page.firstPictures([WATCHED], BEGIN_SECONDS);
    const results = [];
    for (const one of CASES) {
      progress(`cost, ${one.name}: ${options.settle} + ${options.seconds} s`);
      await prepare(manager, ids, links, one);
      results.push({ ...one, ...(await measure(manager, page, main.timing(0), options)) });
    }
    return results;
  } finally {
    await browser.close();
    await manager.end();
    await main.child.end();
    await sub.child.end();
  }
}

const HEAD = [
  "cameras",
  ...["decoders", "decoder, CPU of each", "memory of each, MB", "pictures per s of each"],
  ...["manager, CPU in all", "manager, CPU per camera more than without"],
  ...["watched by LL-HLS: age, ms: median", "p95", "max", "longest gap, ms", "gaps", "transports"],
];

/** Returns the table of the results. */
export function costTable(results, { cameras }) {
  const whole = (value) => (value === null ? "–" : String(Math.round(value)));
  const rows = results.map((result) => {
    const { name, source, hasSub, cpu, figures } = result;
    const without = results.find((other) => other.source === "off" && other.hasSub === hasSub);
    const isOn = source !== "off";
    return [
      name,
      result.decoders,
      isOn ? percent(cpu.decoders / cameras) : "–",
      isOn ? (result.memory / 1e6).toFixed(1) : "–",
      isOn ? (result.rate / cameras).toFixed(2) : "–",
      percent(cpu.manager),
      isOn ? percent((cpu.manager - without.cpu.manager) / cameras) : "–",
      ...[figures.age.p50, figures.age.p95, figures.age.max, figures.longest].map(whole),
      figures.gaps,
      figures.transports,
    ];
  });
  return markdown(HEAD, rows);
}
