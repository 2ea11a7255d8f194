// Detects that the picture has stopped, and distinguishes a slow picture from a stuck picture.
//
// This module compares positions in the video, because events are not reliable. On a busy computer, the event
// `playing` may arrive when the picture has already stopped again.

import type { Motion as Moving } from "./transport";

/** A stall is shown after this time. */
const WAITING_AFTER_MS = 800;
/** A picture that has stopped counts as stuck if no media has arrived for this long. */
const STARVED_AFTER_MS = 6000;
/**
 * A picture that has stopped is in the state `missed` if the playlist has grown after the stop, but no media has
 * arrived for this long. hls.js then does not find the next media in the new playlist.
 */
const MISSED_AFTER_MS = 2000;
/**
 * A picture that has stopped although media arrives counts as stuck after this time. A busy computer may
 * need many seconds to show the first picture or to continue, and a restart would give it more work.
 */
const STUCK_AFTER_MS = 30_000;
/**
 * The most time that one check can add to the timers. A busy page checks rarely, and registers arriving media late.
 * So only a part of a long time since the last check counts as time without media.
 */
const MAX_STEP_MS = 400;
/** A stall is shown, and the picture counts as stuck, only after this many frames are missing. */
const WAITING_FRAMES = 3;
const STARVED_FRAMES = 8;

/**
 * The motion of the picture.
 *
 * - `moving`: the picture has moved since the previous check.
 * - `still`: the picture is paused, not expected, or has stopped too recently to show a stall.
 * - `waiting`: the picture has stopped for long enough to show a stall.
 * - `stuck`: the picture has stopped for so long that only a restart of the player is likely to help.
 * - `missed`: the picture has stopped and no media arrives, although the playlist grows. So the stream is live, and a
 *   restart of the player is likely to help.
 */
export type Motion = "moving" | "still" | "waiting" | "stuck" | "missed";

export class StallWatch {
  /** Milliseconds between two frames; 0 while it is unknown. */
  interval = 0;
  /** True while a picture is expected. */
  private isActive = false;
  private checkedAt = 0;
  private position = 0;
  /** Milliseconds since the picture last moved. */
  private stillFor = 0;
  /** Milliseconds since the later of the last movement and the last arrival of media. */
  private starvedFor = 0;
  /** Whether the picture has moved since `begin`. Until then, the first media may be late. */
  private hasMoved = false;
  /** Whether the playlist has grown after the picture stopped, and no media has arrived after that growth. */
  private hasGrown = false;

  /** Milliseconds since the picture last moved; 0 if no picture is expected, or if it has never moved. */
  get stoppedFor(): number {
    return this.isActive && this.hasMoved ? this.stillFor : 0;
  }

  begin(): void {
    this.isActive = true;
    this.checkedAt = performance.now();
    this.hasMoved = false;
    this.resetTimers();
  }

  end(): void {
    this.isActive = false;
  }

  /** Records that media has arrived. */
  arrived(): void {
    this.starvedFor = 0;
    this.hasGrown = false;
  }

  /** Records that the playlist has grown. Has no effect if the picture has never moved, or if no stall is shown. */
  grown(): void {
    this.hasGrown = this.hasMoved && this.stillFor > WAITING_AFTER_MS;
  }

  /** Records the current position. Call this after a seek too, because a seek is not motion. */
  note(video: Moving): void {
    this.position = video.currentTime;
  }

  /** Returns the motion since the previous check. After `stuck` or `missed`, the times are counted from zero again. */
  check(video: Moving): Motion {
    const now = performance.now();
    const step = Math.min(now - this.checkedAt, MAX_STEP_MS);
    this.checkedAt = now;
    if (!this.isActive) {
      return "still";
    }
    const hasMoved = video.currentTime !== this.position && !video.seeking;
    this.hasMoved ||= hasMoved;
    if (hasMoved || video.paused) {
      this.resetTimers();
      return hasMoved ? "moving" : "still";
    }
    this.stillFor += step;
    this.starvedFor += step;
    if (this.hasGrown && this.starvedFor > MISSED_AFTER_MS) {
      this.resetTimers();
      return "missed";
    }
    const starvedAfter = Math.max(STARVED_AFTER_MS, STARVED_FRAMES * this.interval);
    if (this.starvedFor > starvedAfter || this.stillFor > STUCK_AFTER_MS) {
      this.resetTimers();
      return "stuck";
    }
    const waitingAfter = Math.max(WAITING_AFTER_MS, WAITING_FRAMES * this.interval);
    return this.stillFor > waitingAfter ? "waiting" : "still";
  }

  private resetTimers(): void {
    this.stillFor = 0;
    this.starvedFor = 0;
    this.hasGrown = false;
  }
}
