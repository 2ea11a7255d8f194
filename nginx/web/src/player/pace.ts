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
 * If the video is more than this many seconds behind the target, as after a long outage, it always jumps.
 */
const FAR_LOST = 15;
/**
 * Playing faster requires more than this many seconds of buffered video, so that the video does not stall.
 */
const SPARE = 0.15;
/**
 * If the video is more than this many seconds ahead of the target, it is played slower. That happens when a
 * stream has just started and does not have enough video yet for a player that loads whole segments.
 */
const EARLY = 1;

/**
 * Adjusts the speed or the position of the video. Returns the latency in seconds, or null if the video does
 * not play. hls.js itself would play faster only with more than a second of buffered video, which a player
 * with low latency never has.
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
  // Only forwards: while the camera is unreachable, the target is before the current position, and the end
  // of the video would be repeated.
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
