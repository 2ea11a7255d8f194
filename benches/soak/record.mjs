// Records events of the run, and detects faults: decreasing numbers, and undocumented errors.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const ERRORS = fileURLToPath(new URL("../../docs/reference/errors.md", import.meta.url));
/** Time limit for every response. */
export const TIMEOUT_MILLISECONDS = 60_000;
/** Number of faults that are printed immediately. All faults are listed at the end. */
const MAX_PRINTED_FAULTS = 20;

/** Returns status and code of every documented error but 500, which is always a fault. */
function documentedErrors() {
  const rows = readFileSync(ERRORS, "utf8").matchAll(/^\| ([45]\d\d) \| `(\w+)` \|/gm);
  const errors = [...rows].filter(([, status]) => status !== "500").map(([, status, code]) => `${status} ${code}`);
  if (errors.length === 0) {
    throw new Error(`${ERRORS} has no table of errors`);
  }
  return new Set(errors);
}

/** Returns a signal that aborts a request after this time, as an impatient client does. */
export const abortAfter = (milliseconds) => AbortSignal.timeout(Math.ceil(milliseconds));

/** Counts and faults of the whole run. */
export class Record {
  counts = new Map();
  faults = [];
  /** Seconds until streams recovered, by kind of fault. */
  returns = new Map();
  #documented = documentedErrors();
  #highest = new Map();

  count(what, number = 1) {
    this.counts.set(what, (this.counts.get(what) ?? 0) + number);
  }

  fault(text) {
    this.faults.push(text);
    if (this.faults.length <= MAX_PRINTED_FAULTS) {
      process.stderr.write(`fault: ${text}\n`);
    }
  }

  /** Records a response. Returns its error code, or null if it is not an error. */
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
      this.fault(`${what}: undocumented response ${response.status} ${code}`);
    }
    return code;
  }

  /** Records a request without a response. That is a fault, unless the client was impatient. */
  noResponse(what, error, timeout) {
    const isImpatient = error.name === "TimeoutError" && timeout < TIMEOUT_MILLISECONDS;
    if (isImpatient) {
      this.count(`${what}: aborted`);
    } else {
      this.fault(`${what}: no response: ${error.cause?.message ?? error.message}`);
    }
  }

  /** Records that a stream has recovered from a fault. */
  recovered(fault, seconds) {
    this.returns.set(fault, [...(this.returns.get(fault) ?? []), seconds]);
  }

  /** Returns the highest value so far of a camera's number. */
  highest(name) {
    return this.#highest.get(name) ?? 0;
  }

  /** Records a number. It is a fault if the number is lower than `before`, its value before the request. */
  increases(name, number, before) {
    if (number < before) {
      this.fault(`${name} decreased from ${before} to ${number}`);
    }
    this.#highest.set(name, Math.max(this.highest(name), number));
  }
}
