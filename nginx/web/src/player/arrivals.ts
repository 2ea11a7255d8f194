// Measures the media that arrives over a socket: its rate, and whether the connection is too slow for it.
import { SlidingMinimum, steadyClock } from "./sync";

/** The greatest age at which an arrival still counts. */
const WINDOW_MS = 6000;
/** Fewer milliseconds of observation say nothing about the connection. */
const MIN_MS = 2500;
/** The connection is too slow if more than this share of the frames was left out by the service. */
const MAX_LOST = 0.1;
/**
 * The connection is also too slow if all frames of LATE_FOR_MS arrive this much later, in milliseconds, than the fastest
 * ones of the last minute did.
 */
const MAX_LATE_MS = 1500;
const LATE_FOR_MS = 1000;
/**
 * The service leaves out frames of a slow client only when a frame has waited for more than a second. If no frame
 * before a gap was at least this late, in milliseconds, the stream itself has the gap.
 */
const WAITED_MS = 500;
/** The interval between two frames is the median of this many. */
const INTERVALS = 9;

interface Arrival {
  at: number;
  bytes: number;
  isVideo: boolean;
  /** Milliseconds by which the frame was slower than the fastest one. */
  late: number;
}

/** Frames that the service has left out at once. */
interface Skip {
  at: number;
  frames: number;
}

export class ArrivalMeter {
  private arrivals: Arrival[] = [];
  private skips: Skip[] = [];
  private beganAt: number | null = null;
  /** The smallest difference between the time of an arrival and the time at which the camera took the frame. */
  private readonly fastest = new SlidingMinimum();
  private readonly unixTime = steadyClock();
  /** Whether no frame of video has arrived since the last message about frames that were left out. */
  private isSkipping = false;
  /** The times at which the camera took the last frames of video. */
  private taken: number[] = [];

  /** Milliseconds between two frames of video; 0 while it is unknown. */
  get interval(): number {
    const times = this.taken;
    const intervals = times.slice(1).map((time, index) => time - (times[index] ?? time));
    return intervals.sort((a, b) => a - b)[Math.floor(intervals.length / 2)] ?? 0;
  }

  /** Records a frame, and the Unix time in milliseconds at which the camera took it. */
  received(now: number, bytes: number, takenAt: number, isVideo = true): void {
    const delay = this.unixTime() - takenAt;
    const late = delay - this.fastest.add(now, delay);
    this.beganAt ??= now;
    this.arrivals.push({ at: now, bytes, isVideo, late });
    const begin = now - WINDOW_MS;
    if ((this.arrivals[0]?.at ?? begin) < begin - WINDOW_MS) {
      this.arrivals = this.arrivals.filter(({ at }) => at >= begin);
    }
    if (isVideo) {
      this.isSkipping = false;
      // Frames can arrive in another order than they were taken.
      this.taken = [...this.taken, takenAt].sort((a, b) => a - b).slice(-INTERVALS - 1);
    }
  }

  /**
   * Records frames that the service has left out. The service reports a skip when it begins, and again before the next
   * frame. A gap of the stream itself is reported too, but is no sign of a slow connection.
   */
  lost(now: number, frames: number): void {
    this.beganAt ??= now;
    const last = this.skips.at(-1);
    if (this.isSkipping && last) {
      last.frames += frames;
      last.at = now;
      return;
    }
    if (this.recent(now).some(({ late }) => late > WAITED_MS)) {
      this.isSkipping = true;
      this.skips = [...this.recentSkips(now), { at: now, frames }];
    }
  }

  /** Returns the rate in bits per second; null if too little has arrived. */
  rate(now: number): number | null {
    const recent = this.recent(now);
    const first = recent[0];
    const elapsed = first ? now - first.at : 0;
    return elapsed < 1000
      ? null
      : recent.reduce((sum, { bytes }) => sum + bytes, 0) * (8000 / elapsed);
  }

  /** Returns whether the connection is too slow for the stream. */
  isTooSlow(now: number): boolean {
    if (this.beganAt === null || now - this.beganAt < MIN_MS) {
      return false;
    }
    const skips = this.recentSkips(now);
    const lost = skips.reduce((sum, { frames }) => sum + frames, 0);
    const received = this.recent(now).filter(({ isVideo }) => isVideo).length;
    const isSkipped = skips.length > 1 && lost > MAX_LOST * (lost + received);
    return isSkipped || this.isLate(now);
  }

  /** Returns whether the connection has been fast enough for a whole window. */
  isSteady(now: number): boolean {
    const isLong = this.beganAt !== null && now - this.beganAt >= WINDOW_MS;
    const recent = this.recent(now);
    const last = recent.at(-1);
    return (
      isLong &&
      last !== undefined &&
      last.late < MAX_LATE_MS / 3 &&
      this.recentSkips(now).length === 0
    );
  }

  /** Returns whether the frames of the last LATE_FOR_MS were late. A single frame, or a single burst, says nothing. */
  private isLate(now: number): boolean {
    const begin = now - LATE_FOR_MS;
    const late = this.arrivals.filter(({ at }) => at > begin);
    const before = this.arrivals.findLast(({ at }) => at <= begin);
    const first = before ?? late[0];
    return (
      first !== undefined &&
      late.length > 0 &&
      [first, ...late].every((arrival) => arrival.late > MAX_LATE_MS)
    );
  }

  private recent(now: number): Arrival[] {
    return this.arrivals.filter(({ at }) => now - at < WINDOW_MS);
  }

  private recentSkips(now: number): Skip[] {
    return this.skips.filter(({ at }) => now - at < WINDOW_MS);
  }
}
