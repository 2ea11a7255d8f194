// Temporary directories for the files of benchmarks.
import { accessSync, constants, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const SHARED_MEMORY = "/dev/shm";

/** Creates a directory, which is deleted at exit. The directory is in memory if /dev/shm is writable. */
export function makeDirectory(prefix) {
  let parent = SHARED_MEMORY;
  try {
    accessSync(parent, constants.W_OK);
  } catch {
    parent = tmpdir();
  }
  const directory = mkdtempSync(join(parent, prefix));
  // Deleting can need several attempts, because processes that were just killed can still write.
  process.on("exit", () => rmSync(directory, { recursive: true, force: true, maxRetries: 10 }));
  return directory;
}
