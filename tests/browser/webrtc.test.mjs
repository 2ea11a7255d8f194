// Tests WebRTC by WHEP in a real browser, with plain browser code as a page of another system would use it.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { Camera } from "./support/camera.mjs";
import { Parts } from "./support/parts.mjs";
import { until } from "./support/until.mjs";
import { launchBrowser, SECONDS, Viewer } from "./support/viewer.mjs";

/** The manager's settings. The browser and the manager are on the same machine. */
const SETTINGS = { WEBRTC_PORT: "0", WEBRTC_ADDRESSES: "127.0.0.1" };

/** Plays a camera in a video element, in the page. Resolves with the session's address when the first picture shows. */
async function watch(url) {
  const began = performance.now();
  const connection = new RTCPeerConnection();
  connection.addTransceiver("video", { direction: "recvonly" });
  const video = document.createElement("video");
  Object.assign(video, { muted: true, autoplay: true, playsInline: true });
  document.body.replaceChildren(video);
  connection.ontrack = (event) => {
    video.srcObject = new MediaStream([event.track]);
  };
  await connection.setLocalDescription();
  const headers = { "Content-Type": "application/sdp" };
  const body = connection.localDescription.sdp;
  const response = await fetch(url, { method: "POST", headers, body });
  const text = await response.text();
  if (response.status !== 201) {
    throw new Error(`${response.status}: ${text}`);
  }
  const first = new Promise((resolve) => video.requestVideoFrameCallback(resolve));
  await connection.setRemoteDescription({ type: "answer", sdp: text });
  window.watched = { connection, video };
  await first;
  return {
    session: new URL(response.headers.get("Location"), url).href,
    tag: response.headers.get("ETag"),
    firstPicture: performance.now() - began,
    width: video.videoWidth,
  };
}

/** Returns how many pictures the page has shown, and the state of the connection. */
function shown() {
  const { connection, video } = window.watched;
  return {
    pictures: video.getVideoPlaybackQuality().totalVideoFrames,
    state: connection.connectionState,
  };
}

describe("WebRTC", () => {
  let parts, browser, camera;

  before(async () => {
    parts = await Parts.start({ variables: SETTINGS });
    browser = await launchBrowser();
    camera = await Camera.start();
    const body = JSON.stringify({ rtsp_link: camera.link });
    const headers = { "Content-Type": "application/json" };
    const url = `${parts.origin}/api/cameras/front`;
    assert.ok((await fetch(url, { method: "PUT", headers, body })).ok);
  });
  after(async () => {
    await browser?.close();
    await camera?.end();
    await parts?.end();
  });

  test("plays in a video element, and ends with DELETE", async (t) => {
    const viewer = await Viewer.openFor(t, browser, parts.origin);
    const url = `${parts.origin}/streams/front/whep`;
    const { session, tag, firstPicture, width } = await viewer.page.evaluate(watch, url);
    t.diagnostic(`cold camera: first picture after ${Math.round(firstPicture)} ms`);
    assert.equal(width, 640);
    assert.match(tag, /^"\w+"$/);
    await until("25 pictures", SECONDS, async () => (await viewer.page.evaluate(shown)).pictures > 25);
    assert.equal((await fetch(session, { method: "DELETE" })).status, 204);
    assert.equal((await fetch(session, { method: "DELETE" })).status, 404);
    const hasEnded = async () => (await viewer.page.evaluate(shown)).state !== "connected";
    await until("the end of the connection", SECONDS, hasEnded);
  });
});
