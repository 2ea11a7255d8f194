// Programs under test. They end with the tests, however those end.
import { spawn } from "node:child_process";

import { descendants, isRunning, signal } from "./processes.mjs";
import { until } from "./until.mjs";

const running = new Set();
process.on("exit", () => running.forEach((child) => child.kill()));
// By default a signal ends the tests without an exit event.
for (const name of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.on(name, () => process.exit(1));
}

/** A program in its own process group, as a terminal starts it. */
export class Child {
  /** Its output on stdout and stderr. */
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
    // A program that a failed test leaves behind must not keep the tests from ending.
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

  /** Returns the processes that it has started; once it has ended, those found before. */
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
      throw this.#fault(`ended without printing ${pattern}`);
    }
    return found;
  }

  #fault(problem) {
    return new Error(`${this.program}: ${problem}; its output:\n${this.output}`);
  }

  /** Sends a signal to the group, as Ctrl-C in a terminal does. */
  signal(name) {
    if (!this.hasEnded) {
      signal(-this.process.pid, name);
    }
  }

  /** Waits until it has ended; returns its exit code, or the name of the signal that ended it. */
  async ended(seconds) {
    await until(`the end of ${this.program}`, seconds, () => this.hasEnded);
    return this.process.exitCode ?? this.process.signalCode;
  }

  /** Ends it, and kills it and its children if that takes too long. */
  async end() {
    this.descendants();
    this.signal("SIGTERM");
    await this.ended(30).catch(() => {});
    this.kill();
    running.delete(this);
  }

  /** Kills it and all processes that it has started. */
  kill() {
    // Listed before the kill; afterwards they are orphans and cannot be found.
    const started = this.descendants();
    this.signal("SIGKILL");
    started.filter(isRunning).forEach(({ pid }) => signal(pid, "SIGKILL"));
  }
}
