// Programs under test. None of them outlives the tests, however those end.
import { spawn } from "node:child_process";

import { descendants, isRunning, signal } from "./processes.mjs";
import { until } from "./until.mjs";

const running = new Set();
process.on("exit", () => running.forEach((child) => child.kill()));
// By default a signal ends the tests without an exit event.
for (const name of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.on(name, () => process.exit(1));
}

/** A program in a process group of its own, as a terminal starts it. */
export class Child {
  /** What it has said on stdout and stderr. */
  output = "";
  #started = [];

  constructor(program, args = [], env = {}) {
    this.program = program;
    this.process = spawn(program, args, {
      detached: true,
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    running.add(this);
    this.process.on("error", (error) => (this.output += String(error)));
    // A program that a failed test has left behind must not keep the tests from ending.
    this.process.unref();
    for (const stream of [this.process.stdout, this.process.stderr]) {
      stream.setEncoding("utf8").on("data", (text) => (this.output += text));
      stream.unref();
    }
  }

  get hasEnded() {
    const { pid, exitCode, signalCode } = this.process;
    return pid === undefined || exitCode !== null || signalCode !== null;
  }

  /** The processes that it has started; once it has ended, those that were seen before. */
  descendants() {
    if (!this.hasEnded) {
      this.#started = descendants(this.process.pid);
    }
    return this.#started;
  }

  /** Waits until the output matches `pattern`; returns the match. */
  async says(pattern, seconds) {
    const match = () => pattern.exec(this.output);
    try {
      await until(`${pattern} in the output`, seconds, () => match() || this.hasEnded);
    } catch (error) {
      throw this.#fault(error.message);
    }
    const found = match();
    if (!found) {
      throw this.#fault(`ended without saying ${pattern}`);
    }
    return found;
  }

  #fault(problem) {
    return new Error(`${this.program}: ${problem}; it said:\n${this.output}`);
  }

  /** Sends a signal to the group, as a terminal's Ctrl-C does. */
  signal(name) {
    if (!this.hasEnded) {
      signal(-this.process.pid, name);
    }
  }

  /** Waits for its end; returns its exit code, or the name of the signal that ended it. */
  async ended(seconds) {
    await until(`the end of ${this.program}`, seconds, () => this.hasEnded);
    return this.process.exitCode ?? this.process.signalCode;
  }

  /** Asks it to end, and kills what has not ended in time. */
  async end() {
    this.descendants();
    this.signal("SIGTERM");
    await this.ended(30).catch(() => {});
    this.kill();
    running.delete(this);
  }

  /** Kills it and all that it has started, at once. */
  kill() {
    // Listed before the kill: afterwards they are orphans like any others.
    const started = this.descendants();
    this.signal("SIGKILL");
    started.filter(isRunning).forEach(({ pid }) => signal(pid, "SIGKILL"));
  }
}
