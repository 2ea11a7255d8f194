// Directories for the files of benchmarks.
import { accessSync, constants, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const SHARED_MEMORY = "/dev/shm";

/** Creates a directory that is deleted at exit. It is in memory if /dev/shm is writable. */
export function makeDirectory(prefix) {
  let parent = SHARED_MEMORY;
  try {
    accessSync(parent, constants.W_OK);
  } catch {
    parent = tmpdir();
  }
  const directory = mkdtempSync(join(parent, prefix));
  // Processes that have just been killed can still write, so deleting can need more attempts.
  process.on("exit", () => rmSync(directory, { recursive: true, force: true, maxRetries: 10 }));
  return directory;
}
