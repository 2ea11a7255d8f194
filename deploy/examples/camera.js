// Plays the camera of the page. When the permission to watch has run out, it asks the back end for
// another one, which also finds out whether the user is still logged in.
"use strict";

const AGAIN_AFTER_MS = 3000;
const video = document.getElementById("video");
const message = document.getElementById("message");
const form = document.getElementById("renew");

let hls = null;

function play(url) {
  message.textContent = "";
  hls?.destroy();
  hls = null;
  if (window.Hls?.isSupported()) {
    hls = new Hls({ lowLatencyMode: true });
    hls.on(Hls.Events.ERROR, (_, error) => error.fatal && later(renew));
    hls.loadSource(url);
    hls.attachMedia(video);
  } else {
    video.src = url; // Safari on a phone plays HLS by itself.
  }
  video.play().catch(() => {}); // The browser may want a click first.
}

function later(what) {
  message.textContent = "one moment …";
  hls?.destroy();
  hls = null;
  setTimeout(what, AGAIN_AFTER_MS);
}

async function renew() {
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
      play((await response.json()).hls_url);
      return;
    }
  } catch {
    // No network: tried again below.
  }
  if (response && response.status < 500) {
    message.textContent = "this camera cannot be played any more; load the page again";
  } else {
    later(renew);
  }
}

video.addEventListener("error", () => hls || later(renew));
play(video.dataset.hlsUrl);
