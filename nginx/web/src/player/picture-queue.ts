// A jitter buffer: pictures wait until their time, so that they are shown evenly although they arrive unevenly.

export interface Smoothness {
  /** The delays of this many pictures determine the depth. */
  remembered: number;
  /** This share of the pictures should arrive in time. */
  inTime: number;
  /** A picture waits for at most this many milliseconds. */
  maxDepth: number;
  /** If pictures would wait for fewer milliseconds, they do not wait at all. */
  minDepth: number;
}

/** For pictures that arrive a few times per second. */
const FEW: Smoothness = { remembered: 50, inTime: 0.95, maxDepth: 400, minDepth: 0 };
/** Pictures that wait continue to wait down to this share of the smallest depth. */
const LEAST = 0.6;
/** If a picture is this many milliseconds older than the visible one, the clock of the service was set back. */
const SET_BACK_MS = 3000;
/** At most this many pictures wait. */
const MAX_WAITING = 30;

interface Waiting<Picture> {
  picture: Picture;
  takenAt: number;
}

export class PictureQueue<Picture> {
  private waiting: Waiting<Picture>[] = [];
  /** How long the latest pictures were on their way, in milliseconds, by clocks that may differ. */
  private delays: number[] = [];
  private fastest = 0;
  private shownAt = Number.NEGATIVE_INFINITY;
  /** Milliseconds that the fastest picture waits, so that most others arrive in time. */
  private depth = 0;

  /** `drop` releases a picture that is not shown. */
  constructor(
    private readonly drop: (picture: Picture) => void,
    private readonly smoothness = FEW,
  ) {}

  private measure(): void {
    const { remembered, inTime, maxDepth, minDepth } = this.smoothness;
    this.delays = this.delays.slice(-remembered);
    const sorted = [...this.delays].sort((a, b) => a - b);
    this.fastest = sorted[0] ?? 0;
    const slow = sorted[Math.floor(sorted.length * inTime)] ?? sorted.at(-1) ?? 0;
    const depth = Math.min(maxDepth, slow - this.fastest);
    const least = this.depth > 0 ? minDepth * LEAST : minDepth;
    this.depth = depth < least ? 0 : depth;
  }

  /** Adds a picture that has arrived now, and that was taken at a Unix time in milliseconds. */
  add(picture: Picture, takenAt: number, now: number): void {
    if (takenAt < this.shownAt - SET_BACK_MS) {
      this.restart();
    }
    this.delays.push(now - takenAt);
    this.measure();
    if (takenAt <= this.shownAt) {
      this.drop(picture); // A later picture is visible.
      return;
    }
    this.waiting.push({ picture, takenAt });
    this.waiting.sort((a, b) => a.takenAt - b.takenAt);
    if (this.waiting.length > MAX_WAITING) {
      this.waiting
        .splice(0, this.waiting.length - MAX_WAITING)
        .forEach((old) => this.drop(old.picture));
    }
  }

  /** Returns the newest picture whose time has come, and drops older ones; null if no picture is due. */
  take(now: number): Waiting<Picture> | null {
    const index = this.waiting.findLastIndex((one) => this.dueAt(one) <= now);
    const due = this.waiting.splice(0, index + 1);
    const newest = due.pop() ?? null;
    due.forEach((old) => this.drop(old.picture));
    if (newest) {
      this.shownAt = newest.takenAt;
    }
    return newest;
  }

  /** Returns the milliseconds until the next picture is due; null if none waits. */
  next(now: number): number | null {
    const first = this.waiting[0];
    return first ? Math.max(0, this.dueAt(first) - now) : null;
  }

  private dueAt({ takenAt }: Waiting<Picture>): number {
    return takenAt + this.fastest + this.depth;
  }

  /** Drops all pictures, and forgets what is known about their times. */
  restart(): void {
    this.clear();
    this.delays = [];
    this.shownAt = Number.NEGATIVE_INFINITY;
  }

  clear(): void {
    this.waiting.splice(0).forEach((old) => this.drop(old.picture));
  }
}
