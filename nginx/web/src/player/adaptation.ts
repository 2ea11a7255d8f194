// Adapts what a player shows to the viewer's connection: the requested stream, the sub stream, or pictures.
import { signal } from "@preact/signals-core";

import type { Profile } from "../api/types";
import { LineMeter } from "./line";
import { type Level, Quality } from "./quality";

/** Interval between two evaluations of the connection's rate while video plays. */
const EVALUATE_EVERY_MS = 2500;

export class Adaptation {
  /** The stream that is used. On a slow connection, it may be the sub stream instead of the main stream. */
  readonly profile = signal<Profile>("main");
  /** Whether the connection is too slow for the requested stream. */
  readonly isSlow = signal(false);
  readonly meter = new LineMeter();
  private requested: Profile = "main";
  private hasSub = false;
  private quality = new Quality(["main"]);
  /** Whether video of the present level has played. */
  private hasPlayed = false;
  /** Whether the present level was raised, and has not played yet. */
  private isRaised = false;
  /** The bit rate that was too much for the connection, in bits per second. */
  private needed = 0;
  private evaluatedAt = 0;

  /** `onChange` is called when another level has been selected: a lower one if `isLowered` is true. */
  constructor(private readonly onChange: (isLowered: boolean) => void) {}

  get level(): Level {
    return this.quality.level;
  }

  /** Selects the best level for a request: the requested stream. */
  begin(profile: Profile): void {
    this.requested = profile;
    this.quality = new Quality(this.levels());
    this.applyLevel();
  }

  /**
   * Sets whether the camera has a sub stream that can replace the main stream. If the present level is not the best
   * one, the new value takes effect only with the next request.
   */
  setHasSub(hasSub: boolean): void {
    this.hasSub = hasSub;
    if (!this.quality.isLowered) {
      this.quality = new Quality(this.levels());
    }
  }

  /** Whether the camera has a sub stream that can replace the requested stream. */
  get isReplaceable(): boolean {
    return this.requested === "main" && this.hasSub;
  }

  private levels(): [Level, ...Level[]] {
    return this.isReplaceable ? ["main", "sub", "pictures"] : [this.requested, "pictures"];
  }

  /** Records that video of the present level plays. */
  played(): void {
    this.hasPlayed = true;
    this.isRaised = false;
  }

  /**
   * Selects pictures of the main stream if the sub stream has replaced the main stream but does not work. Returns
   * whether pictures were selected.
   */
  leaveSub(): boolean {
    if (this.level !== "sub" || this.requested !== "main" || this.hasPlayed) {
      return false;
    }
    this.quality = new Quality(["main", "pictures"]);
    this.profile.value = "main";
    this.lower(this.needed);
    return true;
  }

  /**
   * Selects the level before if the present one was raised and has not played, because its stream does not start.
   * Returns whether the level before was selected.
   */
  leaveRaised(): boolean {
    const { isRaised } = this;
    if (isRaised) {
      this.lower(this.needed);
    }
    return isRaised;
  }

  /**
   * Measures the connection, and selects another level if necessary. Returns whether media has arrived. Call this
   * several times a second.
   */
  measure(now: number): boolean {
    const hasArrived = this.meter.sample(now);
    if (this.quality.canLower && this.meter.isTooSlow()) {
      this.lower(this.meter.mediaRate() ?? 0);
      this.onChange(true);
    } else if (this.quality.isLowered && now - this.evaluatedAt > EVALUATE_EVERY_MS) {
      const rate = this.meter.rate();
      if (rate !== null) {
        this.evaluate(rate);
      }
    }
    return hasArrived;
  }

  /**
   * Selects a lower level, because a transport that measures the connection itself has found it too slow. `needed` is
   * the bit rate of the present level.
   */
  tooSlow(needed: number): void {
    if (this.quality.canLower) {
      this.lower(needed);
      this.onChange(true);
    }
  }

  /**
   * Records that a transport, which cannot measure more than the bit rate of the present level, gets all of its media in
   * time. After a pause, the better level is tried.
   */
  steady(now: number): void {
    if (this.quality.isLowered && now - this.evaluatedAt > EVALUATE_EVERY_MS) {
      this.evaluate(Number.POSITIVE_INFINITY);
    }
  }

  /** Selects a better level if the connection has been fast enough for long enough. `rate` is in bits per second. */
  evaluate(rate: number): void {
    this.evaluatedAt = performance.now();
    if (this.quality.measured(this.evaluatedAt, rate)) {
      this.applyLevel();
      this.isRaised = true;
      this.onChange(false);
    }
  }

  private lower(needed: number): void {
    this.needed = needed;
    this.quality.lower(performance.now(), needed);
    this.applyLevel();
  }

  private applyLevel(): void {
    const { level, isLowered } = this.quality;
    // Single pictures come from the stream that was used before.
    this.profile.value = level === "pictures" ? this.profile.value : level;
    this.isSlow.value = isLowered;
    this.hasPlayed = false;
    this.isRaised = false;
  }
}
