// The positions of video frames in a media buffer. Closes holes and jumps of their times, at which the video would stop.

/** Shorter holes than this many seconds, and than HOLE_FRAMES frames, remain: browsers play over them. */
const HOLE = 0.12;
const HOLE_FRAMES = 2.5;

export class Timeline {
  /** Seconds that are added to the times of frames. */
  offset = 0;
  /** The end of the video, in seconds; null before the first frame. */
  end: number | null = null;
  /** Duration of the newest frame in seconds; 0 while it is unknown. */
  interval = 0;

  /**
   * Adds a frame with these times in seconds. Returns whether the offset has changed, and so must be applied to the
   * buffer before the frame.
   */
  add(decodeTime: number, duration: number): boolean {
    const begin = decodeTime + this.offset;
    const end = this.end ?? begin;
    const isHole = Math.abs(begin - end) > Math.max(HOLE, HOLE_FRAMES * this.interval);
    if (isHole) {
      this.offset = end - decodeTime;
    }
    this.interval = duration;
    this.end = decodeTime + this.offset + duration;
    return isHole;
  }
}
