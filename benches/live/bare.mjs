// For comparison: a page that shows the wall's streams by WebRTC, and does nothing else.
import { until } from "../../tests/browser/support/until.mjs";

const SHOW_SECONDS = 60;

/** Runs in the page: shows each of the streams in a grid of 4 columns. */
async function showAll(urls) {
  const { style } = document.body;
  Object.assign(style, { margin: 0, display: "grid", gridTemplateColumns: "repeat(4, 1fr)" });
  globalThis.peers = urls.map(() => new RTCPeerConnection());
  for (const [index, url] of urls.entries()) {
    const peer = globalThis.peers[index];
    const video = document.createElement("video");
    Object.assign(video, { muted: true, autoplay: true });
    video.style.width = "100%";
    document.body.append(video);
    peer.addTransceiver("video", { direction: "recvonly" });
    peer.addEventListener("track", ({ track }) => {
      video.srcObject = new MediaStream([track]);
    });
    await peer.setLocalDescription();
    const headers = { "Content-Type": "application/sdp" };
    const response = await fetch(url, { method: "POST", headers, body: peer.localDescription.sdp });
    const sdp = await response.text();
    if (!response.ok) {
      throw new Error(`${response.status}: ${sdp}`);
    }
    await peer.setRemoteDescription({ type: "answer", sdp });
  }
}

/** Opens the page with these streams of the service at `origin`. Returns it when all of them have a picture. */
export async function openBarePage(browser, origin, keys, viewport) {
  const context = await browser.newContext({ viewport, bypassCSP: true });
  const page = await context.newPage();
  await page.goto(origin);
  // The service's page must not play the cameras itself.
  await page.setContent("<title>videos</title>");
  await page.evaluate(showAll, keys.map((key) => `${origin}/streams/${key}/whep`));
  const haveAll = () => [...document.querySelectorAll("video")].every((it) => it.videoWidth > 0);
  await until("pictures of all streams", SHOW_SECONDS, () => page.evaluate(haveAll));
  return page;
}
