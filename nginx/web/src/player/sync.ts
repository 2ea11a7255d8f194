// Determines the age of pictures from the times at which the camera took them.

/**
 * If the smallest age of an arriving frame is not between these limits, in milliseconds, the clocks of the service and
 * of this computer differ.
 */
const MIN_DELAY_MS = -20;
const MAX_DELAY_MS = 2000;
/** A smallest value counts for at least this time, and for at most twice this time. */
const REMEMBERED_MS = 30_000;

/** The smallest of the values of the last half to whole minute, so that a change of a clock does not count for ever. */
export class SlidingMinimum {
  private before = Number.POSITIVE_INFINITY;
  private smallest = Number.POSITIVE_INFINITY;
  private beganAt: number | null = null;

  /** Infinite before the first value. */
  get value(): number {
    return Math.min(this.before, this.smallest);
  }

  /** Adds a value that was measured at this value of `performance.now()`. Returns the smallest one. */
  add(now: number, value: number): number {
    this.beganAt ??= now;
    const elapsed = now - this.beganAt;
    if (elapsed > REMEMBERED_MS) {
      this.before = elapsed > 2 * REMEMBERED_MS ? Number.POSITIVE_INFINITY : this.smallest;
      this.smallest = Number.POSITIVE_INFINITY;
      this.beganAt = now;
    }
    this.smallest = Math.min(this.smallest, value);
    return this.value;
  }
}

/**
 * Returns a clock with the Unix time in milliseconds. The clock never jumps, even if the computer's clock is set. It does
 * not run while the computer sleeps, so each connection needs a new one.
 */
export function steadyClock(): () => number {
  const origin = Date.now() - performance.now();
  return () => origin + performance.now();
}

/** Converts times of the service to ages. If the clocks differ, the fastest frame counts as having the age zero. */
export class AgeClock {
  private readonly fastest = new SlidingMinimum();
  private readonly unixTime = steadyClock();

  /** Records the arrival of a frame that was taken at a Unix time in milliseconds. */
  arrived(takenAt: number): void {
    this.fastest.add(performance.now(), this.unixTime() - takenAt);
  }

  /** Returns the age, in seconds, of a picture that was taken at a Unix time in milliseconds. */
  age(takenAt: number): number {
    const fastest = this.fastest.value;
    const isSame = fastest > MIN_DELAY_MS && fastest < MAX_DELAY_MS;
    const difference = isSame || !Number.isFinite(fastest) ? 0 : fastest;
    return Math.max(0, (this.unixTime() - takenAt - difference) / 1000);
  }
}
