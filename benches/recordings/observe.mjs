// Functions that run in the page while browser.mjs measures it.

/** Runs in the page: notes which pictures are shown when. */
export function observe() {
  const number = (video) => {
    const size = video.videoWidth / 32;
    const context = (globalThis.squares ??= new OffscreenCanvas(16, 1).getContext("2d", {
      willReadFrequently: true,
    }));
    context.imageSmoothingEnabled = false;
    context.drawImage(video, 16 * size, size / 4, 16 * size, size / 2, 0, 0, 16, 1);
    const { data } = context.getImageData(0, 0, 16, 1);
    let value = 0;
    for (let square = 0; square < 16; square += 1) {
      value = value * 2 + (data[4 * square] > 127 ? 1 : 0);
    }
    return value;
  };
  globalThis.numbers = () =>
    Object.fromEntries(
      [...document.querySelectorAll(".recorded")].map((figure) => {
        const video =
          figure.querySelector("video.scrubbed.shown") ?? figure.querySelector("video.shown");
        return [figure.dataset.camera, video?.videoWidth ? number(video) : null];
      }),
    );
  globalThis.date = () => Number(document.querySelector(".recorded-clock")?.dataset.date ?? 0);
  /** The position of the picture that a video presents. */
  const presented = new WeakMap();
  const follow = (video) => {
    if (!presented.has(video)) {
      presented.set(video, null);
      const note = (_, { mediaTime }) => {
        presented.set(video, mediaTime);
        video.requestVideoFrameCallback(note);
      };
      video.requestVideoFrameCallback(note);
    }
  };
  document.addEventListener("loadedmetadata", ({ target }) => follow(target), true);
  const hasArrived = (video) => {
    const age = video.currentTime - (presented.get(video) ?? Number.NaN);
    return !video.seeking && age > -0.001 && age < 0.1;
  };
  /**
   * Goes to a date that needs no other playlist than the one that is open, if any. Returns the numbers of the pictures as
   * soon as all cameras show the date; null after a time limit.
   */
  globalThis.arrive = async (hash, limit = 30_000) => {
    const begun = performance.now();
    location.hash = hash;
    const [, query] = hash.split("?");
    const parameters = new URLSearchParams(query);
    const at = Date.parse(parameters.get("at"));
    const count = parameters.get("cameras").split(",").length;
    while (performance.now() - begun < limit) {
      await new Promise((resolve) => requestAnimationFrame(resolve));
      const videos = [...document.querySelectorAll(".recorded video.shown:not(.scrubbed)")];
      const isThere = Math.abs(globalThis.date() - at) < 2 && videos.length === count;
      if (isThere && videos.every(hasArrived)) {
        return globalThis.numbers();
      }
    }
    return null;
  };
  globalThis.sawScrubbed = () => document.querySelector("video.scrubbed.shown") !== null;
  /** Goes to a date, and returns the milliseconds until the picture with the number is shown; null after a time limit. */
  globalThis.seek = async (hash, camera, expected, limit = 5000) => {
    const begun = performance.now();
    location.hash = hash;
    while (performance.now() - begun < limit) {
      await new Promise((resolve) => requestAnimationFrame(resolve));
      // The recorder adjusts its clock a little with each file, so the number can differ by one frame.
      const difference = (globalThis.numbers()[camera] ?? Number.NaN) - expected;
      if (Math.abs(difference) <= 1) {
        return performance.now() - begun;
      }
    }
    return null;
  };
}

/** Runs in the page: waits until no further keyframe has appeared for a time. */
export async function settled(milliseconds) {
  let count = -1;
  while (globalThis.pictures.length > count) {
    count = globalThis.pictures.length;
    await new Promise((resolve) => setTimeout(resolve, milliseconds));
  }
}
