// Keeps live video near the end of its buffer, by playing slightly faster or slower.

/** The lowest amount of buffered video within this time counts. It shows how unevenly frames arrive. */
const WINDOW_MS = 5000;
const SLOWEST = 0.95;
/** A picture without sound can play faster than sound, without being noticed. */
const FASTEST = 1.2;
const FASTEST_AUDIO = 1.1;
/** The change of the speed for each second of video too much or too little. */
const GAIN = 0.6;
/** A smaller difference from the target, in seconds, does not change the speed. */
const TOLERANCE = 0.01;
/** If this many seconds of video are buffered too much, the video jumps. */
const JUMP = 1;
/** Each stall raises the target by this many seconds, up to MAX_RAISE, until STALL_COUNTS_MS have passed. */
const RAISE = 0.03;
const MAX_RAISE = 0.24;
const STALL_COUNTS_MS = 60_000;
/** Stalls within this time after the beginning or a jump do not count, because browsers then stop for other reasons. */
const SETTLE_MS = 1500;

interface Low {
  at: number;
  /** Seconds of buffered video, plus the seconds that were gained by then. */
  ahead: number;
}

export class BufferPace {
  private lows: Low[] = [];
  private stalls: number[] = [];
  /** Seconds that the video has gained by a speed other than 1. */
  private gained = 0;
  private rate = 1;
  private at: number | null = null;
  private resetAt = Number.NEGATIVE_INFINITY;

  /** `target` is the wanted lowest amount of buffered video, in seconds. */
  constructor(
    private readonly target: number,
    private readonly hasAudio = false,
  ) {}

  /** Records how many seconds are buffered when a frame arrives, before the frame is added. */
  note(now: number, ahead: number): void {
    this.advance(now);
    this.lows.push({ at: now, ahead: ahead + this.gained });
    this.lows = this.lows.filter(({ at }) => now - at < WINDOW_MS);
  }

  /** Records that the video has stopped, because nothing was buffered. */
  stalled(now: number): void {
    if (now - this.resetAt > SETTLE_MS) {
      this.stalls.push(now);
    }
  }

  /** Forgets the past, after the video has begun or has jumped. */
  reset(now: number): void {
    this.lows = [];
    this.rate = 1;
    this.resetAt = now;
  }

  /** Returns the wanted lowest amount of buffered video, in seconds. */
  wanted(now: number): number {
    this.stalls = this.stalls.filter((at) => now - at < STALL_COUNTS_MS);
    return this.target + Math.min(MAX_RAISE, this.stalls.length * RAISE);
  }

  /** Returns the speed at which the video must play; null if it must jump to the end of the buffer. */
  speed(now: number): number | null {
    this.advance(now);
    if (this.lows.length === 0) {
      return this.rate;
    }
    const lowest = Math.min(...this.lows.map(({ ahead }) => ahead)) - this.gained;
    const excess = lowest - this.wanted(now);
    if (excess > JUMP) {
      return null;
    }
    const change = Math.abs(excess) < TOLERANCE ? 0 : excess * GAIN;
    const fastest = this.hasAudio ? FASTEST_AUDIO : FASTEST;
    this.rate = Math.round(Math.min(fastest, Math.max(SLOWEST, 1 + change)) * 100) / 100;
    return this.rate;
  }

  private advance(now: number): void {
    this.gained += ((this.rate - 1) * (now - (this.at ?? now))) / 1000;
    this.at = now;
  }
}
