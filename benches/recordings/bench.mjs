// Measures what recording costs, whether frames are lost, and how fast the index is. README.md describes the method.
import { spawnSync } from "node:child_process";
import { mkdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";

import { makeDirectory } from "../support/directory.mjs";
import { buildProgram } from "../support/program.mjs";
import { progress } from "../support/report.mjs";
import { Source } from "../support/sources.mjs";
import { checkFrames } from "./frames.mjs";
import { between, buckets } from "./histogram.mjs";
import { Playlists } from "./load.mjs";
import { readOptions } from "./options.mjs";
import { measureBaseline, Phase } from "./phases.mjs";
import { costPerCamera, frameLine, loadLine, problems, tables, usageLine } from "./report.mjs";
import { DirtyPages, makeDisk } from "./space.mjs";

const MINUTES_PER_DAY = 24 * 60;
const DAYS_PER_WEEK = 7;
/** Time limit for filling the index, which takes about a minute for 100 camera-weeks. */
const FILL_SECONDS = 600;
/** Ticks per second of the recorded video. */
const TIMESCALE = 90_000;
/** Cameras whose recordings of one day are deleted at once. */
const SHORTENED = 10;
const WRITE = "stream_manager_recording_write_duration_seconds";
const INDEX = "stream_manager_recording_index_duration_seconds";
const METRICS = {
  failures: "stream_manager_recording_index_failures_total",
  deleted: "stream_manager_deleted_recordings_total",
  missed: "stream_manager_recording_missed_frames_total",
};

/** Makes an index with files of all cameras. Returns its size. */
function fillIndex(program, { cameras, days }, database, recordings, source) {
  const minutes = Math.round(days * MINUTES_PER_DAY);
  const args = ["index", `sqlite:${database}`, recordings, source.port, cameras, minutes];
  const began = performance.now();
  const filled = spawnSync(program, args.map(String), {
    stdio: ["ignore", "inherit", "inherit"],
    timeout: FILL_SECONDS * 1000,
  });
  const seconds = (performance.now() - began) / 1000;
  if (filled.status !== 0) {
    const reason = filled.error?.message ?? `it ended with ${filled.status ?? filled.signal}`;
    throw new Error(`the index of ${cameras} cameras and ${days} days was not filled: ${reason}`);
  }
  const cameraWeeks = (cameras * days) / DAYS_PER_WEEK;
  const { size: bytes } = statSync(database);
  return { bytes, cameraWeeks, files: cameras * minutes, bytesPerWeek: bytes / cameraWeeks, seconds };
}

/** Measures recordings, and the index under load. */
async function measureRecording(program, options, directory, disk, links, source) {
  const { cameras, minutes, days } = options;
  const [database, recordings] = [join(disk, "index.db"), join(disk, "recordings")];
  progress(`making an index of ${cameras} cameras and ${days} days`);
  const index = fillIndex(program, options, database, recordings, source);
  const megabytes = (index.bytesPerWeek / 1e6).toFixed(2);
  progress(`  ${index.files} files in ${index.seconds.toFixed(1)} s, ${megabytes} MB per camera-week`);
  const settings = {
    DATABASE_URL: `sqlite:${database}`,
    RECORDINGS_DIRS: recordings,
    RECORDINGS_KEEP_DAYS: String(Math.max(1, Math.ceil(days))),
  };
  progress("comparing the index with the files");
  const phase = await Phase.start(directory, settings, links);
  try {
    const comparedSeconds = await phase.untilCompared();
    progress(`  ${comparedSeconds.toFixed(1)} s`);
    progress(`recording for ${minutes} minutes`);
    const dirtyPages = new DirtyPages();
    await phase.record({ mode: "continuous" });
    const recording = await phase.measure(source, (minutes - options.load) * 60);
    progress(usageLine(cameras, recording));
    progress("recording with load on the index");
    const load = await measureLoad(options, phase, source);
    const dirty = dirtyPages.end();
    progress(`${usageLine(cameras, load)}\n${loadLine(load)}`);
    progress("ending the recordings, and comparing their frames with those of the cameras");
    await phase.endRecordings();
    const missed = await phase.manager.metric(METRICS.missed);
    const { duration, fps } = source.clip;
    const clipFrames = Math.round((duration * fps) / 1000);
    const frames = checkFrames(recordings, { ticksPerFrame: TIMESCALE / fps, clipFrames });
    progress(frameLine(frames));
    const busy = phase.manager.log.match(/.*(database is locked|SQLITE_BUSY).*/g) ?? [];
    return { index, comparedSeconds, recording, load, dirty, missed, frames, busy, clipFrames };
  } finally {
    await phase.end();
  }
}

/** Measures cameras with sound, with and without recording. */
async function measureSound({ cameras, baseline }, directory, disk) {
  progress(`${cameras} cameras with sound`);
  const source = await Source.start({ hasSound: true });
  try {
    const links = source.links(0, cameras);
    const without = await measureBaseline(join(directory, "sound"), links, source, baseline);
    progress(usageLine(cameras, without));
    const settings = {
      DATABASE_URL: `sqlite:${join(disk, "sound.db")}`,
      RECORDINGS_DIRS: join(disk, "sound"),
    };
    const phase = await Phase.start(join(directory, "recorded-sound"), settings, links);
    try {
      progress(`recording ${cameras} cameras with sound`);
      await phase.record({ mode: "continuous" });
      const recording = await phase.measure(source, baseline);
      progress(usageLine(cameras, recording));
      return { without, recording };
    } finally {
      await phase.end();
    }
  } finally {
    await source.child.end();
  }
}

/** Measures recordings while playlists are requested and old recordings are deleted. */
async function measureLoad({ load, days }, phase, source) {
  const before = await phase.metrics();
  const playlists = new Playlists(phase.manager, phase.ids, days);
  const values = async () => {
    const entries = Object.entries(METRICS).map(async ([key, name]) => [key, await phase.manager.metric(name)]);
    return Object.fromEntries(await Promise.all(entries));
  };
  const first = await values();
  const shortened = { mode: "continuous", keep_days: Math.max(1, Math.ceil(days) - 1) };
  await phase.put((number) => ({ recording: number < SHORTENED ? shortened : { mode: "continuous" } }));
  const usage = await phase.measure(source, load * 60);
  const [after, last] = [await phase.metrics(), await values()];
  return {
    ...usage,
    ...(await playlists.end()),
    write: between(buckets(before, WRITE), buckets(after, WRITE)),
    indexWrites: between(buckets(before, INDEX), buckets(after, INDEX)),
    deleted: last.deleted - first.deleted,
    // Failures before the load count as well.
    failures: last.failures,
  };
}

const options = readOptions();
const disk = makeDisk(options);
// Before all measurements, which the compiler would disturb.
const program = buildProgram("recordings");
const directory = makeDirectory("recordings-");
const source = await Source.start();
try {
  const { cameras, minutes, baseline } = options;
  const links = source.links(0, cameras);
  for (const name of ["before", "recording", "afterwards", "sound", "recorded-sound"]) {
    mkdirSync(join(directory, name));
  }
  const baselineOf = async (name) => {
    progress(`${cameras} cameras without recording, ${name}`);
    const usage = await measureBaseline(join(directory, name), links, source, baseline);
    progress(usageLine(cameras, usage));
    return usage;
  };
  const before = await baselineOf("before");
  const recorded = await measureRecording(program, options, join(directory, "recording"), disk, links, source);
  rmSync(join(disk, "recordings"), { recursive: true, force: true });
  const baselines = [before, await baselineOf("afterwards")];
  const sound = await measureSound(options, directory, disk);
  rmSync(disk, { recursive: true, force: true });
  const results = { cameras, minutes, baselines, sound, fps: source.clip.fps, ...recorded };
  const invalid = problems(results);
  process.stdout.write(`${tables(results)}\n`);
  for (const problem of [...invalid, ...recorded.busy]) {
    process.stdout.write(`problem: ${problem}\n`);
  }
  if (options.json) {
    const cost = costPerCamera(results);
    const { bitRate } = source;
    const report = { at: new Date(), processors: availableParallelism(), options, bitRate, cost, ...results };
    writeFileSync(options.json, `${JSON.stringify(report, null, 2)}\n`);
  }
  process.exitCode = invalid.length > 0 ? 1 : 0;
} finally {
  await source.child.end();
}
