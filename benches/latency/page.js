// Runs in the browser page: plays a stream and measures it. This script is the same for all candidates.
// player.mjs calls the functions of `globalThis.bench`, and provides `globalThis.beginStream`.
"use strict";

const CLOCK_BITS = 32;
/**
 * The squares of the binary clock are almost black or almost white. Brightness between these limits is
 * invalid.
 */
const DARK = 64;
const BRIGHT = 192;
/** A greater age means that the page has misread the clock. */
const MAX_AGE_MILLISECONDS = 120_000;
const POLL_MILLISECONDS = 100;
const RETRY_MILLISECONDS = 100;
const SAMPLE_MILLISECONDS = 100;
const TICK_MILLISECONDS = 20;
/** A timer of TICK_MILLISECONDS that pauses for longer than this has stalled. */
const TIMER_STALL_MILLISECONDS = 120;
/** The service's page adjusts the speed of the video at this interval, too. */
const PACE_MILLISECONDS = 200;

const video = document.querySelector("video");
const canvas = new OffscreenCanvas(1, 1);
const context = canvas.getContext("2d", { willReadFrequently: true });
const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

let hls;
/** The element that shows the picture. */
let shown = video;
const errors = { fatal: {}, other: {} };

/** Stalls since the first picture, with their start and duration in milliseconds. */
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

/** Returns the age of the displayed picture in milliseconds, or null if its clock is unreadable. */
function pictureAge() {
  const now = Date.now();
  const width = shown.videoWidth ?? shown.width;
  const size = width / CLOCK_BITS;
  if (!width) {
    return null;
  }
  if (canvas.width !== width) {
    canvas.width = width;
    canvas.height = size;
  }
  context.drawImage(shown, 0, 0);
  const { data } = context.getImageData(0, Math.floor(size / 2), width, 1);
  let clock = 0;
  for (let bit = 0; bit < CLOCK_BITS; bit += 1) {
    const level = data[4 * Math.floor((bit + 0.5) * size)];
    if (level > DARK && level < BRIGHT) {
      return null;
    }
    clock = clock * 2 + (level >= BRIGHT ? 1 : 0);
  }
  const age = (now - clock) >>> 0;
  return age <= MAX_AGE_MILLISECONDS ? age : null;
}

/** Starts the stream, unless the request for its playlist starts it. Returns the URL of the playlist. */
async function begin(start) {
  if (start.post) {
    const response = await fetch(start.post.path, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(start.post.body),
    });
    const body = await response.json();
    if (!response.ok) {
      throw new Error(`${response.status}: ${JSON.stringify(body)}`);
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

/** A longer gap between two pictures of a transport is a stall. Known when the transport starts. */
let gapMilliseconds = Infinity;
/** The pictures of a transport while they are measured: their ages, each read when the picture is presented. */
let measured = null;
let presentedAt = null;
/** The longest pause of the page's own timer since the last picture. */
let timerPause = 0;
let tickAt = 0;
/**
 * Gaps during which the page's own timer stalled as well. Their cause can be the machine instead of the transport, so
 * they are not stalls of the transport.
 */
const pageStalls = [];

function tick() {
  const now = performance.now();
  timerPause = Math.max(timerPause, now - tickAt);
  tickAt = now;
}

/** Evaluates the gap between the last picture and `now`. */
function evaluateGap(now) {
  tick();
  const milliseconds = presentedAt === null ? 0 : now - presentedAt;
  const isPageStalled = timerPause > TIMER_STALL_MILLISECONDS;
  if (measured && !isPageStalled) {
    measured.longestGap = Math.max(measured.longestGap, milliseconds);
  }
  if (milliseconds > gapMilliseconds) {
    (isPageStalled ? pageStalls : stalls).push({ at: presentedAt, milliseconds });
  }
}

/** Records a picture that was presented at `now`. */
function onPresented(now) {
  const age = pictureAge();
  evaluateGap(now);
  presentedAt = now;
  timerPause = 0;
  if (measured) {
    measured.ages.push(age);
  }
}

/** Calls `onPresented` with each picture that a video element presents, or that is drawn on a canvas. */
function observe(element) {
  if (element instanceof HTMLVideoElement) {
    const next = (_, { presentationTime }) => {
      onPresented(presentationTime);
      element.requestVideoFrameCallback(next);
    };
    element.requestVideoFrameCallback(next);
    return;
  }
  const target = element.getContext("2d");
  target.drawImage = (...parameters) => {
    CanvasRenderingContext2D.prototype.drawImage.apply(target, parameters);
    onPresented(performance.now());
  };
}

/** Plays the stream with a transport of the service's page. Returns the same as `open`. */
async function openTransport({ transport, key, path, post, gap }) {
  gapMilliseconds = gap;
  tick();
  setInterval(tick, TICK_MILLISECONDS);
  const startTime = performance.now();
  await begin({ post });
  const steps = { started: performance.now() - startTime };
  await new Promise((resolve, reject) => {
    const onFailure = (reason) => {
      errors.fatal[reason] = (errors.fatal[reason] ?? 0) + 1;
      reject(new Error(`the transport has failed: ${reason}`));
    };
    const of = { key, path };
    shown = globalThis.playTransport(transport, of, { onPicture: resolve, onFailure });
    observe(shown);
  });
  steps.picture = performance.now() - startTime;
  stalls.length = 0;
  pageStalls.length = 0;
  return { ...steps, age: pictureAge(), errors };
}

/** Measures while a transport plays. Returns the same as `watch`. */
async function watchTransport(settleSeconds, seconds) {
  await sleep(settleSeconds * 1000);
  const begin = performance.now();
  measured = { ages: [], longestGap: 0 };
  await sleep(seconds * 1000);
  evaluateGap(performance.now());
  const ages = measured.ages.filter((age) => age !== null);
  const settled = (gaps) => gaps.map(({ at, milliseconds }) => ({ isSettled: at >= begin, milliseconds }));
  return {
    ages,
    unreadable: measured.ages.length - ages.length,
    stalls: settled(stalls),
    pageStalls: settled(pageStalls),
    longestGap: measured.longestGap,
    wasStalled: false,
    frames: measured.ages.length,
    errors,
  };
}

/**
 * Starts and plays the stream. Returns the time of each step until the first picture, that picture's age (both in
 * milliseconds), and the errors.
 */
async function open(start, settings) {
  if (start.transport) {
    return openTransport(start);
  }
  const startTime = performance.now();
  const steps = {};
  const step = (name) => (steps[name] ??= performance.now() - startTime);
  const playlist = await begin(start);
  step("playlist");
  hls = new Hls(settings);
  hls.on(Hls.Events.ERROR, onError);
  hls.once(Hls.Events.LEVEL_LOADED, () => step("loaded"));
  hls.once(Hls.Events.FRAG_BUFFERED, () => step("buffered"));
  const picture = new Promise((resolve) => video.requestVideoFrameCallback(resolve));
  hls.loadSource(playlist);
  hls.attachMedia(video);
  if (globalThis.Pace) {
    const pace = new globalThis.Pace(video, hls, settings.lowLatencyMode);
    setInterval(() => pace.keep(), PACE_MILLISECONDS);
  }
  video.play().catch((error) => console.warn(`play: ${error}`));
  await picture;
  step("picture");
  return { ...steps, age: pictureAge(), errors };
}

/**
 * Measures while the stream plays. During the first `settleSeconds`, only stalls and errors are recorded.
 */
async function watch(settleSeconds, seconds) {
  if (shown !== video || globalThis.playTransport) {
    return watchTransport(settleSeconds, seconds);
  }
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
