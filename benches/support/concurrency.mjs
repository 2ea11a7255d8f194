// Concurrent work with a limit.

const LIMIT = 8;

/** Calls `work` for each item, for at most `limit` items at a time. */
export async function forAll(items, work, limit = LIMIT) {
  const queue = [...items];
  const worker = async () => {
    while (queue.length > 0) {
      await work(queue.shift());
    }
  };
  await Promise.all(Array.from({ length: limit }, worker));
}
