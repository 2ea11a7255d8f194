// Tests that a page with a player for go2rtc plays from the service. No package contains go2rtc's own player, so the page
// speaks its protocol with code of its own. It has the properties of go2rtc's player on which the service depends: it
// queues at most 2 MiB, plays at a rate equal to the seconds until the end of its buffer, keeps 5 seconds, requests pictures
// after an error of its first mode, chooses between MSE and WebRTC by codecs, and connects again after 15 s.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { Camera } from "./support/camera.mjs";
import { Parts } from "./support/parts.mjs";
import { until } from "./support/until.mjs";
import { launchBrowser, SECONDS, Viewer } from "./support/viewer.mjs";

/** The manager's settings. The browser and the manager are on the same machine. */
const SETTINGS = { WEBRTC_PORT: "0", WEBRTC_ADDRESSES: "127.0.0.1" };

/** Opens the socket of a player in the page, and requests `modes`. */
function play({ url, modes, microphone }) {
  const KEPT_SECONDS = 5;
  const RECONNECT_MS = 15_000;
  const MAX_QUEUE = 2 * 1024 * 1024;
  const CODECS = ["avc1.640029", "avc1.64002A", "hvc1.1.6.L153.B0", "mp4a.40.2", "flac", "opus"];
  const video = document.createElement("video");
  Object.assign(video, { muted: true, autoplay: true, playsInline: true });
  const picture = document.createElement("img");
  document.body.replaceChildren(video, picture);
  const player = {
    video,
    errors: [],
    pictures: 0,
    inits: 0,
    longestPause: 0,
    closed: false,
    began: performance.now(),
  };
  window.player = player;
  let lastPicture;
  const notePicture = () => {
    const now = performance.now();
    player.firstPicture ??= now - player.began;
    player.longestPause = Math.max(player.longestPause, now - (lastPicture ?? now));
    lastPicture = now;
    video.requestVideoFrameCallback(notePicture);
  };
  video.requestVideoFrameCallback(notePicture);
  let socket, takers, takeBytes;
  /** Whether the player needs its socket no longer. */
  let isDone = false;
  let peer = null;
  const send = (type, value) => socket.send(JSON.stringify({ type, value }));

  function connect() {
    if (peer) {
      return; // A player that has tried WebRTC does not connect again.
    }
    const connectedAt = performance.now();
    socket = new WebSocket(url);
    socket.binaryType = "arraybuffer";
    takers = {};
    takeBytes = () => {};
    socket.onclose = () => {
      player.closed = true;
      if (!isDone) {
        setTimeout(connect, Math.max(0, connectedAt + RECONNECT_MS - performance.now()));
      }
    };
    socket.onmessage = ({ data }) => onMessage(data);
    socket.onopen = () => {
      player.closed = false;
      const starts = { mse: startMse, webrtc: startWebrtc, hls: startHls, mjpeg: startMjpeg };
      for (const mode of modes.filter((it) => it !== "mjpeg" || modes.length === 1)) {
        starts[mode]();
      }
    };
  }

  function onMessage(data) {
    if (typeof data !== "string") {
      takeBytes(data);
      return;
    }
    const { type, value } = JSON.parse(data);
    if (type === "error") {
      player.errors.push(value);
      if (modes.at(-1) === "mjpeg" && value.startsWith(modes[0])) {
        startMjpeg();
      }
    }
    takers[type]?.(value);
  }

  /** Returns whether a message contains a keyframe of the video. */
  function isKeyframe(bytes) {
    const view = new DataView(bytes.buffer);
    return (
      bytes[4] !== "f".charCodeAt() &&
      view.getUint32(76) === 1 &&
      (view.getUint32(128) & 0x1_00_00) === 0
    );
  }

  function startMse() {
    const source = new MediaSource();
    video.src = URL.createObjectURL(source);
    source.onsourceopen = () => {
      const isSupported = (codec) => MediaSource.isTypeSupported(`video/mp4; codecs="${codec}"`);
      send("mse", CODECS.filter(isSupported).join());
    };
    takers.mse = (mime) => {
      player.mime = mime;
      const buffer = source.addSourceBuffer(mime);
      buffer.mode = "segments";
      const waiting = [];
      let size = 0;
      const flush = () => {
        if (buffer.updating || waiting.length === 0) {
          return;
        }
        const joined = new Uint8Array(size);
        let at = 0;
        for (const bytes of waiting.splice(0)) {
          joined.set(bytes, at);
          at += bytes.length;
        }
        size = 0;
        buffer.appendBuffer(joined);
      };
      buffer.onupdateend = () => {
        flush();
        const { buffered } = buffer;
        if (buffer.updating || buffered.length === 0) {
          return;
        }
        player.ranges = Math.max(player.ranges ?? 0, buffered.length);
        const end = buffered.end(buffered.length - 1);
        const start = end - KEPT_SECONDS;
        if (start > buffered.start(0)) {
          buffer.remove(buffered.start(0), start);
        }
        if (video.currentTime < start) {
          video.currentTime = start;
        }
        video.playbackRate = Math.max(end - video.currentTime, 0.1);
      };
      takeBytes = (data) => {
        const bytes = new Uint8Array(data);
        player.inits += String.fromCharCode(...bytes.subarray(4, 8)) === "ftyp" ? 1 : 0;
        player.keyframeAt = isKeyframe(bytes) ? performance.now() : player.keyframeAt;
        waiting.push(bytes);
        size += bytes.length;
        if (buffer.updating && size > MAX_QUEUE) {
          player.errors.push("the queue is too long");
        }
        flush();
      };
    };
  }

  function startHls() {
    send("hls", CODECS.join());
  }

  async function startWebrtc() {
    const connection = new RTCPeerConnection();
    peer = connection;
    /** Plays the stream, unless MSE has sound and the stream has none. */
    const choose = (stream) => {
      player.tracks = stream.getTracks().length;
      if (player.mime?.includes("mp4a.") && player.tracks < 2) {
        connection.close();
        return;
      }
      video.srcObject = stream;
      isDone = true;
      socket.close();
    };
    if (microphone) {
      const { stream } = new AudioContext().createMediaStreamDestination();
      connection.addTransceiver(stream.getTracks()[0], { direction: "sendonly" });
    }
    connection.onicecandidate = ({ candidate }) => {
      send("webrtc/candidate", candidate?.candidate ?? "");
    };
    for (const kind of ["video", "audio"]) {
      connection.addTransceiver(kind, { direction: "recvonly" });
    }
    takers["webrtc/answer"] = (sdp) => connection.setRemoteDescription({ type: "answer", sdp });
    connection.onconnectionstatechange = () => {
      if (connection.connectionState === "connected") {
        const receivers = connection
          .getTransceivers()
          .filter((it) => it.currentDirection === "recvonly");
        const stream = new MediaStream(receivers.map((it) => it.receiver.track));
        const other = document.createElement("video");
        other.onloadeddata = () => choose(stream);
        other.srcObject = stream;
      }
    };
    await connection.setLocalDescription();
    send("webrtc/offer", connection.localDescription.sdp);
  }

  function startMjpeg() {
    picture.onload = () => {
      player.pictures += 1;
      player.pictureWidth = picture.naturalWidth;
    };
    takeBytes = (data) => {
      const bytes = new Uint8Array(data);
      const text = bytes.reduce((before, byte) => before + String.fromCharCode(byte), "");
      picture.src = `data:image/jpeg;base64,${btoa(text)}`;
    };
    send("mjpeg");
  }

  connect();
}

/** Returns what the page has shown. */
function shown() {
  const { video, ...player } = window.player;
  const { buffered, currentTime, error } = video;
  const { totalVideoFrames, droppedVideoFrames } = video.getVideoPlaybackQuality();
  return {
    ...player,
    time: performance.now(),
    frames: totalVideoFrames - droppedVideoFrames,
    width: video.videoWidth,
    behind: buffered.length > 0 ? buffered.end(buffered.length - 1) - currentTime : null,
    error: error?.message,
  };
}

describe("a player for go2rtc", () => {
  let parts, browser, camera;

  before(async () => {
    parts = await Parts.start({ variables: SETTINGS });
    browser = await launchBrowser();
    camera = await Camera.start();
    await add("front", camera.link);
    await add("sound", `${camera.link}-pcmu`);
    await add("aac", `${camera.link}-aac`);
  });
  after(async () => {
    await browser?.close();
    await camera?.end();
    await parts?.end();
  });

  /** Adds a camera with these options. */
  async function add(id, link, options = {}) {
    const body = JSON.stringify({ rtsp_link: link, ...options });
    const headers = { "Content-Type": "application/json" };
    assert.ok(
      (await fetch(`${parts.origin}/api/cameras/${id}`, { method: "PUT", headers, body })).ok,
    );
  }

  /** Opens a page that plays, and returns a function that returns what the page has shown. */
  async function open(t, modes, { source = "front", microphone = false } = {}) {
    const viewer = await Viewer.openFor(t, browser, parts.origin);
    const url = `${parts.origin.replace(/^http/, "ws")}/go2rtc/api/ws?src=${source}`;
    await viewer.page.evaluate(play, { url, modes, microphone });
    return () => viewer.page.evaluate(shown);
  }

  test("plays MP4 near the end of its buffer", async (t) => {
    const now = await open(t, ["mse"]);
    await until("a picture", SECONDS, async () => (await now()).firstPicture !== undefined);
    await until("75 frames", SECONDS, async () => (await now()).frames > 75);
    const { errors, error, width, behind, ranges, mime, firstPicture } = await now();
    t.diagnostic(
      `first picture after ${Math.round(firstPicture)} ms, ${behind.toFixed(2)} s behind the end`,
    );
    assert.deepEqual(
      { errors, error, width, ranges },
      { errors: [], error: undefined, width: 640, ranges: 1 },
    );
    assert.match(mime, /^video\/mp4; codecs="avc1\./);
    assert.ok(behind < 2, `${behind} s behind the end`);
  });

  test("continues with the same buffer after the camera has restarted", async (t) => {
    const now = await open(t, ["mse"], { source: "sound" });
    await until("50 frames", SECONDS, async () => (await now()).frames > 50);
    const { port } = camera;
    await camera.die();
    camera = await Camera.start(port);
    const { frames } = await now();
    await until("further frames", SECONDS, async () => (await now()).frames > frames + 100);
    const { mime, errors, error, closed, ranges, behind } = await now();
    assert.match(mime, /mp4a/);
    assert.deepEqual(
      { errors, error, closed, ranges },
      { errors: [], error: undefined, closed: false, ranges: 1 },
    );
    assert.ok(behind < 2, `${behind} s behind the end`);
  });

  test("does not stall if it joins long after a keyframe", async (t) => {
    const other = await Camera.startFor(t, 0, ["--gop-seconds", "4"]);
    await add("long", other.link);
    const first = await open(t, ["mse"], { source: "long" });
    const sinceKeyframe = async () => {
      const { keyframeAt, time, frames } = await first();
      return frames > 50 ? time - keyframeAt : 0;
    };
    await until("3 s since a keyframe", SECONDS, async () => (await sinceKeyframe()) > 3000);
    const now = await open(t, ["mse"], { source: "long" });
    await until("300 frames", SECONDS, async () => (await now()).frames > 300);
    const { errors, longestPause, firstPicture } = await now();
    t.diagnostic(
      `first picture after ${Math.round(firstPicture)} ms, longest pause ${Math.round(longestPause)} ms`,
    );
    assert.deepEqual(errors, []);
    assert.ok(longestPause < 1000, `no picture for ${longestPause} ms`);
  });

  test("plays WebRTC rather than MSE, with the sound that the camera has", async (t) => {
    // The stream must run, because an answer promises audio until the audio is known.
    for (const [source, tracks] of [
      ["front", 1],
      ["sound", 2],
      ["aac", 2],
    ]) {
      const first = await open(t, ["mse"], { source });
      await until(`${source}: 50 frames`, SECONDS, async () => (await first()).frames > 50);

      const now = await open(t, ["mse", "webrtc", "mjpeg"], { source });
      await until(`${source}: the end of the socket`, SECONDS, async () => (await now()).closed);
      const { frames } = await now();
      await until(`${source}: 75 frames`, SECONDS, async () => (await now()).frames > frames + 75);
      assert.equal((await now()).tracks, tracks, source);
    }
  });

  test("plays WebRTC although it offers a microphone", async (t) => {
    const now = await open(t, ["webrtc"], { source: "sound", microphone: true });
    await until("75 frames", SECONDS, async () => (await now()).frames > 75);
    const { errors, tracks } = await now();
    assert.deepEqual({ errors, tracks }, { errors: [], tracks: 2 });
  });

  test("plays WebRTC, and closes the socket", async (t) => {
    const now = await open(t, ["webrtc"]);
    await until("the end of the socket", SECONDS, async () => (await now()).closed);
    await until("75 frames", SECONDS, async () => (await now()).frames > 75);
    const { errors, width } = await now();
    assert.deepEqual({ errors, width }, { errors: [], width: 640 });
  });

  test("shows pictures", async (t) => {
    const now = await open(t, ["mjpeg"]);
    await until("20 pictures", SECONDS, async () => (await now()).pictures > 20);
    assert.equal((await now()).pictureWidth, 640);
  });

  test("shows pictures if the service has no stream for its first mode", async (t) => {
    const now = await open(t, ["hls", "mjpeg"]);
    await until("20 pictures", SECONDS, async () => (await now()).pictures > 20);
    const { errors, closed, pictureWidth } = await now();
    assert.equal(errors.length, 1);
    assert.match(errors[0], /^hls: /);
    assert.deepEqual({ closed, pictureWidth }, { closed: false, pictureWidth: 640 });
  });

  test("shows pictures if the browser cannot play the camera's video", async (t) => {
    await add("hevc", camera.link.replace(/h264$/, "hevc"), { video: "copy" });
    const now = await open(t, ["mse", "mjpeg"], { source: "hevc" });
    await until("20 pictures", SECONDS, async () => (await now()).pictures > 20);
    const { errors, frames } = await now();
    assert.equal(errors.length, 1);
    assert.match(errors[0], /^mse: /);
    assert.equal(frames, 0);
  });

  const restarted = "plays MP4 if WebRTC is off, and again after the manager was restarted";
  test(restarted, { skip: !process.env.LONG_TESTS }, async (t) => {
    t.after(() => parts.killManager().then(() => parts.startManager(SETTINGS)));
    const restart = async () => {
      await parts.killManager();
      await parts.startManager({ WEBRTC_PORT: "off" });
    };
    await restart();
    const both = await open(t, ["mse", "webrtc", "mjpeg"]);
    await until("50 frames", SECONDS, async () => (await both()).frames > 50);
    const { errors, closed } = await both();
    assert.match(errors.join(), /^webrtc\b[^,]*: /);
    assert.equal(closed, false);
    const now = await open(t, ["mse", "mjpeg"]);
    await until("50 frames", SECONDS, async () => (await now()).frames > 50);
    const { inits } = await now();
    await restart();
    await until("another beginning", SECONDS, async () => (await now()).inits > inits);
    const { frames } = await now();
    await until("further frames", SECONDS, async () => (await now()).frames > frames + 50);
    assert.equal((await now()).error, undefined);
  });
});
