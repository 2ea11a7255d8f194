// Chooses what a player shows on a connection that may be too slow for the video: the video that the tile
// requests, the camera's sub stream, or single pictures.
import type { Profile } from "../api/types";

export type Level = Profile | "pictures";

/**
 * The first and the longest pause before a better level is tried. The pause doubles if the attempt fails. The actual
 * pause is up to a quarter shorter or longer.
 */
const FIRST_PAUSE_MS = 20_000;
const LONGEST_PAUSE_MS = 300_000;
/** If a better level lasts this long, the attempt has succeeded. */
const SUCCESS_MS = 60_000;
/** A connection is fast enough if its rate is this multiple of the video's bit rate. */
const ENOUGH = 1.3;
/**
 * Small transfers do not reach the full rate of a connection. So after MANY_PAUSES times the pause, this multiple
 * of the bit rate is enough.
 */
const PERHAPS_ENOUGH = 0.4;
const MANY_PAUSES = 4;
/** This many measurements in a row must show that the connection is fast enough. */
const MEASUREMENTS = 2;

/** An attempt to play a level for which the connection was too slow. */
interface Attempt {
  /** The bit rate of the level's video, in bits per second. */
  needed: number;
  /** The time at which the player left the level. */
  at: number;
  /** Milliseconds before the level is tried again. */
  pause: number;
}

export class Quality {
  private index = 0;
  private raisedAt = Number.NEGATIVE_INFINITY;
  private pause = 0;
  /** The number of measurements in a row in which the connection was fast enough. */
  private good = 0;
  /** The last attempt with each level that is better than the present level. */
  private readonly failed: Attempt[] = [];

  /** `levels` are the possible levels, from the best to the one that needs the least data. */
  constructor(
    private readonly levels: [Level, ...Level[]],
    private readonly random: () => number = Math.random,
  ) {}

  get level(): Level {
    return this.levels[this.index] ?? this.levels[0];
  }

  get isLowered(): boolean {
    return this.index > 0;
  }

  get canLower(): boolean {
    return this.index + 1 < this.levels.length;
  }

  /** Selects the next lower level. `needed` is the bit rate for which the connection is too slow. */
  lower(now: number, needed: number): void {
    if (!this.canLower) {
      return;
    }
    const isRepeated = now - this.raisedAt < SUCCESS_MS;
    const pause = isRepeated ? Math.min(this.pause * 2, LONGEST_PAUSE_MS) : FIRST_PAUSE_MS;
    this.pause = pause;
    // Tiles of one wall share the connection, so they must not all return to a better level at the same time.
    this.failed.push({ needed, at: now, pause: pause * (0.75 + this.random() / 2) });
    this.index += 1;
    this.good = 0;
  }

  /** Evaluates a measured rate of the connection, in bits per second. Returns whether the level has been raised. */
  measured(now: number, rate: number): boolean {
    const last = this.failed.at(-1);
    if (!last) {
      return false;
    }
    const waited = now - last.at;
    const required = waited > MANY_PAUSES * last.pause ? PERHAPS_ENOUGH : ENOUGH;
    this.good = rate >= required * last.needed ? this.good + 1 : 0;
    if (this.good < MEASUREMENTS || waited < last.pause) {
      return false;
    }
    this.failed.pop();
    this.index -= 1;
    this.raisedAt = now;
    this.good = 0;
    return true;
  }
}
