// In the page: plays one stream and measures. The same for every candidate; `globalThis.bench` is
// what player.mjs calls, and `globalThis.beginStream` what it offers.
"use strict";

const CLOCK_BITS = 32;
/** Blocks are nearly black or nearly white; what lies between is no picture of the camera's. */
const DARK = 64;
const BRIGHT = 192;
/** A clock that differs by more was misread. */
const OLDEST_MILLISECONDS = 120_000;
const POLL_MILLISECONDS = 100;
const RETRY_MILLISECONDS = 100;
const SAMPLE_MILLISECONDS = 100;

const video = document.querySelector("video");
const canvas = new OffscreenCanvas(1, 1);
const pen = canvas.getContext("2d", { willReadFrequently: true });
const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

let hls;
const errors = { fatal: {}, other: {} };

/** Stalls since the first picture: when each began, and for how many milliseconds. */
const stalls = [];
let hasPlayed = false;
let stalledAt = null;
video.addEventListener("playing", () => {
  hasPlayed = true;
  endStall();
});
video.addEventListener("waiting", () => {
  if (hasPlayed) {
    stalledAt ??= performance.now();
  }
});

function endStall() {
  if (stalledAt !== null) {
    stalls.push({ at: stalledAt, milliseconds: performance.now() - stalledAt });
    stalledAt = null;
  }
}

/** How old the picture on the screen is, in milliseconds; null when its clock cannot be read. */
function pictureAge() {
  const now = Date.now();
  const width = video.videoWidth;
  const size = width / CLOCK_BITS;
  if (!width) {
    return null;
  }
  if (canvas.width !== width) {
    canvas.width = width;
    canvas.height = size;
  }
  pen.drawImage(video, 0, 0);
  const { data } = pen.getImageData(0, Math.floor(size / 2), width, 1);
  let clock = 0;
  for (let bit = 0; bit < CLOCK_BITS; bit += 1) {
    const level = data[4 * Math.floor((bit + 0.5) * size)];
    if (level > DARK && level < BRIGHT) {
      return null;
    }
    clock = clock * 2 + (level >= BRIGHT ? 1 : 0);
  }
  const age = (now - clock) >>> 0;
  return age <= OLDEST_MILLISECONDS ? age : null;
}

/** Does what makes the stream, and resolves to the playlist's address. */
async function begin(start) {
  if (start.post) {
    const answer = await fetch(start.post.path, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(start.post.body),
    });
    const body = await answer.json();
    if (!answer.ok) {
      throw new Error(`${answer.status}: ${JSON.stringify(body)}`);
    }
    return body.stream_path;
  }
  if (start.isPolled) {
    await globalThis.beginStream();
    while (!(await fetch(start.playlist)).ok) {
      await sleep(POLL_MILLISECONDS);
    }
  }
  return start.playlist;
}

function onError(_, error) {
  const kind = error.fatal ? errors.fatal : errors.other;
  kind[error.details] = (kind[error.details] ?? 0) + 1;
  if (!error.fatal) {
    return;
  }
  if (error.type === Hls.ErrorTypes.MEDIA_ERROR) {
    hls.recoverMediaError();
  } else {
    setTimeout(() => hls.loadSource(hls.url), RETRY_MILLISECONDS);
  }
}

/** From nothing to the first picture: milliseconds since the viewer asked, for each step. */
async function open(start, settings) {
  const asked = performance.now();
  const steps = {};
  const step = (name) => (steps[name] ??= performance.now() - asked);
  const playlist = await begin(start);
  step("playlist");
  hls = new Hls(settings);
  hls.on(Hls.Events.ERROR, onError);
  hls.once(Hls.Events.LEVEL_LOADED, () => step("loaded"));
  hls.once(Hls.Events.FRAG_BUFFERED, () => step("buffered"));
  const picture = new Promise((resolve) => video.requestVideoFrameCallback(resolve));
  hls.loadSource(playlist);
  hls.attachMedia(video);
  video.play().catch((error) => console.warn(`play: ${error}`));
  await picture;
  step("picture");
  return { ...steps, age: pictureAge(), errors };
}

/** Watches for some seconds, after some others that only its stalls are counted of. */
async function watch(settleSeconds, seconds) {
  await sleep(settleSeconds * 1000);
  const begin = performance.now();
  const before = video.getVideoPlaybackQuality();
  const ages = [];
  const rates = new Set();
  let unreadable = 0;
  while (performance.now() < begin + seconds * 1000) {
    const age = pictureAge();
    if (age === null) {
      unreadable += 1;
    } else {
      ages.push(age);
    }
    rates.add(video.playbackRate);
    await sleep(SAMPLE_MILLISECONDS);
  }
  const wasStalled = stalledAt !== null;
  endStall();
  const after = video.getVideoPlaybackQuality();
  const buffered = video.buffered;
  return {
    ages,
    unreadable,
    stalls: stalls.map(({ at, milliseconds }) => ({ isSettled: at >= begin, milliseconds })),
    wasStalled,
    frames: after.totalVideoFrames - before.totalVideoFrames,
    dropped: after.droppedVideoFrames - before.droppedVideoFrames,
    rates: [...rates].sort(),
    player: {
      latency: hls.latency,
      targetLatency: hls.targetLatency,
      ahead: buffered.length ? buffered.end(buffered.length - 1) - video.currentTime : 0,
    },
    errors,
  };
}

globalThis.bench = { open, watch };
