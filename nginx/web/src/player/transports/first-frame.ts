// Finds out when a video element shows its first frame.

/** Calls `onFrame` when the element shows the first frame of its new source. */
export function onFirstFrame(
  video: HTMLVideoElement,
  signal: AbortSignal,
  onFrame: () => void,
): void {
  let isDone = false;
  const done = () => {
    if (!isDone && !signal.aborted) {
      isDone = true;
      onFrame();
    }
  };
  if ("requestVideoFrameCallback" in video) {
    const request = video.requestVideoFrameCallback(done);
    signal.addEventListener("abort", () => video.cancelVideoFrameCallback(request));
  }
  // Browsers do not call back for frames of a page that is not visible.
  video.addEventListener("timeupdate", () => document.hidden && video.currentTime > 0 && done(), {
    signal,
  });
  if (!("requestVideoFrameCallback" in video)) {
    (video as HTMLVideoElement).addEventListener("playing", done, { signal });
  }
}
