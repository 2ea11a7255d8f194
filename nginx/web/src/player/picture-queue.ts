// A jitter buffer: pictures wait until their time, so that they are shown evenly although they arrive unevenly.

/** The pause of a picture is at most this many milliseconds. */
const MAX_DEPTH_MS = 400;
/** The delays of this many pictures determine the depth. */
const REMEMBERED = 50;
/** This share of the pictures should arrive in time. */
const IN_TIME = 0.95;
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
  private shownAt = Number.NEGATIVE_INFINITY;

  /** `drop` releases a picture that is not shown. */
  constructor(private readonly drop: (picture: Picture) => void) {}

  /** Milliseconds that the fastest picture waits, so that most others arrive in time. */
  get depth(): number {
    const sorted = [...this.delays].sort((a, b) => a - b);
    const fastest = sorted[0] ?? 0;
    const slow = sorted[Math.floor(sorted.length * IN_TIME)] ?? sorted.at(-1) ?? 0;
    return Math.min(MAX_DEPTH_MS, slow - fastest);
  }

  /** Adds a picture that has arrived now, and that was taken at a Unix time in milliseconds. */
  add(picture: Picture, takenAt: number, now: number): void {
    if (takenAt < this.shownAt - SET_BACK_MS) {
      this.clear();
      this.delays = [];
      this.shownAt = Number.NEGATIVE_INFINITY;
    }
    this.delays.push(now - takenAt);
    this.delays = this.delays.slice(-REMEMBERED);
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
    const delay = Math.min(...this.delays) + this.depth;
    const index = this.waiting.findLastIndex(({ takenAt }) => takenAt + delay <= now);
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
    return first ? Math.max(0, first.takenAt + Math.min(...this.delays) + this.depth - now) : null;
  }

  clear(): void {
    this.waiting.splice(0).forEach((old) => this.drop(old.picture));
  }
}
