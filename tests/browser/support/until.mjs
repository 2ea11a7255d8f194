// Waits for conditions, with a time limit.
import { setTimeout as sleep } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";

const POLL_MILLISECONDS = 100;
const TIMED_OUT = Symbol("timed out");

/**
 * Calls `probe` again and again until the result is truthy, and returns that result. Throws after `seconds`,
 * even if a call of `probe` never settles, for example because a page hangs.
 */
export async function until(what, seconds, probe) {
  const deadline = sleep(seconds * 1000, TIMED_OUT, { ref: false });
  for (;;) {
    // If both have settled, Promise.race takes the first of the array, so the deadline comes first.
    const result = await Promise.race([deadline, probe()]);
    if (result === TIMED_OUT) {
      throw new Error(`timed out after ${seconds} s waiting for: ${what}`);
    }
    if (result) {
      return result;
    }
    await sleep(POLL_MILLISECONDS);
  }
}

/**
 * Calls `read` again and again until the result equals `expected`. Use this for what the page shows after an action,
 * because the page renders some time after it. Throws after `seconds`, with the last result.
 */
export async function untilEqual(what, seconds, read, expected) {
  let last;
  await until(what, seconds, async () => {
    last = await read();
    return isDeepStrictEqual(last, expected);
  }).catch((error) => {
    const [seen, wanted] = [last, expected].map((value) => JSON.stringify(value));
    throw new Error(`${error.message}; the result is ${seen} instead of ${wanted}`);
  });
}

/**
 * Waits until all promises have settled, and then throws the first failure, if any. (Promise.all would throw
 * at once. A process that starts after that would never be stopped, and a running browser keeps the test
 * process alive.)
 */
export async function allOf(...promises) {
  const results = await Promise.allSettled(promises);
  const failed = results.find(({ status }) => status === "rejected");
  if (failed) {
    throw failed.reason;
  }
}
