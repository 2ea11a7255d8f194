// Measures whether the viewer's connection is fast enough for the video.
//
// Only the time in which media is being transferred counts. A request for a part waits at the server until the
// part exists, and the length of that wait does not depend on the connection.

/**
 * A transfer of media, as the loader of hls.js reports it. Times are values of `performance.now()`. The time of an
 * event that has not happened yet is 0.
 */
export interface Transfer {
  readonly loaded: number;
  readonly total: number;
  readonly aborted: boolean;
  readonly loading: { readonly first: number; readonly end: number };
}

/** The greatest age at which a measurement still counts. */
const WINDOW_MS = 5000;
/** A connection is too slow only if it was in use for more than this fraction of the time. */
const BUSY = 0.85;
/** A connection is too slow if less than this many seconds of media arrive per second. */
const TOO_SLOW = 0.9;
/** Fewer bytes than this are not enough to measure a rate. */
const MIN_BYTES = 4000;

interface Tracked {
  transfer: Transfer;
  /** Duration of the media in seconds. */
  duration: number;
  /** Bytes that have been counted. */
  counted: number;
}

/** The transfers between two calls of `LineMeter.sample`. */
interface Sample {
  at: number;
  /** Milliseconds between the two calls. */
  elapsed: number;
  /** Milliseconds in which a transfer was in progress, at most `elapsed`. */
  busy: number;
  bytes: number;
  /** Seconds of media. */
  media: number;
}

export class LineMeter {
  private tracked: Tracked[] = [];
  private samples: Sample[] = [];
  private sampledAt: number | null = null;

  /** Starts to measure a transfer of media. `duration` is the duration of the media in seconds. */
  add(transfer: Transfer, duration: number): void {
    this.tracked.push({ transfer, duration, counted: 0 });
  }

  /** Stops measuring a transfer that has failed. */
  remove(transfer: Transfer): void {
    this.tracked = this.tracked.filter((tracked) => tracked.transfer !== transfer);
  }

  /** Forgets all transfers and samples. */
  reset(): void {
    this.tracked = [];
    this.samples = [];
    this.sampledAt = null;
  }

  /**
   * Counts the media that has been transferred since the last sample. Returns whether media has arrived. Call this
   * several times a second.
   */
  sample(now: number): boolean {
    const since = this.sampledAt ?? now;
    this.sampledAt = now;
    const sample = { at: now, elapsed: now - since, busy: 0, bytes: 0, media: 0 };
    for (const tracked of this.tracked) {
      const { transfer, duration } = tracked;
      const { first, end } = transfer.loading;
      if (first > 0) {
        sample.busy += Math.max(0, (end || now) - Math.max(first, since));
      }
      const bytes = transfer.loaded - tracked.counted;
      tracked.counted = transfer.loaded;
      sample.bytes += bytes;
      sample.media += bytes > 0 && transfer.total > 0 ? (duration * bytes) / transfer.total : 0;
    }
    sample.busy = Math.min(sample.busy, sample.elapsed);
    this.tracked = this.tracked.filter(
      ({ transfer }) => transfer.loading.end === 0 && !transfer.aborted,
    );
    this.samples.push(sample);
    this.samples = this.samples.filter(({ at }) => now - at < WINDOW_MS);
    return sample.bytes > 0;
  }

  /** Returns whether media arrives more slowly than it is played, because of the connection. */
  isTooSlow(): boolean {
    const elapsed = this.sum("elapsed");
    return (
      elapsed > WINDOW_MS * 0.9 &&
      // A server that has stopped sending is not a slow connection.
      this.sum("bytes") > MIN_BYTES &&
      this.sum("busy") > elapsed * BUSY &&
      this.sum("media") * 1000 < elapsed * TOO_SLOW
    );
  }

  /** Returns the rate of the connection in bits per second; null if too little was transferred. */
  rate(): number | null {
    const bytes = this.sum("bytes");
    return bytes < MIN_BYTES ? null : (bytes * 8) / (Math.max(1, this.sum("busy")) / 1000);
  }

  /** Returns the bit rate of the media in bits per second; null if too little was transferred. */
  mediaRate(): number | null {
    const bytes = this.sum("bytes");
    const media = this.sum("media");
    return bytes < MIN_BYTES || media === 0 ? null : (bytes * 8) / media;
  }

  private sum(field: keyof Sample): number {
    return this.samples.reduce((sum, sample) => sum + sample[field], 0);
  }
}
