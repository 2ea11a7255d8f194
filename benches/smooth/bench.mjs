// Measures freezes and the age of the picture on the page for a long time. README.md describes the method.
import { writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

import { Camera } from "../../tests/browser/support/camera.mjs";
import { FREEZE_MS, recordedFrames, recordFrames } from "../../tests/browser/support/frames.mjs";
import { launchBrowser, Viewer } from "../../tests/browser/support/viewer.mjs";
import { post } from "../support/api.mjs";
import { makeDirectory } from "../support/directory.mjs";
import { Manager } from "../support/manager.mjs";
import { number, readOptions, selection } from "../support/options.mjs";
import { markdown, progress, quantile } from "../support/report.mjs";

const USAGE = `usage: ./deploy/bench smooth [OPTION]...

  --seconds N         duration of the measurement of each camera (600)
  --settle SECONDS    time between the first picture and the measurement (10)
  --audio KIND,...    audio of the cameras: none, pcmu, pcmu-bursts, aac, aac-16k, aac-8k (all)
  --gop SECONDS       time between the cameras' keyframes (2)
  --size WIDTHxHEIGHT size of the cameras' picture (640x360)
  --json FILE         write all results to a file

The manager's settings come from the environment, as for ./deploy/run.
`;
const KINDS = ["none", "pcmu", "pcmu-bursts", "aac", "aac-16k", "aac-8k"];
/** Time between two readings of the picture's clock. */
const AGE_EVERY_MS = 500;

const options = readOptions(
  USAGE,
  {
    seconds: { type: "string", default: "600" },
    settle: { type: "string", default: "10" },
    audio: { type: "string", default: KINDS.join(",") },
    gop: { type: "string", default: "2" },
    size: { type: "string", default: "640x360" },
    json: { type: "string" },
  },
  (values) => ({
    seconds: number("--seconds", values.seconds),
    settle: number("--settle", values.settle),
    audio: selection("--audio", values.audio, KINDS),
    gop: number("--gop", values.gop),
    size: /^(\d+)x(\d+)$/.exec(values.size)?.slice(1) ?? fail(`--size: "${values.size}" is not a size such as 640x360`),
    json: values.json,
  }),
);

function fail(message) {
  throw new Error(message);
}

/** Shows a camera with this kind of audio on the page. Returns the freezes and ages of its picture. */
async function measure(manager, browser, kind) {
  const [width, height] = options.size;
  const mount = kind === "none" ? "h264" : `h264-${kind}`;
  const picture = ["--width", width, "--height", height, "--gop-seconds", String(options.gop)];
  const camera = await Camera.start(0, ["--running", mount, ...picture]);
  const link = `rtsp://127.0.0.1:${camera.port}/${mount}`;
  let viewer;
  try {
    await post(`${manager.api}/api/stream/start`, { indicator_id: kind, rtsp_link: link });
    viewer = await Viewer.open(browser, `${manager.origin}/#/?cameras=${kind}`, {
      transport: "hls",
    });
    await viewer.sees("live", "", kind);
    await sleep(options.settle * 1000);
    await recordFrames(viewer.page, kind);
    const ages = [];
    const end = Date.now() + options.seconds * 1000;
    while (Date.now() < end) {
      ages.push(Date.now() - (await viewer.pictureTime()));
      await sleep(Math.min(AGE_EVERY_MS, Math.max(0, end - Date.now())));
    }
    return { kind, ages, ...(await recordedFrames(viewer.page)) };
  } finally {
    await viewer?.close();
    await camera.end();
  }
}

function row({ kind, ages, seconds, frames, longest, freezes, stalledFreezes }) {
  const frozen = freezes.reduce((sum, { milliseconds }) => sum + milliseconds, 0) / 1000;
  const age = (fraction) => (quantile(ages, fraction) / 1000).toFixed(2);
  const durations = [seconds.toFixed(0), frames, longest.toFixed(0), freezes.length];
  return [kind, ...durations, frozen.toFixed(1), stalledFreezes.length, age(0.5), age(0.95)];
}

const manager = await Manager.start(makeDirectory("smooth-"));
const browser = await launchBrowser();
const results = [];
try {
  for (const kind of options.audio) {
    progress(`audio ${kind}: ${options.settle} + ${options.seconds} s`);
    results.push(await measure(manager, browser, kind));
  }
} finally {
  await browser.close();
  await manager.end();
}
const head = [
  "audio",
  "seconds",
  "frames",
  "longest gap, ms",
  `gaps over ${FREEZE_MS} ms`,
  "frozen, s",
  "gaps while the page stalled",
  "age: median, s",
  "p95, s",
];
console.log(markdown(head, results.map(row)));
if (options.json) {
  writeFileSync(options.json, `${JSON.stringify({ options, results }, null, 2)}\n`);
}
process.exit(results.some(({ freezes }) => freezes.length > 0) ? 1 : 0);
