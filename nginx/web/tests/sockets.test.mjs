// Tests of the live socket's client, and of the transport by WebCodecs, with a simulated browser and service.
import assert from "node:assert/strict";
import { mock, test } from "node:test";

import { FakeSocket, install, jobFor, settled } from "./support/browser.mjs";
import { load } from "./support/load.mjs";

install();

/** A decoder that gives out its pictures when the test wants, or when it is flushed. */
class FakeDecoder {
  static last = null;
  state = "unconfigured";
  decodeQueueSize = 0;
  chunks = [];

  constructor({ output, error }) {
    this.output = output;
    this.error = error;
    this.constructor.last = this;
  }

  static isConfigSupported() {
    return Promise.resolve({ supported: true });
  }

  configure() {
    this.state = "configured";
  }

  decode(chunk) {
    this.chunks.push(chunk);
  }

  /** Gives out the oldest pictures, up to `count`. */
  give(count = this.chunks.length) {
    for (const { timestamp } of this.chunks.splice(0, count)) {
      this.output({
        timestamp,
        displayWidth: 640,
        displayHeight: 360,
        numberOfFrames: 10,
        close: () => undefined,
      });
    }
  }

  flush() {
    this.give();
    return Promise.resolve();
  }

  close() {
    this.state = "closed";
  }
}
class FakeAudioDecoder extends FakeDecoder {
  static last = null;
}
const played = [];
Object.assign(globalThis, {
  VideoDecoder: FakeDecoder,
  AudioDecoder: FakeAudioDecoder,
  EncodedVideoChunk: class {
    constructor(init) {
      Object.assign(this, init);
    }
  },
  EncodedAudioChunk: class {
    constructor(init) {
      Object.assign(this, init);
    }
  },
  AudioContext: class {
    state = "suspended";
    resumed = 0;
    currentTime = 0;
    destination = {};
    constructor() {
      globalThis.audioContext = this;
    }
    createGain() {
      return { gain: {}, connect: () => undefined };
    }
    createBuffer(_, length, rate) {
      return { duration: length / rate, getChannelData: () => new Float32Array(length) };
    }
    createBufferSource() {
      const source = { playbackRate: {}, connect: () => undefined };
      source.start = (at) => played.push({ at, rate: source.playbackRate.value });
      return source;
    }
    resume() {
      this.resumed += 1;
      return Promise.resolve();
    }
    close() {
      this.state = "closed";
      return Promise.resolve();
    }
  },
});
const { WebCodecsTransport } = await load("player/transports/webcodecs.ts");
const { AudioOutput, AudioPace } = await load("player/transports/audio-output.ts");

const KEY = 1;
const OLD = 2;
const MEDIA = {
  type: "media",
  epoch: 1,
  video: { codec: "avc1.64002A", width: 640, height: 360 },
  audio: { codec: "ulaw", sample_rate: 8000, channels: 1 },
};

/** A message with a frame. */
function frame(number, { track = 0, flags = 0 } = {}) {
  const message = new ArrayBuffer(26);
  const header = new DataView(message);
  header.setUint8(0, track);
  header.setUint8(1, flags);
  header.setUint32(4, number);
  header.setBigUint64(8, BigInt(number * 40_000));
  header.setBigUint64(16, BigInt(Date.now() * 1000));
  return message;
}

/** Starts the transport, whose socket is open and has got the description of the media. */
async function setUp(options) {
  const all = jobFor(options);
  const transport = new WebCodecsTransport(all.job, all.events);
  transport.start();
  const socket = FakeSocket.last;
  socket.open();
  await socket.deliver(MEDIA);
  const acks = () => socket.sent.filter(({ type }) => type === "ack").map(({ number }) => number);
  return { ...all, transport, socket, acks, decoder: FakeDecoder.last };
}

test("old frames are decoded, and only the newest one is shown", async () => {
  const { socket, decoder, element, log } = await setUp();
  await socket.deliver(frame(1, { flags: KEY | OLD }));
  await socket.deliver(frame(2, { flags: OLD }));
  await socket.deliver(frame(3));
  decoder.give();
  assert.deepEqual(element.drawn, [120_000]);
  assert.deepEqual(log, ["picture"]);
});

test("on a gap, the newest decoded picture is shown even if it is old", async () => {
  const { socket, decoder, element, log } = await setUp();
  for (const number of [1, 2, 3]) {
    await socket.deliver(frame(number, { flags: number === 1 ? KEY | OLD : OLD }));
  }
  // The decoder gives out the frames in another order than they came.
  decoder.chunks.reverse();
  decoder.give(2);
  assert.deepEqual(element.drawn, [120_000]);
  element.drawn.length = 0;
  await socket.deliver(frame(4, { flags: KEY | OLD }));
  await socket.deliver(frame(5, { flags: OLD }));
  decoder.chunks.splice(-1);
  await socket.deliver({ type: "gap", frames: 7 });
  assert.deepEqual(element.drawn, [160_000]);
  assert.deepEqual(log, ["picture"]);
  // Until the next keyframe, nothing is decoded.
  await socket.deliver(frame(6));
  assert.equal(decoder.chunks.length, 0);
  await socket.deliver(frame(7, { flags: KEY }));
  assert.equal(decoder.chunks.length, 1);
});

test("old audio is decoded, but not played", async () => {
  const { socket } = await setUp({ sound: true });
  globalThis.audioContext.state = "running";
  played.length = 0;
  await socket.deliver(frame(1, { flags: KEY }));
  await socket.deliver(frame(2, { track: 1, flags: OLD }));
  await socket.deliver(frame(3, { track: 1 }));
  const data = {
    numberOfChannels: 1,
    numberOfFrames: 160,
    sampleRate: 8000,
    copyTo: () => undefined,
  };
  const { output } = FakeAudioDecoder.last;
  for (const { timestamp } of FakeAudioDecoder.last.chunks) {
    output({ ...data, timestamp, close: () => undefined });
  }
  assert.equal(FakeAudioDecoder.last.chunks.length, 2);
  assert.equal(played.length, 1);
});

test("shown frames of video are acknowledged every 250 ms, the last one too", async (t) => {
  mock.timers.enable({ apis: ["setTimeout"] });
  t.after(() => mock.timers.reset());
  const { socket, decoder, acks } = await setUp();
  const deliver = (...args) => socket.onmessage({ data: frame(...args) });
  deliver(1, { flags: KEY });
  decoder.give();
  deliver(2);
  deliver(3, { track: 1 });
  decoder.give();
  assert.deepEqual(acks(), [1]);
  mock.timers.tick(251);
  assert.deepEqual(acks(), [1, 2]);
  deliver(4);
  mock.timers.tick(251);
  assert.deepEqual(acks(), [1, 2]);
  decoder.give();
  assert.deepEqual(acks(), [1, 2, 4]);
});

test("while the camera is away, the last acknowledgement is repeated, so that a lost connection is noticed", async (t) => {
  const { socket, decoder, acks, transport, log } = await setUp();
  mock.timers.enable({ apis: ["setTimeout", "setInterval"] });
  t.after(() => mock.timers.reset());
  socket.onmessage({ data: frame(7, { flags: KEY }) });
  decoder.give();
  const tell = (state) => socket.onmessage({ data: JSON.stringify({ type: "state", state }) });
  tell("reconnecting");
  mock.timers.tick(20_000);
  assert.deepEqual(acks(), [7, 7, 7]);
  tell("live");
  mock.timers.tick(20_000);
  assert.deepEqual(acks(), [7, 7, 7]);
  assert.deepEqual(log.slice(-2), [{ away: true }, { away: false }]);
  tell("reconnecting");
  transport.stop();
  mock.timers.tick(20_000);
  assert.deepEqual(acks(), [7, 7, 7]);
});

test("a socket that is refused before it is open reports that the permission has ended", async () => {
  const asked = [];
  globalThis.fetch = (url) => {
    asked.push(String(url));
    const body = JSON.stringify({ code: "unauthorized", detail: "the session has ended" });
    return Promise.resolve(new Response(body, { status: 401 }));
  };
  const all = jobFor();
  new WebCodecsTransport(all.job, all.events);
  await FakeSocket.last.drop();
  assert.deepEqual(asked, ["http://cameras/streams/front/permission.m4s"]);
  assert.equal(all.log[0].failed.problem.code, "unauthorized");

  globalThis.fetch = () => Promise.resolve(new Response("", { status: 404 }));
  const other = jobFor();
  new WebCodecsTransport(other.job, other.events);
  await FakeSocket.last.drop();
  assert.deepEqual(other.log, [{ failed: { reason: "connection" } }]);
});

test("a socket that is forbidden before it is open fails once", async () => {
  let asked = 0;
  globalThis.fetch = () => {
    asked += 1;
    return Promise.resolve(new Response("", { status: 404 }));
  };
  const { job, events, log } = jobFor();
  new WebCodecsTransport(job, events);
  FakeSocket.last.onerror();
  await FakeSocket.last.drop();
  assert.deepEqual(log, [{ failed: { reason: "connection" } }]);
  assert.equal(asked, 1);
  const unclosed = jobFor();
  new WebCodecsTransport(unclosed.job, unclosed.events);
  FakeSocket.last.onerror();
  await settled();
  assert.equal(unclosed.log.length, 1);
  // The error of an open socket is followed by its end, which has the reason.
  const open = await setUp();
  open.socket.onerror();
  await open.socket.drop("too_slow");
  assert.deepEqual(open.log[0].failed.cause.code, "too_slow");
});

test("a decoder that fails after its first picture can be tried again soon", async () => {
  const { socket, decoder, log } = await setUp();
  await socket.deliver(frame(1, { flags: KEY }));
  decoder.give();
  decoder.decode = () => {
    throw new Error("broken");
  };
  await socket.deliver(frame(2));
  assert.deepEqual(log.at(-1), { failed: { reason: "stalled" } });
});

test("sound that the browser cannot decode is reported, and the picture plays", async () => {
  const { socket, decoder, log } = await setUp({ sound: true });
  FakeAudioDecoder.last.error(new Error("unsupported"));
  await socket.deliver(frame(1, { flags: KEY }));
  decoder.give();
  assert.deepEqual(log, ["soundless", "picture"]);
});

/** Starts the transport in a browser that decodes this audio. Returns also what the transport offers. */
async function setUpAudio(supported, { audio = MEDIA.audio, sound = true } = {}) {
  const isConfigSupported = mock.method(FakeAudioDecoder, "isConfigSupported", ({ codec }) =>
    Promise.resolve({ supported: supported.includes(codec) }),
  );
  try {
    const { WebCodecsTransport: Fresh } = await load("player/transports/webcodecs.ts", true);
    const all = jobFor({ sound });
    new Fresh(all.job, all.events).start();
    const { last: socket } = FakeSocket;
    socket.open();
    await settled();
    await socket.deliver({ ...MEDIA, audio });
    return { ...all, socket, offered: socket.sent[0].codecs };
  } finally {
    isConfigSupported.mock.restore();
  }
}

test("only audio that the browser decodes is offered, and its lack is reported", async (t) => {
  const all = ["ulaw", "alaw", "mp4a.40.2", "opus"];
  const video = ["avc1", "avc3", "hvc1", "hev1"];
  assert.deepEqual((await setUpAudio(all)).offered, [...video, ...all]);
  const some = await setUpAudio(["opus", "ulaw"]);
  assert.deepEqual(some.offered, [...video, "ulaw", "opus"]);
  assert.deepEqual(some.log, []);
  assert.deepEqual((await setUpAudio(["opus"], { audio: null })).log, ["soundless"]);
  // A camera without audio.
  assert.deepEqual((await setUpAudio(all, { audio: null })).log, []);
  // While the sound is off, the audio does not matter.
  const silent = await setUpAudio([], { audio: null, sound: false });
  assert.deepEqual(silent.log, []);
  assert.deepEqual(silent.offered, video);
  // Some browsers have only the decoder of video.
  delete globalThis.AudioDecoder;
  t.after(() => {
    globalThis.AudioDecoder = FakeAudioDecoder;
  });
  const without = await setUpAudio([], { audio: null });
  assert.deepEqual(without.offered, video);
  assert.deepEqual(without.log, ["soundless"]);
});

test("audio that stays late is drained", () => {
  const pace = new AudioPace();
  let ahead = 0.34;
  let now = 0;
  for (; now < 15_000; now += 20) {
    ahead += 0.02 / pace.arrived(now, ahead) - 0.02;
  }
  assert.ok(ahead < 0.13 && ahead > 0.05, `${ahead}`);
  // Uneven arrival alone changes nothing.
  const uneven = new AudioPace();
  for (; now < 30_000; now += 20) {
    assert.equal(uneven.arrived(now, now % 500 === 0 ? 0.08 : 0.3), 1);
  }
});

test("the browser's audio is resumed by each of the user's actions, and when the page becomes visible", async () => {
  const output = new AudioOutput(jobFor().job.sound.volume);
  const context = globalThis.audioContext;
  assert.equal(context.resumed, 1);
  dispatchEvent(new Event("pointerdown"));
  dispatchEvent(new Event("keydown"));
  document.dispatchEvent(new Event("visibilitychange"));
  assert.equal(context.resumed, 4);
  context.state = "running";
  dispatchEvent(new Event("pointerdown"));
  context.state = "suspended";
  output.close();
  dispatchEvent(new Event("pointerdown"));
  assert.equal(context.resumed, 4);
  await settled();
});
