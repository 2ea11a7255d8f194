// Players of recordings in a simulated browser, with simulated recordings, a simulated hls.js and a simulated clock.
import { mock } from "node:test";
import { fileURLToPath } from "node:url";

import { install, settled } from "./browser.mjs";
import { load } from "./load.mjs";

install();
const nothing = () => undefined;
const STEP_MS = 50;

class FakeVideo extends EventTarget {
  classList = { add: nothing, remove: nothing };
  readyState = 4;
  seeking = false;
  paused = true;
  ended = false;
  playbackRate = 1;
  remove = nothing;
  seeks = 0;
  /** Whether seeks do not end, because the data of the new position is late. */
  isLate = false;
  end = 0;
  #position = 0;

  get currentTime() {
    return this.#position;
  }

  set currentTime(position) {
    this.#position = position;
    this.ended = false;
    this.seeks += 1;
    this.seeking = true;
    queueMicrotask(() => this.arrive());
  }

  /** Ends a seek, unless its data is late. */
  arrive() {
    if (this.seeking && !this.isLate) {
      this.seeking = false;
      this.dispatchEvent(new Event("seeked"));
    }
  }

  /** Plays for some seconds. */
  advance(seconds) {
    if (!this.paused && this.readyState >= 3 && !this.seeking) {
      this.#position = Math.min(this.end, this.#position + seconds * this.playbackRate);
      this.ended = this.#position === this.end;
    }
  }

  play() {
    this.paused = false;
    return Promise.resolve();
  }

  pause() {
    this.paused = true;
  }
}

class FakeHls {
  static Events = { LEVEL_UPDATED: "updated", LEVEL_LOADED: "loaded", ERROR: "error" };
  static ErrorTypes = { MEDIA_ERROR: "mediaError" };
  static DefaultConfig = { fragLoadPolicy: { default: {} } };
  static world;
  config = {};
  stopLoad = nothing;
  destroy = nothing;
  #target = new EventTarget();

  constructor() {
    FakeHls.world.players.push(this);
  }

  on(name, listener, options) {
    this.#target.addEventListener(name, ({ detail }) => listener(name, detail), options);
  }

  once(name, listener) {
    this.on(name, listener, { once: true });
  }

  emit(name, detail) {
    this.#target.dispatchEvent(new CustomEvent(name, { detail }));
  }

  /** Reports a fatal error with this status and code. */
  fail({ status = 0, code, details = "" }) {
    const body = code ? JSON.stringify({ code, detail: code }) : "";
    const networkDetails = { responseType: "", responseText: body };
    const type = "networkError";
    this.emit("error", { type, details, fatal: true, response: { code: status }, networkDetails });
  }

  attachMedia(video) {
    this.video = video;
  }

  loadSource(address) {
    const { world } = FakeHls;
    world.playlists.push({ address, at: performance.now() });
    this.address = address;
    queueMicrotask(() => {
      const fragments = world.fragmentsOf(new URL(address).searchParams);
      const problem =
        world.refuse(address) ??
        (fragments.length === 0 ? { status: 404, code: "no_recordings" } : null);
      if (problem) {
        this.fail(problem);
        return;
      }
      const last = fragments.at(-1);
      this.video.end = last.start + last.duration;
      this.emit("loaded", { details: { fragments, live: world.isGrowing } });
    });
  }

  /** Loads the playlist again, which may contain more now. */
  update() {
    const { world } = FakeHls;
    const fragments = world.fragmentsOf(new URL(this.address).searchParams);
    const last = fragments.at(-1);
    this.video.end = last.start + last.duration;
    this.emit("updated", { details: { fragments, live: world.isGrowing } });
  }

  startLoad(position) {
    this.video.currentTime = position;
  }
}

globalThis.Hls = FakeHls;
document.createElement = () => new FakeVideo();
const alias = [
  { find: /^hls\.js\/.*/, replacement: fileURLToPath(new URL("hls.mjs", import.meta.url)) },
];
const { InStep } = await load("playback/recordings/in-step.ts", false, alias);

/**
 * Returns players of `count` cameras, which were recorded at the times `spans`, in Unix milliseconds. `playlists` and
 * `files` have the requests; `refuse` returns the problem of a playlist, and null if it is available; `isGrowing` tells
 * whether playlists are still being written.
 */
export function setUp(t, spans, count = 1) {
  let now = 1000;
  mock.timers.enable({ apis: ["setTimeout", "setInterval"] });
  mock.method(performance, "now", () => now);
  const world = {
    players: [],
    playlists: [],
    files: [],
    renewals: 0,
    refuse: () => null,
    isGrowing: false,
  };
  FakeHls.world = world;
  /** Returns the recordings within the time of a request. */
  const within = (query) => {
    const [from, to] = [Date.parse(query.get("from")), Date.parse(query.get("to"))];
    return spans
      .map(([begin, end]) => [Math.max(begin, from), Math.min(end, to)])
      .filter(([begin, end]) => begin < end);
  };
  world.fragmentsOf = (query) => {
    let start = 0;
    return within(query).map(([begin, end]) => {
      const duration = (end - begin) / 1000;
      start += duration;
      return { start: start - duration, duration, programDateTime: begin };
    });
  };
  const text = (date) => new Date(date).toISOString();
  mock.method(globalThis, "fetch", (address) => {
    world.files.push(address);
    const found = within(new URL(address).searchParams);
    return Promise.resolve(
      Response.json({
        first: text(spans[0][0]),
        last: text(spans.at(-1)[1]),
        spans: found.map(([from, to]) => ({ from: text(from), to: text(to) })),
      }),
    );
  });
  const source = {
    limit: null,
    ready: () => Promise.resolve(),
    addressOf: (stream, file, query) =>
      `http://cameras/recordings/${stream}/${file}?${new URLSearchParams(query)}`,
    current: (address) => address,
    renew: () => {
      world.renewals += 1;
      return Promise.resolve();
    },
  };
  const recordings = Array.from({ length: count }, (_, n) => ({
    stream: `cam${n}`,
    isConverted: false,
  }));
  const group = new InStep(
    source,
    recordings,
    recordings.map(() => ({ append: nothing })),
  );
  t.after(() => {
    group.destroy();
    mock.restoreAll();
    mock.timers.reset();
  });
  /** Lets time pass, in which the videos play. */
  const run = async (milliseconds) => {
    for (let passed = 0; passed < milliseconds; passed += STEP_MS) {
      now += STEP_MS;
      for (const { video } of world.players) {
        video.advance(STEP_MS / 1000);
      }
      mock.timers.tick(STEP_MS);
      await settled();
    }
  };
  /** Shows a date, and plays. */
  const playFrom = async (date) => {
    void group.seek(date);
    await run(500);
    group.play();
    await run(100);
  };
  return { group, world, run, playFrom };
}
