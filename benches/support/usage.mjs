// What processes, files and the machine take, as the kernel tells it. Linux only.
import { readFileSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";

/** Of the times in /proc: USER_HZ, which is 100 on Linux whatever the kernel's own is. */
const TICKS_A_SECOND = 100;
const BLOCK = 512;

const read = (path) => {
  try {
    return readFileSync(path, "utf8");
  } catch {
    // It has just ended.
    return null;
  }
};

/** Seconds of processor time that a process has used; null when there is none such. */
export function cpuSeconds(pid) {
  const stat = read(`/proc/${pid}/stat`);
  // The name stands in parentheses and may hold anything; see proc(5) for the fields after it.
  const fields = stat?.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields ? (Number(fields[11]) + Number(fields[12])) / TICKS_A_SECOND : null;
}

/** Bytes of memory of a process, where a page that N share counts as an Nth. */
export function proportionalBytes(pid) {
  const rollup = read(`/proc/${pid}/smaps_rollup`);
  return Number(/^Pss: +(\d+) kB/m.exec(rollup ?? "")?.[1] ?? 0) * 1024;
}

/** Bytes of memory that a process has resident, threads and open files. */
export function footprint(pid) {
  const status = read(`/proc/${pid}/status`) ?? "";
  const number = (name) => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(status)?.[1] ?? 0);
  const files = readdirSync(`/proc/${pid}/fd`).length;
  return { rss: number("VmRSS") * 1024, threads: number("Threads"), files };
}

/** Children of a process that have ended, and that it has not reaped. */
export function zombies(pid) {
  const all = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  const status = all.map((name) => read(`/proc/${name}/status`) ?? "");
  const isOurs = (text) => /^State:\s+Z/m.test(text) && text.includes(`\nPPid:\t${pid}\n`);
  return status.filter(isOurs).length;
}

/** Seconds that all processors together were busy and idle since the machine began. */
export function machineSeconds() {
  const times = /^cpu +(.*)$/m.exec(readFileSync("/proc/stat", "utf8"))[1].split(" ").map(Number);
  const [user, nice, system, idle, waiting, irq, softIrq, stolen] = times;
  const busy = user + nice + system + irq + softIrq;
  const scaled = { busy, idle: idle + waiting, stolen };
  return Object.fromEntries(Object.entries(scaled).map(([k, v]) => [k, v / TICKS_A_SECOND]));
}

/** Bytes of memory that programs could still get, and all there is. */
export function machineMemory() {
  const text = readFileSync("/proc/meminfo", "utf8");
  const bytes = (name) => Number(new RegExp(`^${name}: +(\\d+)`, "m").exec(text)[1]) * 1024;
  return { available: bytes("MemAvailable"), total: bytes("MemTotal") };
}

/** Every file under a directory; those that vanish meanwhile are left out. */
export function files(directory) {
  return readdirSync(directory, { recursive: true }).flatMap((name) => {
    const stat = statSync(join(directory, name), { throwIfNoEntry: false });
    return stat?.isFile() ? [{ name, stat }] : [];
  });
}

/** Bytes that the files under a directory occupy. */
export function directoryBytes(directory) {
  return files(directory).reduce((sum, { stat }) => sum + stat.blocks * BLOCK, 0);
}
