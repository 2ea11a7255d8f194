// The first page: starts one camera over the API and plays it with hls.js.
"use strict";

const form = document.getElementById("form");
const camera = document.getElementById("camera");
const link = document.getElementById("link");
const key = document.getElementById("key");
const message = document.getElementById("message");
const latency = document.getElementById("latency");
const video = document.getElementById("video");

/**
 * hls.js plays low latency by itself; a stall shall not make it stay behind for good. The first
 * segment is loaded while the video element gets ready, and no worker has to start first: there is
 * nothing to convert.
 */
const LIVE = {
  lowLatencyMode: true,
  liveSyncOnStallIncrease: 0,
  startFragPrefetch: true,
  enableWorker: false,
};
/** hls.js's words for a codec that the browser does not have. Trying again would not help. */
const UNPLAYABLE = ["manifestIncompatibleCodecsError", "bufferAddCodecError"];
const RETRY_AFTER_MS = 2000;
const KEEP_UP_EVERY_MS = 200;
/** Seconds behind the target from which on the picture is played a little faster. */
const LATE = 0.1;
/** Seconds behind the target from which on it jumps to where there is video already. */
const LOST = 4;
/** And from which on it jumps in any case: after a sleep, or a long outage. */
const FAR_LOST = 15;
/** Seconds of video that must be there for playing faster not to end in a stall. */
const SPARE = 0.15;

let hls = null;

function say(text, isError = false) {
  message.textContent = text;
  message.classList.toggle("error", isError);
}

/** The header that carries the key, if there is one. */
function credentials() {
  return key.value ? { Authorization: `Bearer ${key.value}` } : {};
}

/** Calls the API; throws an Error whose message is meant for people. */
async function call(path, body) {
  let response;
  try {
    response = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json", ...credentials() },
      body: JSON.stringify(body),
    });
  } catch {
    throw new Error("the server cannot be reached");
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) {
    throw new Error(answer.detail ?? `the server answered ${response.status}`);
  }
  return answer;
}

function release() {
  hls?.destroy();
  hls = null;
  video.removeAttribute("src");
  video.load();
}

function play(url) {
  release();
  if (!window.Hls?.isSupported()) {
    video.src = url; // Safari on a phone plays HLS by itself.
  } else {
    const xhrSetup = (request) => {
      for (const [name, value] of Object.entries(credentials())) {
        request.setRequestHeader(name, value);
      }
    };
    hls = new Hls({ ...LIVE, xhrSetup });
    hls.on(Hls.Events.ERROR, (_, error) => recover(error));
    hls.loadSource(url);
    hls.attachMedia(video);
  }
  video.play().catch(() => say("press play to begin"));
}

/**
 * Brings the picture back to its target latency after a stall. hls.js does so only with more than
 * a second of video in store, which a low-latency stream never has.
 */
function keepUp() {
  if (!hls || video.paused || !hls.liveSyncPosition) {
    latency.textContent = "";
    return;
  }
  latency.textContent = `${hls.latency.toFixed(1)} s behind`;
  const late = hls.latency - hls.targetLatency;
  const { buffered, currentTime } = video;
  const end = buffered.length ? buffered.end(buffered.length - 1) : currentTime;
  if (late > FAR_LOST || (late > LOST && end > hls.liveSyncPosition)) {
    video.currentTime = hls.liveSyncPosition;
  }
  video.playbackRate = late > LATE && end - currentTime > SPARE ? 1.1 : 1;
}

/** A camera that was away comes back: fatal errors are tried again instead of giving up. */
function recover(error) {
  if (!error.fatal) {
    return;
  }
  if (UNPLAYABLE.includes(error.details)) {
    release();
    say("this browser cannot play the camera's video (H.265?)", true);
    return;
  }
  if (error.type === Hls.ErrorTypes.MEDIA_ERROR) {
    hls.recoverMediaError();
    return;
  }
  say("the stream was interrupted; trying again", true);
  const isForgotten = error.response?.code === 404;
  setTimeout(again, RETRY_AFTER_MS, hls, isForgotten);
}

/** Plays on, unless the person has done something else meanwhile. */
async function again(current, isForgotten) {
  if (hls === current && isForgotten && link.value) {
    // A manager that was restarted knows the camera no more. What goes wrong now goes wrong again
    // with the playlist, and is told there.
    await call("api/stream/start", wanted()).catch(() => {});
  }
  if (hls === current) {
    play(current.url);
  }
}

/** The camera as the form names it. */
function wanted() {
  const id = camera.value;
  return link.value ? { indicator_id: id, rtsp_link: link.value } : { indicator_id: id };
}

async function start() {
  say("starting …");
  try {
    const answer = await call("api/stream/start", wanted());
    history.replaceState(null, "", `?id=${encodeURIComponent(answer.indicator_id)}`);
    play(answer.stream_path);
  } catch (error) {
    release();
    say(error.message, true);
  }
}

async function stop() {
  release();
  try {
    await call("api/stream/stop", { indicator_id: camera.value });
    say("stopped");
  } catch (error) {
    say(error.message, true);
  }
}

video.addEventListener("playing", () => say("live"));
video.addEventListener("waiting", () => say("waiting for the camera …"));
form.addEventListener("submit", (event) => {
  event.preventDefault();
  start();
});
document.getElementById("stop").addEventListener("click", () => {
  if (form.reportValidity()) {
    stop();
  }
});

setInterval(keepUp, KEEP_UP_EVERY_MS);

// For this tab alone, so that a reload does not ask again.
key.value = sessionStorage.getItem("key") ?? "";
key.addEventListener("change", () => sessionStorage.setItem("key", key.value));

// A link to ?id=front-door plays that camera.
const linked = new URLSearchParams(location.search).get("id");
if (linked) {
  camera.value = linked;
  start();
}
