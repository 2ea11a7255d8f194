// Lists and signals processes. Reads /proc, so it runs on Linux only, like the service.
import { readdirSync, readFileSync } from "node:fs";

/** Returns an array with the process, or an empty array if it has exited or is a zombie. */
function read(pid) {
  let stat;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  } catch {
    return [];
  }
  // The name is in parentheses and can contain anything; see proc(5) for the fields after it.
  const [, name, rest] = /\((.*)\) (.*)/s.exec(stat);
  const fields = rest.split(" ");
  const [state, parent] = fields;
  const isZombie = state === "Z";
  return isZombie
    ? []
    : [{ pid: Number(pid), parent: Number(parent), name, startedAt: fields[19] }];
}

/** Returns all descendants of process `pid`: its children, their children, and so on. */
export function descendants(pid) {
  const all = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap(read);
  const found = all.filter((process) => process.parent === pid);
  // The loop appends to the array that it iterates over, so it also visits the children of children.
  for (const { pid: parent } of found) {
    found.push(...all.filter((process) => process.parent === parent));
  }
  return found;
}

/** Returns whether the process still runs. The start time distinguishes it from a later process with the same id. */
export function isRunning(process) {
  return read(process.pid).some((now) => now.startedAt === process.startedAt);
}

/**
 * Sends a signal to a process, or to a process group if `pid` is negative. Does nothing if the process does
 * not exist any more.
 */
export function signal(pid, name) {
  try {
    process.kill(pid, name);
  } catch (error) {
    if (error.code !== "ESRCH") {
      throw error;
    }
  }
}
