// Measures the share of the packets of a WebRTC session that the network loses.

/** The connection is too slow if more than this share is lost in each measurement of SLOW_MS. */
const MAX_LOST = 0.1;
const SLOW_MS = 3000;
/** The connection is fast enough if less than this share is lost in each measurement of STEADY_MS. */
const FEW_LOST = 0.02;
const STEADY_MS = 6000;

interface Measurement {
  at: number;
  lost: number;
  received: number;
}

export class LossMeter {
  private measured: Measurement[] = [];

  /** Records the counters of a session: the packets that were lost and received since its beginning. */
  add(now: number, lost: number, received: number): void {
    this.measured = this.measured.filter(({ at }) => now - at <= 2 * STEADY_MS);
    this.measured.push({ at: now, lost, received });
  }

  isTooSlow(now: number): boolean {
    return this.isAlways(now, SLOW_MS, (share) => share > MAX_LOST);
  }

  isSteady(now: number): boolean {
    return this.isAlways(now, STEADY_MS, (share) => share < FEW_LOST);
  }

  /** Returns whether the share of lost packets has satisfied a condition for some milliseconds. */
  private isAlways(now: number, milliseconds: number, isMet: (share: number) => boolean): boolean {
    const first = this.measured.findLastIndex(({ at }) => now - at >= milliseconds);
    const last = this.measured.at(-1);
    const isRecent = last !== undefined && now - last.at < milliseconds / 2;
    const recent = this.measured.slice(first);
    return (
      first >= 0 &&
      isRecent &&
      recent.slice(1).every(({ lost, received }, index) => {
        const before = recent[index];
        const packets = received - (before?.received ?? 0);
        const missing = Math.max(0, lost - (before?.lost ?? 0));
        // Without any packet, the camera or the connection is away, which is no sign of a slow connection.
        return packets > 0 && isMet(missing / (packets + missing));
      })
    );
  }
}
