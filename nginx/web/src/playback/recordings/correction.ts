// How a camera that is ahead of the others, or behind them, gets in step again.

/** Differences up to this are not corrected, in milliseconds of playing. */
export const EXACT_MS = 12;
/** A difference is corrected within about this time, in milliseconds. */
const CORRECT_MS = 500;
/** The largest correction of the rate. */
const MAX_CORRECTION = 0.25;

/** Returns the factor of the rate with which a player corrects its difference in milliseconds. */
export function correction(difference: number): number {
  if (Math.abs(difference) <= EXACT_MS) {
    return 1;
  }
  return 1 - Math.min(MAX_CORRECTION, Math.max(-MAX_CORRECTION, difference / CORRECT_MS));
}
