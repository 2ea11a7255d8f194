// Records what happens during the run, and detects violations: numbers that decrease, undocumented errors, and
// requests without a response.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const ERRORS = fileURLToPath(new URL("../../docs/reference/errors.md", import.meta.url));
/** Time limit for every response. */
export const TIMEOUT_MILLISECONDS = 60_000;
/** Number of violations that are printed immediately. The report at the end lists all. */
const MAX_PRINTED_VIOLATIONS = 20;

/**
 * Returns the status and code of every documented error, except those with status 500, which are always
 * violations.
 */
function documentedErrors() {
  const rows = readFileSync(ERRORS, "utf8").matchAll(/^\| ([45]\d\d) \| `(\w+)` \|/gm);
  const errors = [...rows].filter(([, status]) => status !== "500").map(([, status, code]) => `${status} ${code}`);
  if (errors.length === 0) {
    throw new Error(`${ERRORS} has no table of errors`);
  }
  return new Set(errors);
}

/** Returns a signal that aborts a request after this time. */
export const abortAfter = (milliseconds) => AbortSignal.timeout(Math.ceil(milliseconds));

/** Counts, recoveries and violations of the whole run. */
export class Record {
  counts = new Map();
  violations = [];
  /** The recovery times in seconds, as one list for each kind of disturbance. */
  recoveries = new Map();
  #documented = documentedErrors();
  #highest = new Map();

  count(what, number = 1) {
    this.counts.set(what, (this.counts.get(what) ?? 0) + number);
  }

  violation(text) {
    this.violations.push(text);
    if (this.violations.length <= MAX_PRINTED_VIOLATIONS) {
      process.stderr.write(`violation: ${text}\n`);
    }
  }

  /** Records a response. Returns null, or the error code if the response is an error. */
  async response(what, response) {
    this.count(what);
    if (response.status < 400) {
      return null;
    }
    const text = await response.text();
    const type = response.headers.get("content-type");
    const code = type === "application/problem+json" ? JSON.parse(text).code : text.slice(0, 200);
    this.count(`${what}: ${response.status} ${code}`);
    if (!this.#documented.has(`${response.status} ${code}`)) {
      this.violation(`${what}: undocumented response ${response.status} ${code}`);
    }
    return code;
  }

  /**
   * Records a request without a response. That is a violation, unless the client has aborted the request
   * before the general time limit.
   */
  noResponse(what, error, timeout) {
    const isAborted = error.name === "TimeoutError" && timeout < TIMEOUT_MILLISECONDS;
    if (isAborted) {
      this.count(`${what}: aborted`);
    } else {
      this.violation(`${what}: no response: ${error.cause?.message ?? error.message}`);
    }
  }

  /** Records how long a stream took to recover after a disturbance. */
  recovered(disturbance, seconds) {
    const earlier = this.recoveries.get(disturbance) ?? [];
    this.recoveries.set(disturbance, [...earlier, seconds]);
  }

  /** Returns the highest value so far of the number with this name; 0 before the first value. */
  highest(name) {
    return this.#highest.get(name) ?? 0;
  }

  /**
   * Records a value of a number that must not decrease. A value lower than `before`, the highest value when
   * the request was sent, is a violation.
   */
  mustNotDecrease(name, number, before) {
    if (number < before) {
      this.violation(`${name} decreased from ${before} to ${number}`);
    }
    this.#highest.set(name, Math.max(this.highest(name), number));
  }
}
