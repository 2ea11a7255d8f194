// Retries after pauses that grow with each failure in a row.

/** The first pause, and the longest one. */
const FIRST_MS = 2000;
const LONGEST_MS = 30_000;
const GROWTH = 1.5;

export class Backoff {
  /** The number of failures in a row. */
  failures = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;

  /** Whether a retry is scheduled. */
  get isPausing(): boolean {
    return this.timer !== undefined;
  }

  /** Counts a failure, and retries after the pause. */
  retryLater(retry: () => void): void {
    const pause = Math.min(FIRST_MS * GROWTH ** this.failures, LONGEST_MS);
    this.failures += 1;
    this.cancel();
    this.timer = setTimeout(retry, pause);
  }

  /** Cancels the scheduled retry. */
  cancel(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
  }
}
