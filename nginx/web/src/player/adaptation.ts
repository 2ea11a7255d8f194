// Adapts what a player shows to the viewer's connection: the requested stream, the sub stream, or pictures.
import { signal } from "@preact/signals";

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
  private quality = new Quality(["main"]);
  private evaluatedAt = 0;

  /** `onChange` is called when another level has been selected. */
  constructor(private readonly onChange: () => void) {}

  get level(): Level {
    return this.quality.level;
  }

  /** Selects the best level for a request. */
  begin(profile: Profile, hasSub: boolean): void {
    const isReplaceable = profile === "main" && hasSub;
    this.quality = new Quality(isReplaceable ? ["main", "sub", "pictures"] : [profile, "pictures"]);
    this.applyLevel();
  }

  /** Measures the connection. Returns whether media has arrived. Call this several times a second. */
  measure(now: number): boolean {
    const hasArrived = this.meter.sample(now);
    if (this.quality.canLower && this.meter.isTooSlow()) {
      this.quality.lower(now, this.meter.mediaRate() ?? 0);
      this.applyLevel();
      this.onChange();
    } else if (this.quality.isLowered && now - this.evaluatedAt > EVALUATE_EVERY_MS) {
      const rate = this.meter.rate();
      if (rate !== null) {
        this.evaluate(rate);
      }
    }
    return hasArrived;
  }

  /** Selects a better level if the connection has been fast enough for long enough. */
  evaluate(rate: number): void {
    this.evaluatedAt = performance.now();
    if (this.quality.measured(this.evaluatedAt, rate)) {
      this.applyLevel();
      this.onChange();
    }
  }

  private applyLevel(): void {
    const { level, isLowered } = this.quality;
    // The pictures are those of the stream that was used before.
    this.profile.value = level === "pictures" ? this.profile.value : level;
    this.isSlow.value = isLowered;
  }
}
