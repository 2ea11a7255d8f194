// Determines the age of pictures from the times at which the camera took them.

/**
 * If the smallest age of an arriving frame is not between these limits, in milliseconds, the clocks of the service and
 * of this computer differ.
 */
const MIN_DELAY_MS = -20;
const MAX_DELAY_MS = 2000;

/** Converts times of the service to ages. If the clocks differ, the fastest frame counts as having the age zero. */
export class AgeClock {
  private fastest = Number.POSITIVE_INFINITY;

  /** Records the arrival of a frame that was taken at a Unix time in milliseconds. */
  arrived(takenAt: number): void {
    this.fastest = Math.min(this.fastest, Date.now() - takenAt);
  }

  /** Returns the age, in seconds, of a picture that was taken at a Unix time in milliseconds. */
  age(takenAt: number): number {
    const isSame = this.fastest > MIN_DELAY_MS && this.fastest < MAX_DELAY_MS;
    const difference = isSame || !Number.isFinite(this.fastest) ? 0 : this.fastest;
    return Math.max(0, (Date.now() - takenAt - difference) / 1000);
  }
}
