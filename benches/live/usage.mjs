// The processor time of groups of processes.
import { descendants } from "../../tests/browser/support/processes.mjs";
import { cpuSeconds } from "../support/usage.mjs";

/** Returns the ids of this process's descendants whose name begins with `prefix`. */
export function programs(prefix) {
  return descendants(process.pid)
    .filter(({ name }) => name.startsWith(prefix))
    .map(({ pid }) => pid);
}

/** Measures the processor time of groups of processes from its creation on. */
export class Usage {
  /** `groups` has functions that return the process ids of a group. */
  constructor(groups) {
    this.groups = groups;
    this.begin = this.#snapshot();
  }

  #snapshot() {
    const times = Object.entries(this.groups).map(([name, pids]) => {
      return [name, new Map(pids().map((pid) => [pid, cpuSeconds(pid)]))];
    });
    return { at: performance.now(), times: new Map(times) };
  }

  /**
   * Returns the processor time of each group since the begin, as a fraction of a core. Processes that ended in the
   * meantime are left out, and those that began in the meantime count with all of their time.
   */
  shares() {
    const { begin } = this;
    const end = this.#snapshot();
    const seconds = (end.at - begin.at) / 1000;
    const shares = [...end.times].map(([name, times]) => {
      const used = [...times].map(([pid, time]) => (time ?? 0) - (begin.times.get(name).get(pid) ?? 0));
      return [name, used.reduce((sum, value) => sum + value, 0) / seconds];
    });
    return Object.fromEntries(shares);
  }
}

/** Returns the groups of a manager: the manager itself, and nginx. */
export function serviceGroups(manager) {
  return { manager: () => manager.processes().manager, nginx: () => manager.processes().nginx };
}
