// Runs work concurrently, with a limit on the number of calls in progress.

/** Largest number of calls in progress if the caller sets no limit. */
const LIMIT = 8;

/**
 * Calls `work` for each item, and waits until all calls are complete. At most `limit` calls are in progress at
 * any time. Throws as soon as one of the calls fails.
 */
export async function forAll(items, work, limit = LIMIT) {
  const queue = [...items];
  const worker = async () => {
    while (queue.length > 0) {
      await work(queue.shift());
    }
  };
  await Promise.all(Array.from({ length: limit }, worker));
}
