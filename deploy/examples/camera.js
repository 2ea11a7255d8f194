// Plays the page's camera. When the playback session has expired, asks the back end for another one,
// which also checks that the user is still logged in.
"use strict";

/** Least time between two attempts. */
const PAUSE_MS = 3000;
const REFUSED = 401;
const video = document.getElementById("video");
const message = document.getElementById("message");
const form = document.getElementById("renew");

let url = video.dataset.hlsUrl;
let hls = null;
let triedAt = 0;

function play() {
  message.textContent = "";
  triedAt = Date.now();
  if (window.Hls?.isSupported()) {
    hls = new Hls({ lowLatencyMode: true });
    hls.on(Hls.Events.ERROR, (_, error) => {
      if (error.response?.code === REFUSED) {
        again(renew);
      } else if (error.fatal) {
        again(play); // The camera may return, and the session is still valid.
      }
    });
    hls.loadSource(url);
    hls.attachMedia(video);
  } else {
    video.src = url; // Safari on a phone plays HLS without hls.js.
  }
  video.play().catch(() => {}); // The browser may require a click first.
}

/** Runs `attempt` now, or later if the last attempt was less than PAUSE_MS ago. */
function again(attempt) {
  message.textContent = "Reconnecting …";
  hls?.destroy();
  hls = null;
  setTimeout(attempt, Math.max(0, triedAt + PAUSE_MS - Date.now()));
}

async function renew() {
  triedAt = Date.now();
  let response;
  try {
    // The form contains the back end's token against forged requests. A redirect would lead to the
    // login page.
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
    // No network: try again below.
  }
  if (response && response.status < 500) {
    message.textContent = "This camera can no longer be played. Load the page again.";
  } else {
    again(renew);
  }
}

// hls.js reports its own errors. Safari does not report which error it was.
video.addEventListener("error", () => hls || again(renew));
play();
