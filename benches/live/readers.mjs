// Starts processes with viewers that only read, reader.mjs.
import { fileURLToPath } from "node:url";

import { Child } from "../../tests/browser/support/child.mjs";
import { until } from "../../tests/browser/support/until.mjs";

const PROGRAM = fileURLToPath(new URL("./reader.mjs", import.meta.url));
/** One process reads for at most this number of viewers. */
const MAX_VIEWERS = 100;
const OPEN_SECONDS = 60;

/**
 * Returns frames and bits per second and viewer between two readings of the counters of `count` viewers, what all
 * viewers have missed in that time, and how many of them have ended so far.
 */
export function ratesBetween(before, after, count) {
  const difference = (name) => after[name] - before[name];
  const each = (name) => difference(name) / (difference("at") / 1000) / count;
  const [frames, bits] = [each("frames"), each("bytes") * 8];
  return { frames, bits, missed: difference("missed"), ended: after.ended };
}

/** Viewers of one URL. `source` has the properties of reader.mjs except `count`. */
export class Readers {
  static async open(count, source) {
    const processes = Array.from({ length: Math.ceil(count / MAX_VIEWERS) }, (_, index) => {
      const share = Math.min(MAX_VIEWERS, count - index * MAX_VIEWERS);
      return new Child(process.execPath, [PROGRAM, JSON.stringify({ ...source, count: share })]);
    });
    const readers = new Readers(count, processes);
    await until("frames for all viewers", OPEN_SECONDS, () => {
      if (processes.some(({ hasExited }) => hasExited)) {
        throw new Error(`a process with viewers has ended: ${processes.map(({ output }) => output)}`);
      }
      return readers.counters().frames >= count;
    });
    return readers;
  }

  constructor(count, processes) {
    this.count = count;
    this.processes = processes;
  }

  /** Returns the newest counters, summed over all processes. `at` is the time of one of the reports in milliseconds. */
  counters() {
    const reports = this.processes.map(({ output }) => {
      const last = output.trimEnd().split("\n").at(-1);
      return last ? JSON.parse(last) : { at: 0, bytes: 0, frames: 0, missed: 0, ended: 0 };
    });
    const sum = (name) => reports.reduce((total, report) => total + report[name], 0);
    const names = ["bytes", "frames", "missed", "ended"];
    return { at: reports[0].at, ...Object.fromEntries(names.map((name) => [name, sum(name)])) };
  }

  /** Returns the rates since `before`; see `ratesBetween`. */
  rates(before) {
    return ratesBetween(before, this.counters(), this.count);
  }

  async close() {
    await Promise.all(this.processes.map((child) => child.end()));
  }
}
