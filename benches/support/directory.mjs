// Where benchmarks write.
import { accessSync, constants, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const SHARED_MEMORY = "/dev/shm";

/** A directory until the benchmark ends: in memory, where there is a place for it. */
export function makeDirectory(prefix) {
  let parent = SHARED_MEMORY;
  try {
    accessSync(parent, constants.W_OK);
  } catch {
    parent = tmpdir();
  }
  const directory = mkdtempSync(join(parent, prefix));
  // Tried again, as processes that were killed just now may still write.
  process.on("exit", () => rmSync(directory, { recursive: true, force: true, maxRetries: 10 }));
  return directory;
}
