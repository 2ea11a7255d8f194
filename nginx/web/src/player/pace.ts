// Keeps live video at its target latency.
import type Hls from "hls.js/dist/hls.light.min.mjs";

/** If the video is more than this many seconds behind the target, it is played slightly faster. */
const LATE = 0.05;
/**
 * If the video is more than this many seconds behind the target, it jumps to the target if the
 * target is buffered.
 */
const LOST = 4;
/**
 * If the video is more than this many seconds behind the target, as after a long outage, it jumps to the
 * target even if the target is not buffered.
 */
const FAR_LOST = 15;
/**
 * Playing faster requires more than this many seconds of buffered video, so that the video does not stall.
 */
const SPARE = 0.15;
/**
 * Seconds by which low-latency video with audio stays further behind than video without audio. Browsers stop both
 * video and audio when the audio runs out, and continue only when much audio is buffered.
 */
const AUDIO_MARGIN = 0.15;
/**
 * If a video without low latency is more than this many seconds ahead of the target, it is played slower.
 * Such a video is ahead when the stream has just started and is shorter than the target latency.
 */
const EARLY = 1;
/** If the position has not changed for this time, the video has stalled. */
const STALLED_MS = 350;
/** After a stall, the video is not played faster for this time, because the cause may recur. */
const CALM_MS = 10_000;

/** Adjusts the speed and the position of a video that hls.js plays. */
export class Pace {
  /** Whether the video has audio. */
  hasAudio = false;
  private calmUntil = 0;
  private position = 0;
  private movedAt = Number.POSITIVE_INFINITY;

  constructor(
    private readonly video: HTMLVideoElement,
    private readonly hls: Hls,
    private readonly isLowLatency: boolean,
  ) {}

  /** Seconds by which the video stays further behind than the target of hls.js. */
  private get margin(): number {
    return this.isLowLatency && this.hasAudio ? AUDIO_MARGIN : 0;
  }

  /**
   * Adjusts the speed or the position. Returns the latency in seconds, or null if the video is paused or the
   * target is not known. hls.js itself would play faster only with more than a second of buffered video,
   * which a player with low latency never has. Call this several times a second.
   */
  keep(): number | null {
    const { video } = this;
    const { liveSyncPosition, latency } = this.hls;
    if (video.paused || !liveSyncPosition) {
      return null;
    }
    const isCalm = this.isCalm(performance.now());
    const late = latency - (this.hls.targetLatency ?? 0) - this.margin;
    const { buffered, currentTime } = video;
    const end = buffered.length ? buffered.end(buffered.length - 1) : currentTime;
    const isLost = late > FAR_LOST || (late > LOST && end > liveSyncPosition);
    // Jumps only forwards. While the camera is unreachable, the target is before the current position, so
    // that a jump would repeat the end of the video.
    if (isLost && liveSyncPosition > currentTime) {
      video.currentTime = liveSyncPosition - this.margin;
    }
    video.playbackRate = this.rate(late, end - currentTime, isCalm);
    return Math.round(latency * 10) / 10;
  }

  /** Returns whether the video has stalled within the last CALM_MS. Video that has not begun cannot stall. */
  private isCalm(now: number): boolean {
    const { currentTime, seeking } = this.video;
    if (currentTime !== this.position || seeking) {
      this.movedAt = this.position > 0 ? now : this.movedAt;
      this.position = currentTime;
    } else if (now - this.movedAt > STALLED_MS) {
      this.calmUntil = now + CALM_MS;
    }
    return now < this.calmUntil;
  }

  private rate(late: number, spare: number, isCalm: boolean): number {
    if (late > LATE && spare > SPARE + this.margin && !isCalm) {
      return 1.1;
    }
    return late < -EARLY && !this.isLowLatency ? 0.8 : 1;
  }
}
