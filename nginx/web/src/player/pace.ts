// Keeps a live picture at its target latency.
import type Hls from "hls.js/dist/hls.light.min.mjs";

/** Seconds behind the target from which the picture is played slightly faster. */
const LATE = 0.1;
/** Seconds behind the target from which the picture jumps ahead to buffered video. */
const LOST = 4;
/** Seconds behind the target from which it jumps in any case, as after sleep or a long outage. */
const FAR_LOST = 15;
/**
 * Seconds of buffered video that playing faster requires, so that it does not end in a stall.
 */
const SPARE = 0.15;
/**
 * Seconds behind the target below which the picture is played slower; negative, since it is ahead. A
 * stream that has just started does not have enough video yet for a player that wants whole segments.
 */
const EARLY = -1;

/**
 * Adjusts the speed or position of the video, and returns its latency in seconds; null if it is not
 * playing. hls.js alone catches up only with more than a second of buffered video, which a low-latency
 * stream never has.
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
  // Only ahead: while the camera is away, the position to jump to is behind, and the end of the video
  // would be played again and again.
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
  return late < EARLY && !isLowLatency ? 0.8 : 1;
}
