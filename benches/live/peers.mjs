// Viewers by WebRTC: real peer connections in a browser, whose own cost is not measured.
import { launchBrowser } from "../../tests/browser/support/viewer.mjs";
import { until } from "../../tests/browser/support/until.mjs";
import { ratesBetween } from "./readers.mjs";

const OPEN_SECONDS = 60;

/** Runs in the page: opens peer connections. */
async function openPeers({ url, count }) {
  globalThis.peers ??= [];
  for (let index = 0; index < count; index += 1) {
    const peer = new RTCPeerConnection();
    globalThis.peers.push(peer);
    peer.addTransceiver("video", { direction: "recvonly" });
    await peer.setLocalDescription();
    const headers = { "Content-Type": "application/sdp" };
    const body = peer.localDescription.sdp;
    const response = await fetch(url, { method: "POST", headers, body });
    const sdp = await response.text();
    if (!response.ok) {
      throw new Error(`${response.status}: ${sdp}`);
    }
    await peer.setRemoteDescription({ type: "answer", sdp });
  }
}

/** Runs in the page: returns counters of all peer connections. */
async function readPeers() {
  const totals = { at: performance.now(), bytes: 0, frames: 0, missed: 0, ended: 0, playing: 0 };
  for (const peer of globalThis.peers) {
    const stats = [...(await peer.getStats()).values()];
    const video = stats.find(({ type }) => type === "inbound-rtp");
    totals.bytes += video?.bytesReceived ?? 0;
    totals.frames += video?.framesReceived ?? 0;
    totals.missed += video?.packetsLost ?? 0;
    totals.ended += peer.connectionState === "connected" ? 0 : 1;
    totals.playing += video?.framesDecoded > 0 ? 1 : 0;
  }
  return totals;
}

export class Peers {
  /** Opens `count` viewers of the stream at `origin` with this key. */
  static async open(count, origin, key) {
    const browser = await launchBrowser();
    try {
      const page = await browser.newPage({ bypassCSP: true });
      await page.goto(origin);
      // The page must not play the camera itself.
      await page.setContent("<title>viewers</title>");
      await page.evaluate(openPeers, { url: `${origin}/streams/${key}/whep`, count });
      const peers = new Peers(count, browser, page);
      const isPlaying = async () => (await peers.counters()).playing === count;
      await until("pictures for all peer connections", OPEN_SECONDS, isPlaying);
      return peers;
    } catch (error) {
      await browser.close();
      throw error;
    }
  }

  constructor(count, browser, page) {
    Object.assign(this, { count, browser, page });
  }

  /** Returns counters of all peer connections. */
  counters() {
    return this.page.evaluate(readPeers);
  }

  /** Returns the rates since `before`; see `ratesBetween`. */
  async rates(before) {
    return ratesBetween(before, await this.counters(), this.count);
  }

  async close() {
    await this.browser.close();
  }
}
