// Notices that the computer has slept.

/**
 * If the time between two calls of `hasSlept` is longer than this, the computer has slept. The wall clock
 * measures the time, because on most systems the browser's monotonic clock stops during sleep.
 */
const SLEPT_MS = 15_000;

export class SleepWatch {
  private last = Date.now();

  /** Returns whether the computer has slept since the last call. Call this several times a second. */
  hasSlept(): boolean {
    const now = Date.now();
    const sinceLast = now - this.last;
    this.last = now;
    return sinceLast > SLEPT_MS;
  }
}
