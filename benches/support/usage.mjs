// Resource usage of processes, files and the machine. This reads /proc and works only on Linux.
import { readFileSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";

/** USER_HZ, the unit of the times in /proc. It is always 100, whatever HZ the kernel uses. */
const TICKS_PER_SECOND = 100;
const BLOCK_BYTES = 512;

const read = (path) => {
  try {
    return readFileSync(path, "utf8");
  } catch {
    // The process has just ended.
    return null;
  }
};

/** Returns the seconds of processor time that a process has used, or null if it does not exist. */
export function cpuSeconds(pid) {
  const stat = read(`/proc/${pid}/stat`);
  // The second field is the program's name in parentheses, which can contain spaces. See proc(5).
  const fields = stat?.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields ? (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND : null;
}

/**
 * Returns the memory of a process in bytes: the proportional set size (PSS), in which a page that N
 * processes share counts as 1/N, and the private pages that the process has written to. Both are 0 if the
 * process has ended.
 */
export function memory(pid) {
  const rollup = read(`/proc/${pid}/smaps_rollup`) ?? "";
  const bytes = (name) => Number(new RegExp(`^${name}: +(\\d+) kB`, "m").exec(rollup)?.[1] ?? 0) * 1024;
  return { pss: bytes("Pss"), dirty: bytes("Private_Dirty") };
}

/**
 * Returns the resident memory in bytes, the number of threads and the number of open files of a process.
 */
export function footprint(pid) {
  const status = read(`/proc/${pid}/status`) ?? "";
  const number = (name) => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(status)?.[1] ?? 0);
  const files = readdirSync(`/proc/${pid}/fd`).length;
  return { rss: number("VmRSS") * 1024, threads: number("Threads"), files };
}

/** Returns the number of a process's children that have ended but were not reaped. */
export function zombies(pid) {
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  const status = pids.map((id) => read(`/proc/${id}/status`) ?? "");
  const isZombie = (text) => /^State:\s+Z/m.test(text) && text.includes(`\nPPid:\t${pid}\n`);
  return status.filter(isZombie).length;
}

/**
 * Returns how many seconds since boot the processors were busy, idle and stolen, summed over all
 * processors.
 */
export function machineSeconds() {
  const times = /^cpu +(.*)$/m.exec(readFileSync("/proc/stat", "utf8"))[1].split(" ").map(Number);
  const [user, nice, system, idle, waiting, irq, softIrq, stolen] = times;
  const busy = user + nice + system + irq + softIrq;
  const ticks = { busy, idle: idle + waiting, stolen };
  return Object.fromEntries(Object.entries(ticks).map(([k, v]) => [k, v / TICKS_PER_SECOND]));
}

/** Returns the available and the total memory of the machine in bytes. */
export function machineMemory() {
  const text = readFileSync("/proc/meminfo", "utf8");
  const bytes = (name) => Number(new RegExp(`^${name}: +(\\d+)`, "m").exec(text)[1]) * 1024;
  return { available: bytes("MemAvailable"), total: bytes("MemTotal") };
}

/**
 * Returns all files in a directory tree, except those that are deleted while this function reads the tree.
 */
export function files(directory) {
  return readdirSync(directory, { recursive: true }).flatMap((name) => {
    const stat = statSync(join(directory, name), { throwIfNoEntry: false });
    return stat?.isFile() ? [{ name, stat }] : [];
  });
}

/** Returns the disk space in bytes that the files in a directory tree occupy. */
export function directoryBytes(directory) {
  return files(directory).reduce((sum, { stat }) => sum + stat.blocks * BLOCK_BYTES, 0);
}
