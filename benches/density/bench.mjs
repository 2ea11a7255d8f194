// Measures what a camera costs and how many cameras a machine can handle. README.md describes the
// method.
import { mkdirSync, writeFileSync } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { makeDirectory } from "../support/directory.mjs";
import { progress } from "../support/report.mjs";
import { Source } from "../support/sources.mjs";
import {
  cpuSeconds,
  directoryBytes,
  machineMemory,
  machineSeconds,
  memory,
} from "../support/usage.mjs";
import { CANDIDATES } from "./candidates.mjs";
import { readOptions } from "./options.mjs";
import { costTable, growthTable } from "./report.mjs";

/** Time between two requests of each viewer. */
const ATTEND_SECONDS = 10;
/** Time between two checks of the outputs. */
const CHECK_MILLISECONDS = 500;
/** A machine is full when less than this fraction of its processor time or memory is left. */
const FULL = 0.05;

/**
 * Returns the processor time in seconds that the candidate, the benchmark's own processes and the machine
 * have used so far.
 */
function snapshot(candidate, source) {
  const parts = Object.entries(candidate.processes()).map(([name, pids]) => [
    name,
    new Map(pids.map((pid) => [pid, cpuSeconds(pid)])),
  ]);
  const around = { source: cpuSeconds(source.child.process.pid), bench: cpuSeconds(process.pid) };
  return { at: performance.now(), parts, around, machine: machineSeconds() };
}

/**
 * Returns the usage of processor time between two snapshots, as a fraction of one core. Processes that are
 * not in both snapshots are ignored.
 */
function shares(before, after) {
  const seconds = (after.at - before.at) / 1000;
  const share = (from, to) => (to - from) / seconds;
  const earlier = new Map(before.parts);
  const parts = after.parts.map(([name, times]) => {
    const both = [...times].filter(([pid, time]) => time !== null && earlier.get(name).has(pid));
    const cpu = both.map(([pid, time]) => share(earlier.get(name).get(pid), time));
    return [name, cpu.reduce((total, value) => total + value, 0)];
  });
  const differences = (name) => {
    const names = Object.keys(after[name]);
    return Object.fromEntries(names.map((key) => [key, share(before[name][key], after[name][key])]));
  };
  return { parts: new Map(parts), around: differences("around"), machine: differences("machine") };
}

/**
 * Returns when an output was last written, in Unix milliseconds. The output is a file, or a directory of
 * segments. In a directory, the newest segment counts.
 */
async function writtenAt(output) {
  const status = await stat(output);
  if (!status.isDirectory()) {
    return status.mtimeMs;
  }
  const numbers = (await readdir(output)).map((name) => /^(\d+)\.m4s$/.exec(name)?.[1] ?? 0);
  return (await stat(join(output, `${Math.max(...numbers)}.m4s`))).mtimeMs;
}

/**
 * Checks the outputs until `isOver` returns true. Returns the longest time, in seconds, in which one of the
 * outputs was not written.
 */
async function longestPause(candidate, isOver) {
  let oldest = 0;
  while (!isOver()) {
    const ages = await Promise.all(
      candidate.outputs.map(async (output) => Date.now() - (await writtenAt(output))),
    );
    oldest = Math.max(oldest, ...ages);
    await sleep(CHECK_MILLISECONDS);
  }
  return oldest / 1000;
}

/** Returns how many frames the cameras have sent and the candidate has received so far. */
async function countFrames(candidate, source) {
  return { sent: await source.framesSent(), received: await candidate.framesReceived?.() };
}

/**
 * Compares the numbers of frames that were sent and received. Returns a list with a description of the difference, or
 * an empty list if there is no difference. One frame per camera can be on its way, so a difference of up to that
 * number does not count.
 */
function frameDifference(before, after, cameras) {
  if (after.received === undefined) {
    return [];
  }
  const missing = after.sent - before.sent - (after.received - before.received);
  const comparison = missing > 0 ? "fewer" : "more";
  return Math.abs(missing) > cameras ? [`${Math.abs(missing)} ${comparison} frames received than sent`] : [];
}

/** Measures the running streams for some seconds. */
async function measure(candidate, source, seconds) {
  const framesBefore = await countFrames(candidate, source);
  const before = snapshot(candidate, source);
  const end = before.at + seconds * 1000;
  const age = await longestPause(candidate, () => performance.now() >= end);
  const after = snapshot(candidate, source);
  const framesAfter = await countFrames(candidate, source);
  const cpu = shares(before, after);
  const parts = Object.entries(candidate.processes()).map(([name, pids]) => ({
    name,
    count: pids.length,
    cpu: cpu.parts.get(name),
    bytes: pids.reduce((total, pid) => total + memory(pid).pss, 0),
  }));
  return {
    parts,
    around: cpu.around,
    machine: cpu.machine,
    files: candidate.files && directoryBytes(candidate.files),
    age: candidate.outputs.length ? age : null,
    isStalled: age > candidate.freshness,
    available: machineMemory().available,
    interruptions: [
      ...(await candidate.interruptions()),
      ...frameDifference(framesBefore, framesAfter, candidate.processes().FFmpegs?.length ?? 0),
    ],
  };
}

/** Simulates viewers of all streams during `work`. */
async function withViewers(candidate, work) {
  const attend = async () => candidate.attend();
  const timer = setInterval(() => {
    attend().catch((error) => progress(`a viewer failed: ${error.message}`));
  }, ATTEND_SECONDS * 1000);
  try {
    return await work();
  } finally {
    clearInterval(timer);
  }
}

async function withCandidate(name, directory, work) {
  const candidate = CANDIDATES[name]();
  const ownDirectory = join(directory, name);
  mkdirSync(ownDirectory);
  try {
    await candidate.prepare(ownDirectory);
    return await withViewers(candidate, () => work(candidate));
  } finally {
    await candidate.end();
  }
}

async function compare({ cameras, only, settle, seconds }, source, directory) {
  const results = [];
  for (const name of only) {
    const available = machineMemory().available;
    const result = await withCandidate(name, directory, async (candidate) => {
      progress(`${name}: ${cameras} cameras, ${settle} + ${seconds} s`);
      await candidate.add(source.links(0, cameras));
      await sleep(settle * 1000);
      const measured = await measure(candidate, source, seconds);
      return { name, title: candidate.title, cameras, ...measured };
    });
    results.push({ ...result, taken: available - result.available });
  }
  return results;
}

/** Returns the reasons why no more cameras fit, or undefined if more cameras fit. */
function limit({ machine, available, isStalled, age, interruptions }) {
  const { busy, idle } = machine;
  const reasons = [
    [idle / (idle + busy) < FULL, "processor time"],
    [available / machineMemory().total < FULL, "memory"],
    [interruptions.length > 0, interruptions.join(", ")],
    [isStalled, `an output stalled for ${age.toFixed(1)} s`],
  ];
  const actual = reasons.filter(([applies]) => applies).map(([, reason]) => reason);
  return actual.length ? actual.join("; ") : undefined;
}

async function growOne(name, { cameras, settle, seconds }, source, directory) {
  return withCandidate(name, directory, async (candidate) => {
    const steps = [];
    for (let count = cameras; ; count += cameras) {
      progress(`${name}: ${count} cameras`);
      try {
        await candidate.add(source.links(count - cameras, cameras));
      } catch (error) {
        return { title: candidate.title, steps, full: { cameras: count, reason: error.message } };
      }
      await sleep(settle * 1000);
      const step = { cameras: count, ...(await measure(candidate, source, seconds)) };
      steps.push(step);
      const reason = limit(step);
      if (reason) {
        return { title: candidate.title, steps, full: { cameras: count, reason } };
      }
    }
  });
}

async function grow(options, source, directory) {
  const results = [];
  for (const name of options.only.filter((name) => name !== "mediamtx")) {
    results.push({ name, ...(await growOne(name, options, source, directory)) });
  }
  return results;
}

const options = readOptions();
const directory = makeDirectory("density-");
const source = await Source.start();
try {
  progress(`each camera sends ${(source.bitRate / 1e6).toFixed(2)} Mbit/s`);
  const run = options.isGrowing ? grow : compare;
  const results = await run(options, source, directory);
  process.stdout.write(`${options.isGrowing ? growthTable(results) : costTable(results)}\n`);
  if (options.json) {
    const { bitRate } = source;
    const report = { at: new Date(), processors: availableParallelism(), options, bitRate, results };
    writeFileSync(options.json, `${JSON.stringify(report, null, 2)}\n`);
  }
  const isInterrupted = results.some(({ isStalled, interruptions }) => isStalled || interruptions?.length);
  process.exitCode = isInterrupted ? 1 : 0;
} finally {
  await source.child.end();
}
