// The processes of this machine, from /proc. Linux only, like the service.
import { readdirSync, readFileSync } from "node:fs";

/** Returns a list with the process; an empty one if it has ended. */
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

/** Returns the processes that `pid` has started, and those that they have started. */
export function descendants(pid) {
  const all = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap(read);
  const found = all.filter((process) => process.parent === pid);
  // The list grows during the loop, which finds the children of children as well.
  for (const { pid: parent } of found) {
    found.push(...all.filter((process) => process.parent === parent));
  }
  return found;
}

/** Whether the process still runs. A later one with the same number is a different process. */
export function isRunning(process) {
  return read(process.pid).some((now) => now.startedAt === process.startedAt);
}

/** Sends a signal to a process, or to a group if `pid` is negative. Ignores processes that have ended. */
export function signal(pid, name) {
  try {
    process.kill(pid, name);
  } catch (error) {
    if (error.code !== "ESRCH") {
      throw error;
    }
  }
}
