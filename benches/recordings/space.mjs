// The disk on which the recordings are.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statfsSync } from "node:fs";
import { join, resolve } from "node:path";

const BYTES_PER_SECOND = 4_000_000 / 8;
/** Headers of the files and of the packets, and variation of the bit rate. */
const SURPLUS = 1.1;
const INDEX_BYTES_PER_DAY = 1_000_000;
/** The manager keeps 2 GiB free, and other programs need some space. */
const KEPT_BYTES = 3 * 1024 ** 3;
const SAMPLE_MILLISECONDS = 200;

/**
 * Creates a directory below `options.dir` for the recordings and the index, which is deleted at exit. Throws if the disk
 * has too little free space.
 */
export function makeDisk(options) {
  const parent = resolve(options.dir);
  mkdirSync(parent, { recursive: true });
  const { bavail, bsize } = statfsSync(parent);
  // Streams are recorded for some more seconds than the measurement lasts. Those with sound follow when the others are
  // deleted.
  const seconds = Math.max(options.minutes * 60, options.baseline) + 30;
  const needed =
    options.cameras * (seconds * BYTES_PER_SECOND * SURPLUS + options.days * INDEX_BYTES_PER_DAY) + KEPT_BYTES;
  const gigabytes = (bytes) => (bytes / 1e9).toFixed(1);
  const free = bavail * bsize;
  if (free < needed) {
    throw new Error(
      `${parent} has ${gigabytes(free)} GB of free space, but the benchmark needs ${gigabytes(needed)} GB; ` +
        "choose fewer cameras or minutes, or another directory with --dir",
    );
  }
  const directory = mkdtempSync(join(parent, "recordings-"));
  process.on("exit", () => rmSync(directory, { recursive: true, force: true, maxRetries: 10 }));
  return directory;
}

/** Returns the bytes in the page cache that are not on the disk yet. */
function dirtyBytes() {
  const text = readFileSync("/proc/meminfo", "utf8");
  const kilobytes = (name) => Number(new RegExp(`^${name}: +(\\d+) kB`, "m").exec(text)[1]);
  return (kilobytes("Dirty") + kilobytes("Writeback")) * 1024;
}

/** Samples the bytes in the page cache that are not on the disk yet, until `end` is called. */
export class DirtyPages {
  #samples = [];
  #timer = setInterval(() => this.#samples.push(dirtyBytes()), SAMPLE_MILLISECONDS);

  /** Returns the mean and the largest number of bytes. */
  end() {
    clearInterval(this.#timer);
    const mean = this.#samples.reduce((sum, bytes) => sum + bytes, 0) / this.#samples.length;
    return { mean, max: Math.max(...this.#samples) };
  }
}
