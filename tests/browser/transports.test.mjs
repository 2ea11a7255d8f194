// Tests the transports of the page: each plays, and is replaced when it breaks.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { Camera } from "./support/camera.mjs";
import { stage } from "./support/stage.mjs";
import { until, untilEqual } from "./support/until.mjs";
import { launchBrowser, SECONDS, Viewer } from "./support/viewer.mjs";

/** `./deploy/test --long` also runs tests that other tests almost cover. */
const IS_LONG = Boolean(process.env.LONG_TESTS);
/** The time within which another transport must show a picture, in milliseconds. */
const REPLACED_MS = 2000;
/** Greatest median age of the picture in milliseconds, by transport. A busy machine needs a margin. */
const MAX_AGE_MS = { webcodecs: 250, mse: 400, hls: 1000 };
const MEASURED = 25;

/** Runs in the page before its own scripts: keeps the page's sockets, and lets tests break them. */
function tapSockets() {
  const Real = globalThis.WebSocket;
  globalThis.sockets = [];
  globalThis.areBlocked = false;
  globalThis.WebSocket = class extends Real {
    constructor(url) {
      super(globalThis.areBlocked ? url.replace(/\/live$/, "/blocked") : url);
      globalThis.sockets.push(this);
    }
  };
  globalThis.decodedAudio = 0;
  const { AudioDecoder } = globalThis;
  globalThis.AudioDecoder = class extends AudioDecoder {
    constructor({ output, error }) {
      const count = (data) => {
        globalThis.decodedAudio += data.numberOfFrames;
        output(data);
      };
      super({ output: count, error });
    }
  };
}

/** Opens a tile of camera `id` with tapped sockets. `prepare` runs in the page before its own scripts. */
async function open(t, on, id, transport, prepare) {
  const viewer = await on.visit(t, "#/status", { transport });
  await viewer.page.addInitScript(tapSockets);
  if (prepare) {
    await viewer.page.addInitScript(prepare);
  }
  await viewer.page.goto(`${on.service.origin}/?page#/?cameras=${id}`);
  return viewer;
}

/** Waits until a tile plays by one of these transports. */
function uses(viewer, ...transports) {
  return until(`a picture by ${transports}`, SECONDS, async () => {
    const { state } = (await viewer.describe()) ?? {};
    return state === "live" && transports.includes(await viewer.transport());
  });
}

/** Returns the median age of the picture in milliseconds. */
async function medianAge(viewer) {
  const ages = [];
  for (let index = 0; index < MEASURED; index += 1) {
    ages.push(Date.now() - (await viewer.pictureTime()));
    await sleep(67);
  }
  return ages.sort((a, b) => a - b)[Math.floor(MEASURED / 2)];
}

/** Breaks the transport with `act` in the page. Returns the milliseconds until the page shows a newer picture. */
async function breakWith(viewer, act) {
  await viewer.page.evaluate(act);
  const brokenAt = Date.now();
  // The frames that were on their way at that moment do not count.
  await viewer.seesPictureNewerThan(brokenAt + 300);
  return Date.now() - brokenAt;
}

/** Acts that break a transport while it plays. */
const BREAKS = {
  "is closed": () => {
    globalThis.areBlocked = true;
    globalThis.sockets.at(-1).close();
  },
  "becomes silent": () => {
    globalThis.areBlocked = true;
    globalThis.sockets.at(-1).onmessage = null;
  },
};

describe("a tile", { concurrency: 2 }, () => {
  const on = stage();

  for (const transport of ["webcodecs", "mse", "hls"]) {
    test(`plays by ${transport}`, async (t) => {
      const id = `by-${transport}`;
      await on.putCopy(id);
      const viewer = await on.visit(t, `#/?cameras=${id}`, { transport });
      await uses(viewer, transport);
      await viewer.watches(5);
      const age = await medianAge(viewer);
      t.diagnostic(`median age of the picture: ${age} ms`);
      assert.ok(age < MAX_AGE_MS[transport], `the picture is ${age} ms old`);
      assert.deepEqual(viewer.problems, []);
      assert.equal(await viewer.pictureWidth(), 640);
    });
  }

  test("takes WebCodecs if it is the only one, and MSE on a wall", async (t) => {
    await on.putCopy("one");
    await on.putCopy("two");
    const viewer = await on.visit(t, "#/?cameras=one");
    await uses(viewer, "webcodecs");
    await viewer.page.goto(`${on.service.origin}/#/?cameras=one,two`);
    await until("MSE on both tiles", SECONDS, async () => {
      return (await viewer.transport("one")) === "mse" && (await viewer.transport("two")) === "mse";
    });
  });

  test("plays HLS if sockets do not work, and returns to the better transport", async (t) => {
    await on.putCopy("blocked");
    await on.service.start("blocked");
    const viewer = await open(t, on, "blocked", "auto", () => {
      globalThis.areBlocked = true;
    });
    await uses(viewer, "hls");
    const state = () => viewer.describe().then((tile) => tile.state);
    await viewer.page.evaluate(() => {
      globalThis.areBlocked = false;
    });
    await until("WebCodecs, without an interruption", SECONDS, async () => {
      assert.equal(await state(), "live");
      return (await viewer.transport()) === "webcodecs";
    });
    await viewer.watches(2);
  });

  for (const [name, act] of Object.entries(BREAKS)) {
    for (const transport of ["webcodecs", "mse"]) {
      // Without --long, fallback.test.mjs breaks sockets on a page with all transports.
      const skip = !IS_LONG && transport === "mse";
      test(`continues by HLS if the socket of ${transport} ${name}`, { skip }, async (t) => {
        const id = `${transport}-${name.replaceAll(" ", "-")}`;
        await on.putCopy(id);
        // On a page without WebCodecs, a tile takes MSE.
        const prepare = transport === "mse" ? () => delete globalThis.VideoDecoder : undefined;
        const viewer = await open(t, on, id, "auto", prepare);
        await uses(viewer, transport);
        await viewer.watches(1);
        const time = await breakWith(viewer, act);
        await uses(viewer, "hls");
        t.diagnostic(`a picture after ${time} ms`);
        assert.ok(time < REPLACED_MS, `a picture after ${time} ms`);
      });
    }
  }

  test("continues by MSE if the decoder of WebCodecs fails", async (t) => {
    await on.putCopy("decoder");
    const viewer = await open(t, on, "decoder", "auto");
    await uses(viewer, "webcodecs");
    const time = await breakWith(viewer, () => {
      globalThis.VideoDecoder.prototype.decode = () => {
        throw new DOMException("broken", "EncodingError");
      };
    });
    await uses(viewer, "mse");
    assert.ok(time < REPLACED_MS, `a picture after ${time} ms`);
  });

  test("continues by a socket if HLS breaks", async (t) => {
    await on.putCopy("no-hls");
    const viewer = await open(t, on, "no-hls", "auto", () => {
      globalThis.areBlocked = true;
    });
    await uses(viewer, "hls");
    await viewer.page.route("**/streams/no-hls/*", (route) => route.abort());
    const time = await breakWith(viewer, () => {
      globalThis.areBlocked = false;
    });
    await uses(viewer, "webcodecs", "mse");
    t.diagnostic(`a picture after ${time} ms`);
  });

  for (const transport of ["webcodecs", "mse"]) {
    test(`switches the sound on without a gap (${transport})`, async (t) => {
      const camera = await Camera.startFor(t, 0, ["--running", "h264-aac"]);
      const id = `sound-${transport}`;
      await on.service.put(id, { rtsp_link: `rtsp://127.0.0.1:${camera.port}/h264-aac` });
      const viewer = await open(t, on, id, transport);
      await uses(viewer, transport);
      await viewer.watches(1);
      await viewer.tile().hover();
      await viewer.tile().getByRole("button", { name: "Unmute" }).click();
      await until("decoded sound", SECONDS, async () => {
        assert.equal((await viewer.describe()).state, "live");
        return viewer.page.evaluate(() => {
          const video = document.querySelector(".screen > video[data-shown]");
          return globalThis.decodedAudio + (video?.webkitAudioDecodedByteCount ?? 0) > 0;
        });
      });
      await viewer.tile().getByLabel("Volume").fill("0.5");
      await viewer.tile().getByRole("button", { name: "Mute", exact: true }).click();
      const volume = () => viewer.page.evaluate(() => localStorage.getItem("volume"));
      await untilEqual("the volume is kept", SECONDS, volume, "0.5");
      await viewer.watches(1);
    });
  }

  test("shows its transport and the reasons against others, and keeps the user's choice", async (t) => {
    await on.putCopy("chosen");
    const viewer = await on.visit(t, "#/?cameras=chosen");
    await uses(viewer, "webcodecs");
    await viewer.tile().hover();
    await viewer.tile().getByRole("button", { name: "More about chosen" }).click();
    const details = viewer.page.getByRole("dialog");
    await details.getByText(/WebSocket with WebCodecs, picture 0\.\d\d s old/).waitFor();
    await details.getByLabel("Transport for this camera").selectOption("mse");
    await uses(viewer, "mse");
    await details.getByText("Low-latency HLS: not selected").waitFor();
    await viewer.page.reload();
    await uses(viewer, "mse");
  });

  test("keeps the frames that play when it removes old ones (MSE)", async (t) => {
    await on.putCopy("removing");
    const viewer = await on.visit(t, "#/?cameras=removing", { transport: "mse" });
    await uses(viewer, "mse");
    await viewer.page.evaluate(() => {
      globalThis.waits = 0;
      document.querySelector("video").addEventListener("waiting", () => (globalThis.waits += 1));
    });
    const begin = () =>
      viewer.page.evaluate(() => document.querySelector("video").buffered.start(0));
    const first = await begin();
    await until("the removal of played video", SECONDS, async () => (await begin()) > first + 4);
    assert.equal((await viewer.describe()).state, "live");
    const { currentTime } = await viewer.video();
    assert.ok(currentTime - (await begin()) >= 9);
  });
});

describe("a tile on a page at http:// that is not localhost", () => {
  const on = stage({ ALLOW_ANONYMOUS: "", API_KEYS: "desk:admin:desk-secret-0000001" });

  test("plays by MSE, because WebCodecs needs a secure context", async (t) => {
    const browser = await launchBrowser(["--host-resolver-rules=MAP cameras.lan 127.0.0.1"]);
    t.after(() => browser.close());
    await on.putCopy("plain", {}, "desk-secret-0000001");
    const { port } = new URL(on.service.origin);
    const viewer = await Viewer.openFor(t, browser, `http://cameras.lan:${port}/#/?cameras=plain`);
    await viewer.page.getByLabel("API key").fill("desk-secret-0000001");
    await viewer.page.getByRole("button", { name: "Sign in" }).click();
    await uses(viewer, "mse");
    await viewer.watches(2);
    await viewer.tile().hover();
    await viewer.tile().getByRole("button", { name: "More about plain" }).click();
    const details = viewer.page.getByRole("dialog");
    await details.getByText("WebSocket with WebCodecs: requires HTTPS").waitFor();
  });
});
