// Plays the camera of this page. When the playback session has expired, requests another session from the
// back end, which first checks again whether the user is logged in.
"use strict";

/** Shortest time between two attempts to play. */
const PAUSE_MS = 3000;
/** Time without progress after which the player is replaced. hls.js recovers from most interruptions automatically. */
const FROZEN_MS = 20_000;
const REFUSED = 401;
const video = document.getElementById("video");
const message = document.getElementById("message");
const form = document.getElementById("renew");

let url = video.dataset.hlsUrl;
let hls = null;
let triedAt = 0;
let advancedAt = 0;
/** Number of the last segment in the playlist; null before the first playlist. */
let lastSegment = null;

function play() {
  message.textContent = "";
  triedAt = Date.now();
  advancedAt = triedAt;
  lastSegment = null;
  if (window.Hls?.isSupported()) {
    hls = new Hls({ lowLatencyMode: true });
    hls.on(Hls.Events.ERROR, (_, error) => {
      if (error.response?.code === REFUSED) {
        again(renew);
      } else if (error.fatal) {
        again(play); // The session is still valid, and the error can be temporary.
      }
    });
    hls.on(Hls.Events.LEVEL_UPDATED, (_, { details }) => {
      // If HLS begins again after more than a minute, the playlist has none of its earlier segments. hls.js would
      // wait for many seconds before it loads the new segments.
      const isReplaced = lastSegment !== null && details.startSN > lastSegment;
      lastSegment = details.endSN;
      if (isReplaced) {
        again(play);
      }
    });
    hls.loadSource(url);
    hls.attachMedia(video);
  } else {
    video.src = url; // Safari on older phones plays HLS without hls.js.
  }
  video.play().catch(() => {}); // The browser can require that the user clicks first.
}

/** Calls `attempt` as soon as PAUSE_MS have passed since the last attempt. */
function again(attempt) {
  message.textContent = "Reconnecting …";
  hls?.destroy();
  hls = null;
  setTimeout(attempt, Math.max(0, triedAt + PAUSE_MS - Date.now()));
}

/**
 * Requests another playback session and plays. Gives up if the response is a redirect, or an error with a status
 * below 500. Tries again if there is no response, or an error with another status.
 */
async function renew() {
  triedAt = Date.now();
  let response;
  try {
    // The form contains the back end's CSRF token. Redirects are not followed, because they lead to the login
    // page.
    response = await fetch(form.action, {
      method: "POST",
      body: new FormData(form),
      headers: { Accept: "application/json" },
      redirect: "manual",
    });
    if (response.ok) {
      url = (await response.json()).hls_url;
      play();
      return;
    }
  } catch {
    // There was no response. The code below tries again.
  }
  if (response && response.status < 500) {
    message.textContent = "This camera can no longer be played. Reload the page.";
  } else {
    again(renew);
  }
}

video.addEventListener("timeupdate", () => {
  advancedAt = Date.now();
});
setInterval(() => {
  if (hls && video.paused) {
    advancedAt = Date.now();
  } else if (hls && Date.now() - advancedAt > FROZEN_MS) {
    again(play);
  }
}, 1000);

// hls.js reports errors with its own event. Without hls.js, the browser does not report the kind of error, so
// the session is always renewed.
video.addEventListener("error", () => hls || again(renew));
play();
