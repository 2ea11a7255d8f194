// A simulated browser, with the parts that the transports need.

/** A WebSocket whose other end is the test. */
export class FakeSocket {
  static OPEN = 1;
  static last = null;
  readyState = 0;
  sent = [];

  constructor(url) {
    this.url = url;
    FakeSocket.last = this;
  }

  open() {
    this.readyState = FakeSocket.OPEN;
    this.onopen?.();
  }

  /** Sends a message to the page: an object, or an ArrayBuffer. */
  async deliver(message) {
    this.onmessage({ data: message instanceof ArrayBuffer ? message : JSON.stringify(message) });
    await settled();
  }

  /** Ends the connection. */
  async drop(reason = "") {
    this.readyState = 3;
    this.onclose?.({ reason });
    await settled();
  }

  send(text) {
    this.sent.push(JSON.parse(text));
  }

  close() {
    this.readyState = 3;
  }
}

/** An element of a tile. */
export class FakeElement extends EventTarget {
  dataset = {};
  paused = true;
  muted = true;
  currentTime = 0;
  frames = 0;
  drawn = [];
  parentElement = { clientWidth: 500 };

  getContext() {
    return { drawImage: (picture) => this.drawn.push(picture.name ?? picture.timestamp) };
  }

  getVideoPlaybackQuality() {
    return { totalVideoFrames: this.frames };
  }

  play() {
    this.paused = false;
    return Promise.resolve();
  }
}

/** Lets all promises settle that do not wait for a timer. */
export async function settled() {
  for (let turn = 0; turn < 5; turn += 1) {
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Installs the browser. Call this before the modules of the page are loaded. */
export function install() {
  const storage = { getItem: () => null, setItem: () => undefined, removeItem: () => undefined };
  const target = new EventTarget();
  Object.assign(globalThis, {
    WebSocket: FakeSocket,
    HTMLVideoElement: class {},
    HTMLCanvasElement: class {},
    HTMLMediaElement: { HAVE_CURRENT_DATA: 2, HAVE_FUTURE_DATA: 3 },
    localStorage: storage,
    sessionStorage: storage,
    devicePixelRatio: 1,
    location: { hash: "" },
    document: Object.assign(new EventTarget(), { baseURI: "http://cameras/", hidden: false }),
    addEventListener: target.addEventListener.bind(target),
    removeEventListener: target.removeEventListener.bind(target),
    dispatchEvent: target.dispatchEvent.bind(target),
  });
}

/** Returns what a transport plays, a log of what it reports, and the element that is visible until it has a picture. */
export function jobFor({ sound = false, key = "front", hasSub = true } = {}) {
  const log = [];
  const element = new FakeElement();
  const visible = new FakeElement();
  const report = (name) => (value) => log.push(value === undefined ? name : { [name]: value });
  const names = [
    "picture",
    "grown",
    "restart",
    "renew",
    "soundless",
    "away",
    "slow",
    "steady",
    "failed",
  ];
  const events = Object.fromEntries(names.map((name) => [name, report(name)]));
  const shown = { peek: () => visible };
  const screen = { takeCanvas: () => element, takeVideo: () => element, shown };
  const host = { addressOf: (stream, file) => `http://cameras/streams/${stream}/${file}` };
  const volume = { peek: () => 1, subscribe: () => () => undefined };
  const job = {
    host,
    key,
    screen,
    sound: { isOn: sound, volume },
    hasSub,
    isLowLatency: true,
    isWall: false,
  };
  const nothing = () => undefined;
  return { job, log, element, visible, events: { ...events, accepted: nothing, media: nothing } };
}
