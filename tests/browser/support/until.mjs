// Waiting for conditions: as long as it takes, but not for ever.
import { setTimeout as sleep } from "node:timers/promises";

const POLL_MILLISECONDS = 100;
const TOO_LATE = Symbol("too late");

/**
 * Asks `probe` until it answers something true, and returns that; throws after `seconds`, also
 * when `probe` itself does not return, as from a page that hangs.
 */
export async function until(what, seconds, probe) {
  const deadline = sleep(seconds * 1000, TOO_LATE, { ref: false });
  for (;;) {
    // The deadline first: of two that have both come, the first one counts.
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
 * Waits for all of them, also when one fails, and throws the first failure. So what did start is known to
 * the hook that ends it; a browser that is left running keeps the tests from ending.
 */
export async function allOf(...promises) {
  const results = await Promise.allSettled(promises);
  const failed = results.find(({ status }) => status === "rejected");
  if (failed) {
    throw failed.reason;
  }
}
