// Tests that another transport shows a picture soon if the best one breaks, before and while it plays. Each transport of
// the page is broken in several ways.
import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { stage } from "./support/stage.mjs";
import { until } from "./support/until.mjs";
import { SECONDS } from "./support/viewer.mjs";

/** The time within which another transport must show a picture, in milliseconds. */
const REPLACED_MS = 2000;
/** The time within which a transport that the user has chosen must show a picture again. */
const AGAIN_MS = 5000;
const SETTINGS = { WEBRTC_PORT: "0", WEBRTC_ADDRESSES: "127.0.0.1" };

/** Runs in the page before its own scripts: lets tests break sockets and WebRTC, and notes when a tile begins. */
function tap({ without, broken }) {
  const isLive = (url) => /\/live$/.test(url);
  const isPictures = (url) => /\/mjpeg\?/.test(url);
  const kinds = { live: isLive, mjpeg: isPictures };
  globalThis.broken = broken;
  globalThis.sockets = [];
  globalThis.peers = [];
  const RealSocket = globalThis.WebSocket;
  globalThis.WebSocket = class extends RealSocket {
    constructor(url) {
      const kind = Object.keys(kinds).find((each) => kinds[each](url));
      const how = globalThis.broken[kind];
      super(how === "refused" ? url.replace(/(live|mjpeg\?.*)$/, "refused") : url);
      this.kind = kind;
      globalThis.sockets.push(this);
      if (how === "hangs") {
        this.send = () => undefined;
      }
    }
  };
  if (globalThis.RTCPeerConnection) {
    globalThis.RTCPeerConnection = class extends RTCPeerConnection {
      constructor(...args) {
        super(...args);
        globalThis.peers.push(this);
      }
      setRemoteDescription({ type, sdp }) {
        // Nothing receives datagrams at port 9.
        const isBlocked = globalThis.broken.webrtc === "blocked";
        const changed = isBlocked ? sdp.replace(/(127\.0\.0\.1) \d+ typ/g, "$1 9 typ") : sdp;
        return super.setRemoteDescription({ type, sdp: changed });
      }
    };
  }
  for (const name of without) {
    delete globalThis[name];
  }
  const begin = performance.now.bind(performance);
  const { fetch } = globalThis;
  globalThis.fetch = async (url, ...rest) => {
    const response = await fetch(url, ...rest);
    if (String(url).includes("/stream/start")) {
      globalThis.begunAt ??= begin() + performance.timeOrigin;
    }
    return response;
  };
}

/** Runs in the page: breaks what plays. */
const ACTS = {
  "closed socket": (kind) => {
    globalThis.broken[kind] = "refused";
    globalThis.sockets.findLast((socket) => socket.kind === kind).close();
  },
  "silent socket": (kind) => {
    globalThis.broken[kind] = "hangs";
    globalThis.sockets.findLast((socket) => socket.kind === kind).onmessage = null;
  },
  "silent WebRTC": () => {
    globalThis.broken.webrtc = "blocked";
    globalThis.peers.at(-1).close();
  },
  "broken decoder": () => {
    globalThis.VideoDecoder.prototype.decode = () => {
      throw new DOMException("broken", "EncodingError");
    };
  },
  "broken buffer": () => {
    globalThis.SourceBuffer.prototype.appendBuffer = () => {
      throw new DOMException("broken", "InvalidStateError");
    };
  },
};

/** Runs in the page: breaks the pictures that play, but not those of the next socket. */
const AGAIN = {
  "closed socket": () => globalThis.sockets.at(-1).close(),
  "silent socket": () => {
    globalThis.sockets.at(-1).onmessage = null;
  },
};

/** What a page lacks, so that a transport is the best one. */
const WITHOUT = {
  webcodecs: [],
  webrtc: ["VideoDecoder"],
  mse: ["VideoDecoder", "RTCPeerConnection"],
  hls: ["VideoDecoder", "RTCPeerConnection"],
  mjpeg: [],
};

describe("a tile shows a picture by another transport", { concurrency: false }, () => {
  const on = stage(SETTINGS);

  async function open(t, id, best, broken = {}, options = {}) {
    await on.putCopy(id);
    await on.service.start(id);
    await until(`${id} runs`, SECONDS, async () => (await on.service.status(id)).state === "live");
    const viewer = await on.visit(t, "#/status", options);
    await viewer.page.addInitScript(tap, { without: WITHOUT[best], broken });
    if (broken.hls) {
      await viewer.page.route(`**/streams/${id}/*.m3u8*`, (route) => route.abort());
    }
    if (broken.whep) {
      await viewer.page.route(`**/streams/${id}/whep`, (route) => route.abort());
    }
    await viewer.page.goto(`${on.service.origin}/?page#/?cameras=${id}`);
    return viewer;
  }

  /** Waits until a tile plays by one of these transports. */
  const uses = (viewer, ...names) =>
    until(`a picture by ${names}`, SECONDS, async () => {
      const { state } = (await viewer.describe()) ?? {};
      return state === "live" && names.includes(await viewer.transport());
    });

  const BEFORE = [
    ["webcodecs", "is refused", { live: "refused" }],
    ["webcodecs", "gets no answer", { live: "hangs" }],
    ["webrtc", "cannot connect", { webrtc: "blocked" }],
    ["webrtc", "is refused", { whep: true }],
    ["mse", "gets no answer", { live: "hangs" }],
    ["hls", "fails", { live: "refused", hls: true }],
  ];
  for (const [best, name, broken] of BEFORE) {
    test(`if ${best} ${name} from the beginning`, async (t) => {
      const id = `before-${best}-${Object.values(broken).join("-")}`;
      const viewer = await open(t, id, best, broken);
      const begun = () => viewer.page.evaluate(() => globalThis.begunAt);
      const begunAt = await until("the response to the start", SECONDS, begun);
      await until("a picture", SECONDS, () => viewer.pictureTime());
      const time = Date.now() - begunAt;
      t.diagnostic(`a picture by ${await viewer.transport()} after ${Math.round(time)} ms`);
      assert.notEqual(await viewer.transport(), best);
      assert.ok(time < REPLACED_MS, `a picture after ${time} ms`);
      await viewer.sees("live");
    });
  }

  const DURING = [
    ["webcodecs", "closed socket", "live"],
    ["webcodecs", "silent socket", "live"],
    ["webcodecs", "broken decoder"],
    ["webrtc", "silent WebRTC"],
    ["mse", "closed socket", "live"],
    ["mse", "silent socket", "live"],
    ["mse", "broken buffer"],
  ];
  for (const [best, act, argument] of DURING) {
    test(`if ${best} breaks while it plays (${act})`, async (t) => {
      const viewer = await open(t, `during-${best}-${act.replaceAll(" ", "-")}`, best);
      await uses(viewer, best);
      await viewer.watches(2);
      await viewer.page.evaluate(ACTS[act], argument);
      const brokenAt = Date.now();
      await viewer.seesPictureNewerThan(brokenAt + 300);
      const time = Date.now() - brokenAt;
      t.diagnostic(`a picture by ${await viewer.transport()} after ${time} ms`);
      assert.notEqual(await viewer.transport(), best);
      assert.ok(time < REPLACED_MS, `a picture after ${time} ms`);
    });
  }

  test("if HLS breaks while it plays", async (t) => {
    const viewer = await open(t, "during-hls", "hls", { live: "refused" });
    await uses(viewer, "hls");
    await viewer.watches(2);
    await viewer.page.route("**/streams/during-hls/*.{m3u8,m4s}*", (route) => route.abort());
    const brokenAt = Date.now();
    await viewer.seesPictureNewerThan(brokenAt + 600);
    const time = Date.now() - brokenAt;
    t.diagnostic(`a picture by ${await viewer.transport()} after ${time} ms`);
    await uses(viewer, "mjpeg");
    assert.ok(time < REPLACED_MS, `a picture after ${time} ms`);
  });

  for (const transport of ["webcodecs", "mse"]) {
    test(`again, if ${transport} was chosen and becomes silent`, async (t) => {
      const viewer = await open(t, `again-${transport}`, "webcodecs", {}, { transport });
      await uses(viewer, transport);
      await viewer.watches(2);
      await viewer.page.evaluate(AGAIN["silent socket"]);
      const brokenAt = Date.now();
      await viewer.seesPictureNewerThan(brokenAt + 300);
      const time = Date.now() - brokenAt;
      t.diagnostic(`a picture after ${time} ms`);
      await uses(viewer, transport);
      assert.ok(time < AGAIN_MS, `a picture after ${time} ms`);
    });
  }

  for (const act of ["closed socket", "silent socket"]) {
    test(`again, if MJPEG was chosen and breaks (${act})`, async (t) => {
      const id = `during-mjpeg-${act.split(" ")[0]}`;
      const viewer = await open(t, id, "mjpeg", {}, { transport: "mjpeg" });
      await uses(viewer, "mjpeg");
      await viewer.watches(1);
      await viewer.page.evaluate(AGAIN[act]);
      const brokenAt = Date.now();
      await viewer.seesPictureNewerThan(brokenAt + 300);
      await uses(viewer, "mjpeg");
    });
  }
});
