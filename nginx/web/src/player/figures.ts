// The figures of a player as signals, which the tile displays.
import { signal } from "@preact/signals-core";

import type { Figures } from "./transport";

/** The interval between two frames that is assumed until it is known, so that the second frame may be late. */
const UNKNOWN_INTERVAL_MS = 400;

export class FigureSignals {
  /** Age of the picture in seconds; null while it is unknown, for example because no video plays. */
  readonly latency = signal<number | null>(null);
  /** Rate of the arriving media in bits per second; null while it is unknown. */
  readonly rate = signal<number | null>(null);
  /** The largest number of pictures per second; null if the service does not limit it. */
  readonly picturesPerSecond = signal<number | null>(null);
  /** Whether the sound is on, but the transport cannot play the sound of the stream. */
  readonly isSoundless = signal(false);

  /**
   * Displays the figures of a transport. Returns the milliseconds between two frames, or what is assumed until they are
   * known; 0 if the position moves between two frames.
   */
  update({ age, rate, picturesPerSecond = null, interval, isSoundless = false }: Figures): number {
    this.picturesPerSecond.value = picturesPerSecond;
    this.isSoundless.value = isSoundless;
    this.latency.value = age === null ? null : Math.round(age * 100) / 100;
    this.rate.value = rate;
    return interval === 0 ? UNKNOWN_INTERVAL_MS : (interval ?? 0);
  }

  clear(): void {
    this.latency.value = null;
    this.rate.value = null;
  }
}
