// Keeps live video at its target latency.
import type Hls from "hls.js/dist/hls.light.min.mjs";

/** If the video is more than this many seconds behind the target, it is played slightly faster. */
const LATE = 0.1;
/**
 * If the video is more than this many seconds behind the target, it jumps to the target if that is
 * buffered.
 */
const LOST = 4;
/**
 * If the video is more than this many seconds behind the target, as after a long outage, it jumps to the
 * target even if that is not buffered.
 */
const FAR_LOST = 15;
/**
 * Playing faster requires more than this many seconds of buffered video, so that the video does not stall.
 */
const SPARE = 0.15;
/**
 * If a video without low latency is more than this many seconds ahead of the target, it is played slower.
 * Such a video is ahead when the stream has just started and is shorter than the target latency.
 */
const EARLY = 1;

/**
 * Adjusts the speed or the position of the video. Returns the latency in seconds, or null if the video is
 * paused or the target is not known. hls.js itself would play faster only with more than a second of buffered
 * video, which a player with low latency never has.
 */
export function keepPace(video: HTMLVideoElement, hls: Hls, isLowLatency: boolean): number | null {
  const { liveSyncPosition, latency } = hls;
  if (video.paused || !liveSyncPosition) {
    return null;
  }
  const late = latency - (hls.targetLatency ?? 0);
  const { buffered, currentTime } = video;
  const end = buffered.length ? buffered.end(buffered.length - 1) : currentTime;
  const isLost = late > FAR_LOST || (late > LOST && end > liveSyncPosition);
  // Jumps only forwards. While the camera is unreachable, the target is before the current position, so that
  // a jump would repeat the end of the video.
  if (isLost && liveSyncPosition > currentTime) {
    video.currentTime = liveSyncPosition;
  }
  video.playbackRate = rate(late, end - currentTime, isLowLatency);
  return Math.round(latency * 10) / 10;
}

function rate(late: number, spare: number, isLowLatency: boolean): number {
  if (late > LATE && spare > SPARE) {
    return 1.1;
  }
  return late < -EARLY && !isLowLatency ? 0.8 : 1;
}
