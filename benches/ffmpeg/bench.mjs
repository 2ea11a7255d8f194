// Measures the start time of an FFmpeg, the memory and the CPU time that it needs in the service, and how long
// it delays a frame. README.md describes the method.
import { execFileSync } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

import { Service } from "../../tests/browser/support/service.mjs";
import { Camera } from "../latency/camera.mjs";
import { post } from "../support/api.mjs";
import { Clip } from "../support/clip.mjs";
import { number, readOptions, selection } from "../support/options.mjs";
import { markdown, progress, quantile } from "../support/report.mjs";
import { cpuSeconds, memory } from "../support/usage.mjs";
import { measureDelay } from "./delay.mjs";

const LEAN = fileURLToPath(new URL("../../target/ffmpeg/ffmpeg", import.meta.url));

const USAGE = `usage: ./deploy/bench ffmpeg [OPTION]...

  --ffmpeg FILE      FFmpeg to measure; can be repeated (/usr/bin/ffmpeg and the lean FFmpeg)
  --streams N        number of streams (30)
  --seconds N        duration of each measurement (20)
  --only NAMES       what to measure: cost, delay (cost,delay)
  --runs N           number of starts to measure (50)
  --width N          width of the picture (640)
  --height N         height of the picture (360)
  --bitrate KBITS    bit rate of the video (depends on the size)
  --json FILE        write all results to a file
`;

const options = readOptions(
  USAGE,
  {
    ffmpeg: { type: "string", multiple: true, default: ["/usr/bin/ffmpeg", LEAN] },
    streams: { type: "string", default: "30" },
    seconds: { type: "string", default: "20" },
    only: { type: "string", default: "cost,delay" },
    runs: { type: "string", default: "50" },
    width: { type: "string" },
    height: { type: "string" },
    bitrate: { type: "string" },
    json: { type: "string" },
  },
  (values) => ({
    ...values,
    streams: number("--streams", values.streams),
    seconds: number("--seconds", values.seconds),
    only: selection("--only", values.only, ["cost", "delay"]),
    runs: number("--runs", values.runs),
  }),
);

/** Runs `ffmpeg -version` repeatedly. Returns the durations from fork to exit, in milliseconds. */
function startDurations(program) {
  return Array.from({ length: options.runs }, () => {
    const begin = process.hrtime.bigint();
    execFileSync(program, ["-version"], { stdio: "ignore" });
    return Number(process.hrtime.bigint() - begin) / 1e6;
  });
}

/**
 * Measures the starts of an FFmpeg. Then starts the streams one after the other, and measures their
 * FFmpegs.
 */
async function measure(program, camera) {
  progress(program);
  const starts = startDurations(program);
  const settings = { FFMPEG_BIN: program, CLEANUP_DELAY_SECONDS: "3600" };
  const service = await Service.start(settings, ["--no-demo"]);
  for (let index = 0; index < options.streams; index += 1) {
    const input = { indicator_id: `bench-${index}`, rtsp_link: camera.link };
    await post(`${service.manager}/api/stream/start`, input);
  }
  const ffmpegs = service.child.descendants().filter(({ name }) => name === "ffmpeg");
  const before = ffmpegs.map(({ pid }) => ({ pid, cpu: cpuSeconds(pid) }));
  await sleep(options.seconds * 1000);
  const costs = before.map(({ pid, cpu }) => {
    const { pss, dirty } = memory(pid);
    const share = (cpuSeconds(pid) - cpu) / options.seconds;
    return { pss: pss / 1024, dirty: dirty / 1024, cpu: share };
  });
  await service.end();
  if (costs.length !== options.streams) {
    throw new Error(`${costs.length} FFmpegs for ${options.streams} streams`);
  }
  return { program, starts, costs };
}

const programs = options.ffmpeg.filter((program) => {
  const exists = existsSync(program);
  if (!exists) progress(`${program} does not exist; build the lean FFmpeg with: ./deploy/ffmpeg/build`);
  return exists;
});
const median = (values) => quantile(values, 0.5);
const percent = (share) => `${(share * 100).toFixed(2)} %`;
const milliseconds = (time) => time.toFixed(1);
const megabytes = (kibibytes) => ((kibibytes * 1024) / 1e6).toFixed(1);

/** Measures the costs of each FFmpeg, and prints them. */
async function measureCosts() {
  const camera = await Camera.start(options);
  const results = [];
  for (const program of programs) {
    results.push(await measure(program, camera));
  }
  await camera.end();
  const rows = results.map(({ program, starts, costs }) => {
    const medianOf = (name) => median(costs.map((cost) => cost[name]));
    const times = [Math.min(...starts), median(starts)].map(milliseconds);
    const sizes = [medianOf("pss"), medianOf("dirty")].map(megabytes);
    return [program, ...times, ...sizes, percent(medianOf("cpu"))];
  });
  const head = ["FFmpeg", "start, ms: min", "median", "PSS, MB", "written, MB", "CPU of a core"];
  console.log(`${options.streams} streams, video copied; PSS, written memory and CPU are medians of all streams\n`);
  console.log(`${markdown(head, rows)}\n`);
  return results;
}

const FRAGMENTS = ["-f", "mp4", "-movflags", "+frag_keyframe+empty_moov+default_base_moof"];
/** Sets the presentation time of the first packet. NUT needs this time, but a packet that arrives over RTSP can lack it. */
const FIRST_TIME = ["-bsf:v", "setts=pts=if(eq(PTS\\,NOPTS)\\,0\\,PTS)"];
const FORMATS = {
  "MP4, fragments of 100 ms": [...FRAGMENTS, "-frag_duration", "100000"],
  NUT: ["-f", "nut"],
  "NUT with setts": [...FIRST_TIME, "-f", "nut"],
};

/** Measures how long each FFmpeg delays a frame, and prints the delays. */
async function measureDelays() {
  const clip = Clip.load();
  const results = [];
  for (const program of programs) {
    for (const [name, format] of Object.entries(FORMATS)) {
      progress(`${program}: ${name}`);
      const result = await measureDelay(program, clip, format, options.seconds);
      results.push({ program, format: name, ...result });
    }
  }
  const rows = results.map(({ program, format, delays, cpu }) => {
    const times = [median(delays), quantile(delays, 0.99), Math.max(...delays)].map(milliseconds);
    return [program, format, delays.length, ...times, percent(cpu)];
  });
  const head = ["FFmpeg", "output", "frames", "delay, ms: median", "p99", "max", "CPU of a core"];
  console.log(`${clip.fps} frames per second, video copied; delay from the last RTP packet of a frame until FFmpeg has written the last byte of the frame\n`);
  console.log(markdown(head, rows));
  return results;
}

const results = {};
if (options.only.includes("cost")) {
  results.costs = await measureCosts();
}
if (options.only.includes("delay")) {
  results.delays = await measureDelays();
}
if (options.json) {
  writeFileSync(options.json, JSON.stringify(results, null, 2));
}
