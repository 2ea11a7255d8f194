// Detects that the picture has stopped, and distinguishes a slow picture from a stuck one.
//
// The position in the video is compared, because events are not reliable: on a busy computer, `playing` may
// arrive when the picture has stopped again.

/** A stall is shown after this time. */
const WAITING_AFTER_MS = 800;
/** A picture that has stopped counts as stuck if no media has arrived for this long. */
const STARVED_AFTER_MS = 6000;
/**
 * A picture that has stopped although media arrives counts as stuck after this time. A busy computer may
 * need many seconds to show the first picture or to continue, and a restart would give it more work.
 */
const STUCK_AFTER_MS = 30_000;
/**
 * At most this much of the time between two checks counts. While a page is too busy to check, it does not
 * notice media either.
 */
const LONGEST_STEP_MS = 400;

/**
 * What the picture does: it moves, has just stopped or is paused, is in a visible stall, or needs a
 * restart.
 */
export type Motion = "moving" | "still" | "waiting" | "stuck";

export class StallWatch {
  /** Whether a picture is expected. */
  private isActive = false;
  private checkedAt = 0;
  private position = 0;
  /** Milliseconds since the picture last moved. */
  private stillFor = 0;
  /** Milliseconds since the picture last moved or media last arrived. */
  private starvedFor = 0;

  begin(): void {
    this.isActive = true;
    this.checkedAt = performance.now();
    this.moved();
  }

  end(): void {
    this.isActive = false;
  }

  /** Records that media has arrived. */
  arrived(): void {
    this.starvedFor = 0;
  }

  /**
   * Records the current position. Must also be called after a seek, so that a seek does not count as
   * motion.
   */
  note(video: HTMLVideoElement): void {
    this.position = video.currentTime;
  }

  /** Returns what the picture does. After `stuck`, the times are counted from zero again. */
  check(video: HTMLVideoElement): Motion {
    const now = performance.now();
    const step = Math.min(now - this.checkedAt, LONGEST_STEP_MS);
    this.checkedAt = now;
    if (!this.isActive) {
      return "still";
    }
    const hasMoved = video.currentTime !== this.position && !video.seeking;
    if (hasMoved || video.paused) {
      this.moved();
      return hasMoved ? "moving" : "still";
    }
    this.stillFor += step;
    this.starvedFor += step;
    if (this.starvedFor > STARVED_AFTER_MS || this.stillFor > STUCK_AFTER_MS) {
      this.moved();
      return "stuck";
    }
    return this.stillFor > WAITING_AFTER_MS ? "waiting" : "still";
  }

  private moved(): void {
    this.stillFor = 0;
    this.starvedFor = 0;
  }
}
