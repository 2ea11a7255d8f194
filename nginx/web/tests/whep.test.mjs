// Tests of the transport by WebRTC, with a simulated browser and a simulated service.
import assert from "node:assert/strict";
import { mock, test } from "node:test";

import { FakeElement, install, jobFor, settled } from "./support/browser.mjs";
import { load } from "./support/load.mjs";

install();

/** A peer connection without a network. */
class FakePeer extends EventTarget {
  static last = null;
  connectionState = "new";
  kinds = [];
  localDescription = { sdp: "offer" };
  receivers = [{ transport: Object.assign(new EventTarget(), { state: "connected" }) }];
  stats = {};

  constructor() {
    super();
    FakePeer.last = this;
  }

  addTransceiver(kind) {
    this.kinds.push(kind);
  }

  getReceivers() {
    return this.receivers;
  }

  setLocalDescription() {
    return Promise.resolve();
  }

  setRemoteDescription(answer) {
    this.answer = answer;
    return Promise.resolve();
  }

  getConfiguration() {
    return {};
  }

  setConfiguration(configuration) {
    this.configuration = configuration;
  }

  getStats() {
    const video = { type: "inbound-rtp", kind: "video", ...this.stats };
    return Promise.resolve(new Map([["video", video]]));
  }

  close() {
    this.connectionState = "closed";
  }
}
Object.assign(globalThis, { RTCPeerConnection: FakePeer, MediaStream: class {} });
const { WhepTransport } = await load("player/transports/whep.ts");
const { LossMeter } = await load("player/loss.ts");

const ANSWER = {
  status: 201,
  headers: {
    Location: "/streams/front/whep/abc",
    Link: '<turn:turn.example.com>; rel="ice-server"; username="u"; credential="c"',
  },
};

/** Starts the transport. `answer` is the response to its offer. */
async function setUp(t, { answer = ANSWER, body = "answer", isFirst = true, ...options } = {}) {
  let now = 1000;
  mock.method(performance, "now", () => now);
  t.after(() => mock.restoreAll());
  const requests = [];
  globalThis.fetch = (url, { method, body: sent }) => {
    requests.push(`${method} ${url} ${sent ?? ""}`.trim());
    const response = new Response(method === "POST" ? body : null, answer);
    Object.defineProperty(response, "url", { value: String(url) });
    return Promise.resolve(response);
  };
  const all = jobFor(options);
  Object.assign(all.visible, { readyState: isFirst ? 0 : 4, videoWidth: isFirst ? 0 : 640 });
  const transport = new WhepTransport(all.job, all.events);
  transport.start();
  await settled();
  const peer = FakePeer.last;
  /** Lets seconds pass, in which these packets arrive and get lost, and the picture has this width. */
  const run = async (seconds, { received = 100, lost = 0, width = 1280 } = {}) => {
    for (let second = 0; second < seconds; second += 1) {
      now += 1001;
      const { stats } = peer;
      peer.stats = {
        bytesReceived: (stats.bytesReceived ?? 0) + 100_000,
        framesDecoded: (stats.framesDecoded ?? 0) + 25,
        frameWidth: width,
        totalProcessingDelay: (stats.totalProcessingDelay ?? 0) + 25 * 0.03,
        packetsReceived: (stats.packetsReceived ?? 0) + received,
        packetsLost: (stats.packetsLost ?? 0) + lost,
      };
      transport.keepUp();
      await settled();
    }
  };
  return { ...all, transport, requests, peer, run };
}

test("a session begins with an offer, and ends with DELETE", async (t) => {
  const { transport, requests, peer } = await setUp(t);
  assert.deepEqual(peer.kinds, ["video"]);
  assert.equal(peer.answer.sdp, "answer");
  assert.deepEqual(peer.configuration.iceServers, [
    { urls: "turn:turn.example.com", username: "u", credential: "c" },
  ]);
  transport.stop();
  transport.stop();
  assert.deepEqual(requests, [
    "POST http://cameras/streams/front/whep offer",
    "DELETE http://cameras/streams/front/whep/abc",
  ]);
});

/** Starts the transport with an element that shows frames. `isFirst`: whether the tile shows no other picture. */
async function setUpFrames(t, isFirst) {
  mock.timers.enable({ apis: ["setTimeout"] });
  t.after(() => mock.timers.reset());
  // The browser calls back for its next picture.
  globalThis.requestAnimationFrame = (callback) => callback();
  t.after(() => delete globalThis.requestAnimationFrame);
  const callbacks = [];
  const { prototype } = FakeElement;
  prototype.requestVideoFrameCallback = (callback) => callbacks.push(callback);
  prototype.cancelVideoFrameCallback = () => undefined;
  t.after(() => {
    delete prototype.requestVideoFrameCallback;
    delete prototype.cancelVideoFrameCallback;
  });
  const all = await setUp(t, { isFirst });
  const show = (rtpTimestamp) =>
    callbacks.splice(0).forEach((callback) => callback(0, { rtpTimestamp }));
  return { ...all, show };
}

test("the old pictures at the beginning of a session are not shown", async (t) => {
  const { log, show } = await setUpFrames(t, false);
  for (const time of [4_294_967_291, 4, 40, 76]) {
    show(time);
    mock.timers.tick(33);
  }
  assert.deepEqual(log, []);
  show(3676);
  assert.deepEqual(log, ["picture"]);
  mock.timers.tick(2000);
  show(7276);
  assert.deepEqual(log, ["picture"]);
});

test("the newest picture is shown although the next one does not follow soon", async (t) => {
  const { log, show } = await setUpFrames(t, false);
  show(90);
  show(99);
  mock.timers.tick(49);
  assert.deepEqual(log, []);
  mock.timers.tick(1);
  assert.deepEqual(log, ["picture"]);
});

test("the first picture of a tile is not late because of old pictures", async (t) => {
  const { log, show } = await setUpFrames(t, true);
  show(9);
  mock.timers.tick(33);
  show(18);
  mock.timers.tick(16);
  assert.deepEqual(log, []);
  mock.timers.tick(1);
  assert.deepEqual(log, ["picture"]);
});

test("without RTP times, the first picture is shown", async (t) => {
  const { log, show } = await setUpFrames(t, false);
  show(undefined);
  assert.deepEqual(log, ["picture"]);
});

test("few offers wait for an answer at the same time, and their time limit begins when they are sent", async (t) => {
  const limits = [];
  const timeout = mock.method(AbortSignal, "timeout", (time) => {
    limits.push(time);
    return new AbortController().signal;
  });
  t.after(() => timeout.mock.restore());
  const sent = [];
  globalThis.fetch = () =>
    new Promise((respond) => {
      sent.push(() => respond(new Response("", { status: 409 })));
    });
  const begin = () => {
    const all = jobFor();
    const transport = new WhepTransport(all.job, all.events);
    transport.start();
    return { ...all, transport };
  };
  const begun = Array.from({ length: 6 }, begin);
  await settled();
  assert.deepEqual([sent.length, limits.length], [3, 3]);
  // One that was stopped while it waited is not sent.
  begun[3].transport.stop();
  sent[0]();
  await settled();
  assert.deepEqual([sent.length, limits.length], [4, 4]);
  assert.deepEqual(begun[0].log, [{ failed: { reason: "not_offered" } }]);
  assert.deepEqual([begun[3].log, begun[4].log], [[], []]);
  for (let index = 1; index < 5; index += 1) {
    sent[index]();
    await settled();
  }
  assert.equal(sent.length, 5);
  assert.ok(begun.every(({ log }, index) => index === 3 || log.length === 1));
  // All places are free again.
  const last = [begin(), begin(), begin()];
  await settled();
  assert.equal(sent.length, 8);
  for (const { transport } of last) {
    transport.stop();
  }
  for (const respond of sent) {
    respond();
  }
  await settled();
});

test("sound is part of the offer only if it is on", async (t) => {
  const { peer, transport, job, element } = await setUp(t, { sound: true });
  assert.deepEqual(peer.kinds, ["video", "audio"]);
  assert.equal(element.muted, false);
  job.sound.isHidden = true;
  assert.equal(transport.applySound(), true);
  assert.equal(element.muted, true);
  mock.restoreAll();
  const silent = await setUp(t);
  silent.job.sound.isOn = true;
  assert.equal(silent.transport.applySound(), false);
});

test("a refusal has the service's reason", async (t) => {
  for (const [code, failure] of [
    ["webrtc_unsupported", { reason: "codec" }],
    ["webrtc_unavailable", { reason: "not_offered" }],
  ]) {
    const cause = { code, detail: "no" };
    const body = JSON.stringify(cause);
    const { log } = await setUp(t, { answer: { status: 409 }, body });
    assert.equal(log[0].failed.reason, failure.reason);
    assert.equal(log[0].failed.cause.code, code);
    mock.restoreAll();
  }
  const body = JSON.stringify({ code: "unauthorized", detail: "the session has ended" });
  const { log } = await setUp(t, { answer: { status: 401 }, body });
  assert.equal(log[0].failed.problem.code, "unauthorized");
});

/** Lets the service end the session. `response` is that to the request for the reason. */
async function close(peer, response) {
  globalThis.fetch = () => Promise.resolve(response);
  const [{ transport }] = peer.receivers;
  transport.state = "closed";
  transport.dispatchEvent(new Event("statechange"));
  await settled();
}

test("the end of the permission is noticed at once", async (t) => {
  const { peer, log } = await setUp(t);
  const body = JSON.stringify({ code: "unauthorized", detail: "the session has ended" });
  await close(peer, new Response(body, { status: 401 }));
  assert.equal(log[0].failed.problem.code, "unauthorized");
});

test("another end of the session is noticed at once", async (t) => {
  const { peer, log } = await setUp(t);
  await close(peer, new Response("", { status: 404 }));
  assert.equal(log.length, 1);
  peer.connectionState = "failed";
  peer.dispatchEvent(new Event("connectionstatechange"));
  assert.deepEqual(log, [{ failed: { reason: "connection" } }]);
});

test("the figures follow from the browser's counters, and few lost packets are steady", async (t) => {
  const { transport, run, log } = await setUp(t);
  await run(3);
  const { age, rate, interval } = transport.keepUp();
  assert.ok(Math.abs(age - 0.03) < 0.001);
  assert.ok(Math.abs(rate - 800_000) < 2000);
  assert.ok(Math.abs(interval - 40) < 1);
  assert.deepEqual(log, []);
  await run(6);
  assert.ok(log.includes("steady"));
});

test("many lost packets are too slow", async (t) => {
  const { run, log } = await setUp(t);
  await run(7, { received: 80, lost: 20 });
  assert.ok(log.length > 0);
  assert.ok(log.every((event) => "slow" in event));
});

test("a smaller picture of the main stream means that the service has changed to the sub stream", async (t) => {
  const { run, log } = await setUp(t);
  await run(3);
  await run(1, { width: 640 });
  assert.deepEqual(Object.keys(log[0]), ["slow"]);
  mock.restoreAll();
  const sub = await setUp(t, { key: "front~sub" });
  await sub.run(3);
  await sub.run(1, { width: 640 });
  assert.deepEqual(sub.log, []);
  mock.restoreAll();
  // A camera can change its resolution, for example at night.
  const only = await setUp(t, { hasSub: false });
  await only.run(3);
  await only.run(1, { width: 640 });
  assert.deepEqual(only.log, []);
});

test("a camera that sends nothing is no sign of a slow connection", () => {
  const meter = new LossMeter();
  for (let second = 0; second < 10; second += 1) {
    meter.add(second * 1000, second * 10, 0);
  }
  assert.equal(meter.isTooSlow(9000), false);
  assert.equal(meter.isSteady(9000), false);
});
