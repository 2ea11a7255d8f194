// Plays the camera of the page. When the permission to watch has run out, it asks the back end for
// another one, which also finds out whether the user is still logged in.
"use strict";

/** Between two attempts at least. */
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
        again(play); // The camera may come back, and the permission is still good.
      }
    });
    hls.loadSource(url);
    hls.attachMedia(video);
  } else {
    video.src = url; // Safari on a phone plays HLS by itself.
  }
  video.play().catch(() => {}); // The browser may want a click first.
}

/** Does so now, or soon after an attempt that has failed at once. */
function again(what) {
  message.textContent = "one moment …";
  hls?.destroy();
  hls = null;
  setTimeout(what, Math.max(0, triedAt + PAUSE_MS - Date.now()));
}

async function renew() {
  triedAt = Date.now();
  let response;
  try {
    // The form has the token that back ends want against forged requests. A redirect would lead
    // to the page for logging in.
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
    // No network: tried again below.
  }
  if (response && response.status < 500) {
    message.textContent = "this camera cannot be played any more; load the page again";
  } else {
    again(renew);
  }
}

// hls.js tells its errors by itself. Safari does not tell which one it was.
video.addEventListener("error", () => hls || again(renew));
play();
