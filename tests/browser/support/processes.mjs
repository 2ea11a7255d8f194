// What runs on this machine, as /proc tells it. Linux only, like the service.
import { readdirSync, readFileSync } from "node:fs";

/** One process; none when it has just ended. */
function read(pid) {
  let stat;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  } catch {
    return [];
  }
  // The name stands in parentheses and may hold anything; see proc(5) for the fields after it.
  const [, name, rest] = /\((.*)\) (.*)/s.exec(stat);
  const fields = rest.split(" ");
  const [state, parent] = fields;
  const isZombie = state === "Z";
  return isZombie
    ? []
    : [{ pid: Number(pid), parent: Number(parent), name, startedAt: fields[19] }];
}

/** All processes that `pid` has started, and those they have started in turn. */
export function descendants(pid) {
  const all = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap(read);
  const found = all.filter((process) => process.parent === pid);
  // Grows while it is walked: children of children are found as well.
  for (const { pid: parent } of found) {
    found.push(...all.filter((process) => process.parent === parent));
  }
  return found;
}

/** Whether it still runs. A later process with the same number is another one. */
export function isRunning(process) {
  return read(process.pid).some((now) => now.startedAt === process.startedAt);
}

/** Sends `signal` to a process, or to a group when `pid` is negative; being gone is no fault. */
export function signal(pid, name) {
  try {
    process.kill(pid, name);
  } catch (error) {
    if (error.code !== "ESRCH") {
      throw error;
    }
  }
}
