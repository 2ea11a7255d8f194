// Tests WebRTC by WHEP in a real browser, with plain browser code as a page of another system would use it.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { Camera } from "./support/camera.mjs";
import { Parts } from "./support/parts.mjs";
import { until } from "./support/until.mjs";
import { launchBrowser, readClock, SECONDS, Viewer } from "./support/viewer.mjs";

/** The manager's settings. The browser and the manager are on the same machine. */
const SETTINGS = { WEBRTC_PORT: "0", WEBRTC_ADDRESSES: "127.0.0.1" };

const BEEPS = 5;
/** Greatest difference between sound and picture, in milliseconds. */
const MAX_OFFSET_MS = 200;

/** Plays a camera in a video element, in the page. Resolves with the session's address when the first picture shows. */
async function watch({ url, protocol = "udp", audio = false, microphone = false }) {
  const began = performance.now();
  const connection = new RTCPeerConnection();
  if (microphone) {
    connection.addTransceiver("audio", { direction: "sendonly" });
  }
  connection.addTransceiver("video", { direction: microphone ? "sendrecv" : "recvonly" });
  if (audio) {
    connection.addTransceiver("audio", { direction: "recvonly" });
  }
  const video = document.createElement("video");
  Object.assign(video, { muted: true, autoplay: true, playsInline: true });
  document.body.replaceChildren(video);
  const stream = new MediaStream();
  video.srcObject = stream;
  connection.ontrack = (event) => stream.addTrack(event.track);
  await connection.setLocalDescription();
  const headers = { "Content-Type": "application/sdp" };
  const body = connection.localDescription.sdp;
  const response = await fetch(url, { method: "POST", headers, body });
  const text = await response.text();
  const other = protocol === "udp" ? " tcp " : " udp ";
  const isUsed = (line) => !line.startsWith("a=candidate") || !line.includes(other);
  if (response.status !== 201) {
    throw new Error(`${response.status}: ${text}`);
  }
  const first = new Promise((resolve) => video.requestVideoFrameCallback(resolve));
  const sdp = text.split("\r\n").filter(isUsed).join("\r\n");
  await connection.setRemoteDescription({ type: "answer", sdp });
  window.watched = { connection, video };
  await first;
  return {
    session: new URL(response.headers.get("Location"), url).href,
    tag: response.headers.get("ETag"),
    firstPicture: performance.now() - began,
    width: video.videoWidth,
  };
}

/** Returns how many pictures the page has shown, how much audio it has got, and the state of the connection. */
async function shown() {
  const { connection, video } = window.watched;
  const stats = [...(await connection.getStats()).values()];
  const audio = stats.find((one) => one.type === "inbound-rtp" && one.kind === "audio");
  const pair = stats.find((one) => one.type === "candidate-pair" && one.nominated);
  return {
    pictures: video.getVideoPlaybackQuality().totalVideoFrames,
    sounds: audio?.packetsReceived ?? 0,
    protocol: stats.find((one) => one.id === pair?.remoteCandidateId)?.protocol,
    // The connection's own state changes only some seconds after its end.
    state: connection.getReceivers()[0].transport.state,
  };
}

/**
 * Runs in the page: listens to beeps of the test camera, which begin with each second. Returns how many milliseconds
 * after the second, or before it if negative, the clock in the picture is when each of them begins.
 */
async function hearBeeps(count) {
  const context = new AudioContext();
  const analyser = new AnalyserNode(context, { fftSize: 256 });
  context.createMediaStreamSource(window.watched.video.srcObject).connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  const offsets = [];
  let wasLoud = true;
  while (offsets.length < count) {
    await new Promise((resolve) => setTimeout(resolve, 5));
    analyser.getFloatTimeDomainData(samples);
    const isLoud = samples.some((sample) => Math.abs(sample) > 0.05);
    if (isLoud && !wasLoud) {
      // The clock shows the lower 32 bits of the time.
      const now = Date.now();
      const time = now - ((now - window.readClock()) >>> 0);
      offsets.push(((time + 500) % 1000) - 500);
    }
    wasLoud = isLoud;
  }
  return offsets;
}

describe("WebRTC", () => {
  let parts, browser, camera;

  const add = async (id, mount) => {
    const body = JSON.stringify({ rtsp_link: camera.link.replace("/h264", `/${mount}`) });
    const headers = { "Content-Type": "application/json" };
    const url = `${parts.origin}/api/cameras/${id}`;
    assert.ok((await fetch(url, { method: "PUT", headers, body })).ok);
  };
  const whep = (id) => `${parts.origin}/streams/${id}/whep`;
  const shows = (viewer, what, condition) =>
    until(what, SECONDS, async () => condition(await viewer.page.evaluate(shown)));

  before(async () => {
    parts = await Parts.start({ variables: SETTINGS });
    browser = await launchBrowser();
    camera = await Camera.start();
    await add("front", "h264");
    await add("sound", "h264-pcmu");
  });
  after(async () => {
    await browser?.close();
    await camera?.end();
    await parts?.end();
  });

  test("plays in a video element, and ends with DELETE", async (t) => {
    const viewer = await Viewer.openFor(t, browser, parts.origin);
    const watched = await viewer.page.evaluate(watch, { url: whep("front") });
    const { session, tag, firstPicture, width } = watched;
    t.diagnostic(`cold camera: first picture after ${Math.round(firstPicture)} ms`);
    assert.equal(width, 640);
    assert.match(tag, /^"\w+"$/);
    await shows(viewer, "25 pictures", (it) => it.pictures > 25 && it.protocol === "udp");
    assert.equal((await fetch(session, { method: "DELETE" })).status, 204);
    assert.equal((await fetch(session, { method: "DELETE" })).status, 404);
    await shows(viewer, "the end of the connection", (it) => it.state === "closed");
  });

  test("plays over TCP", async (t) => {
    const viewer = await Viewer.openFor(t, browser, parts.origin);
    await viewer.page.evaluate(watch, { url: whep("front"), protocol: "tcp" });
    await shows(viewer, "25 pictures", (it) => it.pictures > 25 && it.protocol === "tcp");
  });

  test("plays the camera's sound", async (t) => {
    const viewer = await Viewer.openFor(t, browser, parts.origin);
    await viewer.page.evaluate(watch, { url: whep("sound"), audio: true });
    await shows(viewer, "sound", (it) => it.sounds > 50 && it.pictures > 25);
  });

  test("plays sound and picture at the same time", async (t) => {
    const viewer = await Viewer.openFor(t, browser, parts.origin);
    await viewer.page.evaluate(watch, { url: whep("sound"), audio: true });
    await shows(viewer, "sound", (it) => it.sounds > 50 && it.pictures > 25);
    await viewer.page.evaluate(`window.readClock = ${readClock}`);
    const offsets = await viewer.page.evaluate(hearBeeps, BEEPS);
    t.diagnostic(`the sound is later than the picture by ${offsets.join(", ")} ms`);
    const [median] = offsets.sort((a, b) => a - b).slice(BEEPS / 2);
    assert.ok(Math.abs(median) < MAX_OFFSET_MS, `${median} ms`);
  });

  test("plays for a player with a microphone", async (t) => {
    const viewer = await Viewer.openFor(t, browser, parts.origin);
    await viewer.page.evaluate(watch, { url: whep("sound"), audio: true, microphone: true });
    await shows(viewer, "sound", (it) => it.sounds > 50 && it.pictures > 25);
  });

  test("plays in a page of another origin, and continues after a restart of the camera", async (t) => {
    const address = parts.origin.replace("localhost", "127.0.0.1");
    // The page of another system has no policy that permits only its own host.
    const viewer = await Viewer.openFor(t, browser, address, { bypassCSP: true });
    const { session } = await viewer.page.evaluate(watch, { url: whep("front") });
    assert.ok(session.startsWith(`${parts.origin}/streams/front/whep/`), session);
    await shows(viewer, "pictures", (it) => it.pictures > 10);
    const { port } = camera;
    await camera.die();
    camera = await Camera.start(port);
    const { pictures } = await viewer.page.evaluate(shown);
    await shows(viewer, "new pictures", (it) => it.pictures > pictures + 50);
  });

  test("ends when the manager ends the stream", async (t) => {
    const viewer = await Viewer.openFor(t, browser, parts.origin);
    await viewer.page.evaluate(watch, { url: whep("front") });
    const body = JSON.stringify({ indicator_id: "front" });
    await fetch(`${parts.origin}/api/stream/stop`, { method: "POST", body });
    await shows(viewer, "the end", (it) => it.state === "closed");
  });

  test("ends with the playback session", async (t) => {
    const viewer = await Viewer.openFor(t, browser, parts.origin);
    const sessions = `${parts.origin}/api/playback/sessions`;
    const headers = { "Content-Type": "application/json" };
    const body = JSON.stringify({ user: "anna", cameras: ["front"] });
    const created = await (await fetch(sessions, { method: "POST", headers, body })).json();
    const url = `${parts.origin}/play/${created.token}/front/whep`;
    const { session } = await viewer.page.evaluate(watch, { url });
    assert.ok(session.includes(`/play/${created.token}/front/whep/`), session);
    await shows(viewer, "pictures", (it) => it.pictures > 10);
    assert.ok((await fetch(`${sessions}/${created.session_id}`, { method: "DELETE" })).ok);
    await shows(viewer, "the end", (it) => it.state === "closed");
  });

  test("learns that the manager shuts down, and plays after its restart", async (t) => {
    const viewer = await Viewer.openFor(t, browser, parts.origin);
    await viewer.page.evaluate(watch, { url: whep("front") });
    await parts.manager.end();
    await shows(viewer, "the end", (it) => it.state === "closed");
    await parts.startManager(SETTINGS);
    await viewer.page.evaluate(watch, { url: whep("front") });
    await shows(viewer, "pictures", (it) => it.pictures > 25);
  });
});
