// Waiting for conditions, with a time limit.
import { setTimeout as sleep } from "node:timers/promises";

const POLL_MILLISECONDS = 100;
const TOO_LATE = Symbol("too late");

/**
 * Calls `probe` until it returns something true, and returns that. Throws after `seconds`, also if `probe`
 * does not return, as from a page that hangs.
 */
export async function until(what, seconds, probe) {
  const deadline = sleep(seconds * 1000, TOO_LATE, { ref: false });
  for (;;) {
    // The deadline comes first, since the first one that has settled counts.
    const answer = await Promise.race([deadline, probe()]);
    if (answer === TOO_LATE) {
      throw new Error(`not seen within ${seconds} s: ${what}`);
    }
    if (answer) {
      return answer;
    }
    await sleep(POLL_MILLISECONDS);
  }
}

/**
 * Waits for all promises, also when one fails, and throws the first failure. Hooks can then end whatever has
 * started; a browser that is left running would keep the tests from ending.
 */
export async function allOf(...promises) {
  const results = await Promise.allSettled(promises);
  const failed = results.find(({ status }) => status === "rejected");
  if (failed) {
    throw failed.reason;
  }
}
