// A LivePlayer in a simulated browser that has WebCodecs only, with a simulated service and clock.
import { mock } from "node:test";

import { FakeElement, FakeSocket, install, settled } from "./browser.mjs";
import { load } from "./load.mjs";

install();
const nothing = () => undefined;

class FakeVideo extends FakeElement {
  after = nothing;
  removeAttribute = nothing;
  load = nothing;
  canPlayType() {
    return "";
  }
}
class FakeCanvas extends FakeElement {}
class FakeDecoder {
  state = "configured";
  decodeQueueSize = 0;
  constructor({ output }) {
    this.output = output;
  }
  static isConfigSupported() {
    return Promise.resolve({ supported: true });
  }
  configure = nothing;
  decode({ timestamp }) {
    this.output({ timestamp, displayWidth: 640, displayHeight: 360, close: () => undefined });
  }
  close() {
    this.state = "closed";
  }
}
Object.assign(globalThis, {
  isSecureContext: true,
  HTMLVideoElement: FakeVideo,
  HTMLCanvasElement: FakeCanvas,
  HTMLMediaElement: { HAVE_CURRENT_DATA: 2, HAVE_FUTURE_DATA: 3 },
  VideoDecoder: FakeDecoder,
  EncodedVideoChunk: class {
    constructor(init) {
      Object.assign(this, init);
    }
  },
});
document.createElement = (name) => (name === "canvas" ? new FakeCanvas() : new FakeVideo());
const { LivePlayer } = await load("player/live.ts");

const MEDIA = {
  type: "media",
  epoch: 1,
  video: { codec: "avc1.64002A", width: 640, height: 360 },
};
const constant = (value) => ({ value, peek: () => value, subscribe: () => () => undefined });

/**
 * Returns a player that plays the main stream by WebCodecs. `starts` has the streams that it has
 * started, and `failing` those that do not start.
 */
export async function setUp(t) {
  let now = 1000;
  mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"], now: 1e12 });
  mock.method(performance, "now", () => now);
  t.after(() => {
    mock.restoreAll();
    mock.timers.reset();
  });
  const starts = [];
  const failing = new Set();
  const host = {
    volume: constant(1),
    newestPermission: constant(null),
    webRtcOffered: constant(false),
    refusals: { of: () => undefined, remember: () => undefined, forget: () => undefined },
    addPlayer: () => undefined,
    removePlayer: () => undefined,
    obtainPermission: () => Promise.resolve(),
    addressOf: (stream, file) => `http://cameras/streams/${stream}/${file}`,
    learnOffers: () => Promise.resolve(),
    start: ({ profile }) => {
      starts.push(profile);
      return failing.has(profile)
        ? Promise.reject(new Error("the stream does not start"))
        : Promise.resolve(true);
    },
  };
  const player = new LivePlayer(new FakeVideo(), new FakeCanvas(), host);
  let number = 0;
  const describe = () => FakeSocket.last.deliver(MEDIA);
  /** Lets the newest socket open and describe the media. */
  const open = async () => {
    FakeSocket.last.open();
    await describe();
  };
  /** Lets a frame arrive at a socket. */
  const arrive = async (socket = FakeSocket.last, { isKeyframe = true } = {}) => {
    const message = new ArrayBuffer(26);
    const header = new DataView(message);
    number += 1;
    header.setUint8(1, isKeyframe ? 1 : 0);
    header.setUint32(4, number);
    header.setBigUint64(8, BigInt(number * 40_000));
    header.setBigUint64(16, BigInt(Date.now() * 1000));
    await socket.deliver(message);
  };
  /** Lets time pass. */
  const run = async (milliseconds) => {
    for (let passed = 0; passed < milliseconds; passed += 100) {
      now += 100;
      mock.timers.tick(100);
      await settled();
    }
  };
  player.adaptation.setHasSub(true);
  const request = { id: "front", profile: "main", isLowLatency: true, isWall: false, waits: true };
  player.play({ ...request, choice: "webcodecs" });
  await settled();
  await open();
  await arrive();
  await run(200);
  t.after(() => player.stop());
  return { player, starts, failing, run, open, arrive, describe };
}
