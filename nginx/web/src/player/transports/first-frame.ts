// Finds out when a video element shows its first frame, and when it shows a frame of WebRTC that is not old.

/**
 * The RTP times of the kept frames with which a WebRTC session begins differ by less than this, in units of 1/90000 s;
 * those of the frames that follow differ by more.
 */
const NEXT_FRAME = 900;
/** If no further frame is shown for this time, the last one is the newest. */
const NEWEST_MS = 50;

/**
 * Calls `onFrame` when the element shows the first frame of its new source, with what the browser knows about the frame;
 * null if it knows nothing.
 */
export function onFirstFrame(
  video: HTMLVideoElement,
  signal: AbortSignal,
  onFrame: (metadata: VideoFrameCallbackMetadata | null) => void,
): void {
  let isDone = false;
  const done = (metadata: VideoFrameCallbackMetadata | null = null) => {
    if (!isDone && !signal.aborted) {
      isDone = true;
      onFrame(metadata);
    }
  };
  if ("requestVideoFrameCallback" in video) {
    const request = video.requestVideoFrameCallback((_, metadata) => done(metadata));
    signal.addEventListener("abort", () => video.cancelVideoFrameCallback(request));
  }
  // Browsers do not call back for frames of a page that is not visible.
  video.addEventListener("timeupdate", () => document.hidden && video.currentTime > 0 && done(), {
    signal,
  });
  if (!("requestVideoFrameCallback" in video)) {
    (video as HTMLVideoElement).addEventListener("playing", () => done(), { signal });
  }
}

/**
 * Calls `onFrame` when the element shows a frame of WebRTC that is not one of the kept frames at the beginning, which
 * browsers show in fast motion; at the latest `patience` milliseconds after the first frame.
 */
export function onFreshFrame(
  video: HTMLVideoElement,
  ended: AbortSignal,
  patience: number,
  onFrame: () => void,
): void {
  const found = new AbortController();
  const signal = AbortSignal.any([ended, found.signal]);
  const timers: { newest?: ReturnType<typeof setTimeout>; limit?: ReturnType<typeof setTimeout> } =
    {};
  signal.addEventListener("abort", () => {
    clearTimeout(timers.newest);
    clearTimeout(timers.limit);
  });
  const done = () => {
    if (!signal.aborted) {
      found.abort();
      onFrame();
    }
  };
  /** Evaluates the RTP time of a frame. It is a number of 32 bits, which can begin at 0 again. */
  const evaluate = (time: number | undefined, before?: number) => {
    clearTimeout(timers.newest);
    const isNext = before !== undefined && time !== undefined && (time - before) >>> 0 > NEXT_FRAME;
    if (time === undefined || isNext) {
      done();
    } else if (!signal.aborted) {
      // If the page itself was busy, the next frame comes before the animation frame.
      timers.newest = setTimeout(() => requestAnimationFrame(done), NEWEST_MS);
      video.requestVideoFrameCallback((_, { rtpTimestamp }) => evaluate(rtpTimestamp, time));
    }
  };
  onFirstFrame(video, ended, (metadata) => {
    timers.limit = setTimeout(done, patience);
    evaluate(metadata?.rtpTimestamp);
  });
}
