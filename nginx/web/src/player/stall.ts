// Detects a picture that has stopped, and distinguishes a slow one from one that is stuck.
//
// By the position in the video, not by its events: on a busy computer, `playing` may arrive after the
// picture has stopped again.

/** A stall that is shorter is not shown. */
const WAITING_AFTER_MS = 800;
/** A picture that has stopped is stuck when no media has arrived for this long. */
const STARVED_AFTER_MS = 6000;
/**
 * A picture that has stopped although media arrives is stuck after this long. A busy computer may take
 * many seconds to show the first picture, or to continue; a restart would only add to its work.
 */
const STUCK_AFTER_MS = 30_000;
/** Most time that counts between two checks. A page that was busy has not seen what has arrived. */
const LONGEST_STEP_MS = 400;

export type Motion = "moving" | "still" | "waiting" | "stuck";

export class StallWatch {
  /** Whether there is a picture to wait for. */
  private isActive = false;
  private checkedAt = 0;
  private position = 0;
  /** Milliseconds since the picture last moved. */
  private stillFor = 0;
  /** Milliseconds since it last moved or media last arrived. */
  private starvedFor = 0;

  begin(): void {
    this.isActive = true;
    this.checkedAt = performance.now();
    this.moved();
  }

  end(): void {
    this.isActive = false;
  }

  /** Notes that a piece of media has arrived. */
  arrived(): void {
    this.starvedFor = 0;
  }

  /** Notes the present position. To be called after a seek as well, which is not motion. */
  note(video: HTMLVideoElement): void {
    this.position = video.currentTime;
  }

  /** Returns what the picture does. Once it is `stuck`, the time is counted from zero again. */
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
