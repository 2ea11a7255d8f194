// Measures the media that arrives over a socket: its rate, and whether the connection is too slow for it.

/** The greatest age at which an arrival still counts. */
const WINDOW_MS = 6000;
/** Fewer milliseconds of observation say nothing about the connection. */
const MIN_MS = 2500;
/** The connection is too slow if more than this share of the frames was left out by the service. */
const MAX_LOST = 0.1;
/** The connection is also too slow if frames arrive this much later, in milliseconds, than the fastest ones did. */
const MAX_LATE_MS = 1500;

interface Arrival {
  at: number;
  bytes: number;
  /** Frames that the service has left out. */
  lost: number;
}

export class ArrivalMeter {
  private arrivals: Arrival[] = [];
  private beganAt: number | null = null;
  /** The smallest difference between the time of an arrival and the time at which the camera took the frame. */
  private fastest = Number.POSITIVE_INFINITY;
  private lateness = 0;

  /** Records a frame, and the Unix time in milliseconds at which the camera took it. */
  received(now: number, bytes: number, takenAt: number): void {
    this.add({ at: now, bytes, lost: 0 });
    const delay = Date.now() - takenAt;
    this.fastest = Math.min(this.fastest, delay);
    this.lateness = delay - this.fastest;
  }

  /** Records frames that the service has left out, because the connection is slow. */
  lost(now: number, frames: number): void {
    this.add({ at: now, bytes: 0, lost: frames });
  }

  private add(arrival: Arrival): void {
    this.beganAt ??= arrival.at;
    this.arrivals.push(arrival);
    const begin = arrival.at - WINDOW_MS;
    if ((this.arrivals[0]?.at ?? begin) < begin - WINDOW_MS) {
      this.arrivals = this.arrivals.filter(({ at }) => at >= begin);
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
    const recent = this.recent(now);
    const gaps = recent.filter((arrival) => arrival.lost > 0);
    const lost = gaps.reduce((sum, gap) => sum + gap.lost, 0);
    const isSkipped = gaps.length > 1 && lost > MAX_LOST * (lost + recent.length - gaps.length);
    return isSkipped || this.lateness > MAX_LATE_MS;
  }

  /** Returns whether the connection has been fast enough for a whole window. */
  isSteady(now: number): boolean {
    const isLong = this.beganAt !== null && now - this.beganAt >= WINDOW_MS;
    return (
      isLong && this.lateness < MAX_LATE_MS / 3 && this.recent(now).every(({ lost }) => lost === 0)
    );
  }

  private recent(now: number): Arrival[] {
    return this.arrivals.filter(({ at }) => now - at < WINDOW_MS);
  }
}
