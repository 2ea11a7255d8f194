// Pauses between attempts, which grow with each failure.
import { Problem } from "../../api/problem";

/** The first pause and the longest one, in milliseconds. */
const FIRST_MS = 1000;
const LONGEST_MS = 30_000;
/** A failure this long after the end of the last pause begins with the first pause again, in milliseconds. */
const FORGOTTEN_MS = 60_000;

export class Attempts {
  #pause = 0;
  #dueAt = Number.NEGATIVE_INFINITY;

  /** Whether the pause after the latest failure is over. */
  get isDue(): boolean {
    return performance.now() >= this.#dueAt;
  }

  /** Begins a pause. */
  failed(): void {
    const now = performance.now();
    const isFirst = now - this.#dueAt > FORGOTTEN_MS;
    this.#pause = isFirst ? FIRST_MS : Math.min(2 * this.#pause, LONGEST_MS);
    this.#dueAt = now + this.#pause;
  }
}

/** Returns whether a later attempt can succeed: the connection, the session or the service has failed. */
export function isTemporary(error: unknown): boolean {
  if (!(error instanceof Problem)) {
    return false;
  }
  const { status, code } = error;
  return code === "interrupted" || code === "unreachable" || status === 401 || status >= 500;
}
