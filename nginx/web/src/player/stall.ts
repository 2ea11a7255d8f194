// Detects a picture that has stopped, and distinguishes a slow one from one that is stuck.

/** A stall that is shorter is not shown. */
const WAITING_AFTER_MS = 800;
/** A picture that has stopped is stuck when no media has arrived for this long. */
const STARVED_AFTER_MS = 6000;
/**
 * A picture that has stopped although media arrives is stuck after this long. A busy computer may take
 * many seconds to show the first picture, or to continue; a restart would only add to its work.
 */
const STUCK_AFTER_MS = 30_000;

export type Stall = "none" | "waiting" | "stuck";

export class StallWatch {
  private stalledAt: number | null = null;
  private arrivedAt = 0;

  /** The picture has stopped, or is about to start. */
  begin(): void {
    this.stalledAt ??= performance.now();
  }

  /** The picture moves, or there is none to wait for. */
  end(): void {
    this.stalledAt = null;
  }

  /** A piece of media has arrived. */
  arrived(): void {
    this.arrivedAt = performance.now();
  }

  /** The present state. Once it is `stuck`, the time is counted from the beginning again. */
  check(): Stall {
    if (this.stalledAt === null) {
      return "none";
    }
    const now = performance.now();
    const stalledFor = now - this.stalledAt;
    const starvedFor = now - Math.max(this.stalledAt, this.arrivedAt);
    if (starvedFor > STARVED_AFTER_MS || stalledFor > STUCK_AFTER_MS) {
      this.stalledAt = now;
      return "stuck";
    }
    return stalledFor > WAITING_AFTER_MS ? "waiting" : "none";
  }
}
