// What an FFmpeg costs the service: time to start, memory and CPU for each stream. README.md tells
// the method.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { Service } from "../../tests/browser/support/service.mjs";
import { Camera } from "../latency/camera.mjs";

const LEAN = fileURLToPath(new URL("../../target/ffmpeg/ffmpeg", import.meta.url));
/** Clock ticks of /proc/PID/stat in a second, on every Linux. */
const TICKS = 100;

const { values } = parseArgs({
  options: {
    ffmpeg: { type: "string", multiple: true, default: ["/usr/bin/ffmpeg", LEAN] },
    streams: { type: "string", default: "30" },
    seconds: { type: "string", default: "20" },
    runs: { type: "string", default: "50" },
    width: { type: "string" },
    height: { type: "string" },
    bitrate: { type: "string" },
    json: { type: "string" },
  },
});
const say = (text) => process.stderr.write(`${text}\n`);
const median = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];

/** Milliseconds from a fork to the end of a program that does nothing. */
function startTimes(program) {
  return Array.from({ length: Number(values.runs) }, () => {
    const begin = process.hrtime.bigint();
    execFileSync(program, ["-version"], { stdio: "ignore" });
    return Number(process.hrtime.bigint() - begin) / 1e6;
  });
}

/** Kilobytes, by the names of smaps_rollup. */
function memory(pid) {
  const rows = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8").matchAll(/^(\w+): +(\d+) kB$/gm);
  return Object.fromEntries(Array.from(rows, ([, name, size]) => [name, Number(size)]));
}

/** Seconds of CPU that a process has taken. */
function cpu(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS;
}

async function startStream(service, id, link) {
  const answer = await fetch(`${service.manager}/api/stream/start`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ indicator_id: id, rtsp_link: link }),
  });
  if (!answer.ok) {
    throw new Error(`${id}: ${await answer.text()}`);
  }
}

/** Starts the streams one after the other, lets them run, and looks at their FFmpegs. */
async function measure(program, camera) {
  say(program);
  const starts = startTimes(program);
  const settings = { FFMPEG_BIN: program, CLEANUP_DELAY_SECONDS: "3600", RUST_LOG: "warn" };
  const service = await Service.start(settings, ["--no-demo"]);
  for (let number = 0; number < Number(values.streams); number += 1) {
    await startStream(service, `bench-${number}`, camera.link);
  }
  const ingests = () => service.child.descendants().filter(({ name }) => name === "ffmpeg");
  const seen = ingests().map(({ pid }) => ({ pid, before: cpu(pid) }));
  await sleep(Number(values.seconds) * 1000);
  const costs = seen.map(({ pid, before }) => {
    const { Pss, Private_Dirty: dirty } = memory(pid);
    return { pss: Pss, dirty, cpu: (cpu(pid) - before) / Number(values.seconds) };
  });
  await service.end();
  if (costs.length !== Number(values.streams)) {
    throw new Error(`${costs.length} FFmpegs for ${values.streams} streams`);
  }
  return { program, starts, costs };
}

const programs = values.ffmpeg.filter((program) => {
  const isThere = existsSync(program);
  if (!isThere) say(`${program} is not there; ./deploy/ffmpeg/build makes the lean one`);
  return isThere;
});
const camera = await Camera.start(values);
const results = [];
for (const program of programs) {
  results.push(await measure(program, camera));
}
await camera.end();

const mega = (kilobytes) => (kilobytes / 1000).toFixed(1);
console.log(`${values.streams} streams, copied; MB and CPU are for each, in the median\n`);
console.log("| FFmpeg | start, ms: min | median | PSS, MB | of it written, MB | CPU of a core |");
console.log("| --- | --: | --: | --: | --: | --: |");
for (const { program, starts, costs } of results) {
  const of = (name) => median(costs.map((cost) => cost[name]));
  const share = `${(of("cpu") * 100).toFixed(2)} %`;
  const times = [Math.min(...starts), median(starts)].map((time) => time.toFixed(1));
  const cells = [program, ...times, mega(of("pss")), mega(of("dirty")), share];
  console.log(`| ${cells.join(" | ")} |`);
}
if (values.json) {
  writeFileSync(values.json, JSON.stringify(results, null, 2));
}
