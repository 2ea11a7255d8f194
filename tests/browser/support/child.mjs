// Child processes of the tests. They are killed when the test process exits, even after a signal.
import { spawn } from "node:child_process";

import { descendants, isRunning, signal } from "./processes.mjs";
import { until } from "./until.mjs";

const running = new Set();
process.on("exit", () => running.forEach((child) => child.kill()));
// By default a signal ends the test process without an exit event.
for (const name of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.on(name, () => process.exit(1));
}

/** A program in its own process group, as a shell in a terminal starts it. */
export class Child {
  /** What the program has written to stdout and stderr so far. */
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
    // Without unref, a program that a failed test leaves behind would keep the test process running.
    this.process.unref();
    for (const stream of [this.process.stdout, this.process.stderr]) {
      stream.setEncoding("utf8").on("data", (text) => (this.output += text));
      stream.unref();
    }
  }

  /** True if the program has exited or could not be started. */
  get hasExited() {
    const { pid, exitCode, signalCode } = this.process;
    return pid === undefined || exitCode !== null || signalCode !== null;
  }

  /**
   * Returns the running processes that the program has started, directly or indirectly. If the program has
   * exited, returns the result of the previous call.
   */
  descendants() {
    if (!this.hasExited) {
      this.#started = descendants(this.process.pid);
    }
    return this.#started;
  }

  /** Waits until the output matches `pattern`, and returns the match. Throws after `seconds`, or if the program exits. */
  async waitForOutput(pattern, seconds) {
    const match = () => pattern.exec(this.output);
    try {
      await until(`${pattern} in the output`, seconds, () => match() || this.hasExited);
    } catch (error) {
      throw this.#error(error.message);
    }
    const found = match();
    if (!found) {
      throw this.#error(`exited without printing ${pattern}`);
    }
    return found;
  }

  #error(problem) {
    return new Error(`${this.program}: ${problem}; its output:\n${this.output}`);
  }

  /** Sends a signal to the whole process group, as Ctrl-C in a terminal does. */
  signal(name) {
    if (!this.hasExited) {
      signal(-this.process.pid, name);
    }
  }

  /** Waits until the program has exited. Returns its exit code, or the name of the signal that ended it. */
  async waitForExit(seconds) {
    await until(`${this.program} has exited`, seconds, () => this.hasExited);
    return this.process.exitCode ?? this.process.signalCode;
  }

  /**
   * Sends SIGTERM to the process group, and waits up to 30 s for the program to exit. Afterwards kills the
   * program if it still runs, and every process that it has started.
   */
  async end() {
    // `kill` needs the list of descendants from before the exit.
    this.descendants();
    this.signal("SIGTERM");
    await this.waitForExit(30).catch(() => {});
    this.kill();
    running.delete(this);
  }

  /** Kills the process group if the program still runs, and every process that the program has started. */
  kill() {
    // After the program has been killed, these processes are orphans and can no longer be found.
    const started = this.descendants();
    this.signal("SIGKILL");
    started.filter(isRunning).forEach(({ pid }) => signal(pid, "SIGKILL"));
  }
}
