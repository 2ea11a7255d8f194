// What happened, and what must not happen: numbers that go back, and errors that nobody has
// documented.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const ERRORS = fileURLToPath(new URL("../../docs/reference/errors.md", import.meta.url));
/** Longer than any answer may take. */
export const PATIENCE_MILLISECONDS = 60_000;
/** So many faults are told one by one. */
const TOLD = 20;

/** Status and code of every documented error. One of the manager's own is a fault, documented or not. */
function documentedErrors() {
  const rows = readFileSync(ERRORS, "utf8").matchAll(/^\| ([45]\d\d) \| `(\w+)` \|/gm);
  const errors = [...rows].filter(([, status]) => status !== "500").map(([, status, code]) => `${status} ${code}`);
  if (errors.length === 0) {
    throw new Error(`${ERRORS} has no table of errors`);
  }
  return new Set(errors);
}

/** Ends a request after so many milliseconds, as a client does that loses patience. */
export const leaving = (milliseconds) => AbortSignal.timeout(Math.ceil(milliseconds));

/** Counts and faults of the whole run. */
export class Record {
  counts = new Map();
  faults = [];
  /** Seconds until streams were back, by what had befallen them. */
  returns = new Map();
  #documented = documentedErrors();
  #highest = new Map();

  count(what, number = 1) {
    this.counts.set(what, (this.counts.get(what) ?? 0) + number);
  }

  fault(text) {
    this.faults.push(text);
    if (this.faults.length <= TOLD) {
      process.stderr.write(`fault: ${text}\n`);
    }
  }

  /** Notes an answer; its `code`, if it is an error. */
  async answer(what, response) {
    this.count(what);
    if (response.status < 400) {
      return null;
    }
    const text = await response.text();
    const type = response.headers.get("content-type");
    const code = type === "application/problem+json" ? JSON.parse(text).code : text.slice(0, 200);
    this.count(`${what}: ${response.status} ${code}`);
    if (!this.#documented.has(`${response.status} ${code}`)) {
      this.fault(`${what} was answered ${response.status} ${code}, which is not documented`);
    }
    return code;
  }

  /** A request ended without an answer, which is fine when its client left before its time. */
  noAnswer(what, error, patience) {
    const isLeft = error.name === "TimeoutError" && patience < PATIENCE_MILLISECONDS;
    if (isLeft) {
      this.count(`${what}: left`);
    } else {
      this.fault(`${what}: no answer: ${error.cause?.message ?? error.message}`);
    }
  }

  back(after, seconds) {
    this.returns.set(after, [...(this.returns.get(after) ?? []), seconds]);
  }

  /** The highest that a number of a camera has been so far. */
  highest(name) {
    return this.#highest.get(name) ?? 0;
  }

  /** Notes a number that may be no lower than it was `before` it was asked for. */
  grows(name, number, before) {
    if (number < before) {
      this.fault(`${name} went back from ${before} to ${number}`);
    }
    this.#highest.set(name, Math.max(this.highest(name), number));
  }
}
