// Finds freezes of the video on a page. A freeze is a long gap between two presented frames.

/** The longest gap between two presented frames that is not a freeze, in milliseconds. */
export const FREEZE_MS = 200;

/**
 * Begins to record the presented frames of a tile's video, and forgets the frames that were recorded before.
 * Without an id, records the first tile.
 */
export function recordFrames(page, id) {
  return page.evaluate(record, { id, freezeMs: FREEZE_MS });
}

/**
 * Returns what has been recorded since `recordFrames`: the number of presented frames, the longest gap in
 * milliseconds, and the freezes. `stalledFreezes` are the freezes during which the page's own timer stalled
 * as well. Their cause can be the machine instead of the player, so `freezes` and the longest gap exclude
 * them.
 */
export function recordedFrames(page) {
  return page.evaluate(() => globalThis.recordedFrames());
}

/** Runs in the page. */
function record({ id, freezeMs }) {
  const TICK_MS = 20;
  /** A timer of TICK_MS that pauses for longer than this has stalled. */
  const STALLED_MS = 120;
  const tile = document.querySelector(id ? `.tile[data-camera="${id}"]` : ".tile");
  const video = tile.querySelector(".screen > video[data-shown]");
  const begin = performance.now();
  const freezes = [];
  const stalledFreezes = [];
  let frames = 0;
  let longest = 0;
  let frameAt = begin;
  let tickAt = begin;
  let pause = 0;

  const tick = () => {
    const now = performance.now();
    pause = Math.max(pause, now - tickAt);
    tickAt = now;
  };
  /** Evaluates the time since the last frame. */
  const evaluate = (now, presented) => {
    tick();
    const milliseconds = now - frameAt;
    const isStalled = pause > STALLED_MS;
    if (!isStalled) {
      longest = Math.max(longest, milliseconds);
    }
    if (milliseconds > freezeMs) {
      const { buffered, currentTime, playbackRate, readyState } = video;
      const ranges = Array.from({ length: buffered.length }, (_, i) => [
        buffered.start(i),
        buffered.end(i),
      ]);
      (isStalled ? stalledFreezes : freezes).push({
        at: (frameAt - begin) / 1000,
        milliseconds,
        pause,
        presented,
        state: tile.dataset.state,
        position: currentTime,
        rate: playbackRate,
        readyState,
        ranges,
      });
    }
  };
  const onFrame = (_, { presentationTime, presentedFrames }) => {
    if (globalThis.recordedFrames !== report) {
      return; // Another recording has begun.
    }
    evaluate(presentationTime, presentedFrames);
    frames += 1;
    frameAt = presentationTime;
    pause = 0;
    video.requestVideoFrameCallback(onFrame);
  };
  const report = () => {
    const now = performance.now();
    evaluate(now, null);
    return { seconds: (now - begin) / 1000, frames, longest, freezes, stalledFreezes };
  };
  globalThis.recordedFrames = report;
  setInterval(tick, TICK_MS);
  video.requestVideoFrameCallback(onFrame);
}
