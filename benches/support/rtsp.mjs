// Cameras that cost next to nothing: an RTSP server that sends the frames of one clip to all who
// ask, over TCP. Only what a viewer's copy differs in is written anew, and a frame is one write.
import { once } from "node:events";
import { createServer } from "node:net";

/** How often it is looked which frames are due. */
const TICK_MILLISECONDS = 4;
/** A viewer that is this many bytes behind is let go, as cameras do. */
const MAX_BEHIND = 8 * 1024 * 1024;
/** Phases of cameras lie this part of a GOP apart, which spreads any number of them evenly. */
const GOLDEN = 0.618_033_988_75;
const USER = "viewer";

/** One camera: a moment in the clip, and what may be wrong with it. */
export class Camera {
  /** Neither sends nor answers, but keeps its connections. */
  isFrozen = false;
  /** Without one, everybody may watch. */
  password = null;

  constructor(clip, number) {
    const gop = (clip.gopFrames * 1000) / clip.fps;
    /** Milliseconds by which it is ahead of the clock. */
    this.phase = ((number * GOLDEN) % 1) * gop;
  }

  allows(authorization) {
    const right = Buffer.from(`${USER}:${this.password}`).toString("base64");
    return this.password === null || authorization === `Basic ${right}`;
  }
}

/** Who watches a camera over one connection. */
class Viewer {
  #sequence = Math.floor(Math.random() * 0x10000);
  #source = Math.floor(Math.random() * 0x1_0000_0000);
  #frame = null;
  #text = Buffer.alloc(0);
  #camera = null;

  constructor(server, socket) {
    this.server = server;
    this.socket = socket;
    socket.on("data", (bytes) => this.#read(bytes));
    socket.on("error", () => {});
  }

  #read(bytes) {
    this.#text = this.#text.length ? Buffer.concat([this.#text, bytes]) : bytes;
    for (;;) {
      const size = this.#text[0] === 0x24 ? this.#binarySize() : this.#requestSize();
      if (size === 0) {
        return;
      }
      const message = this.#text.subarray(0, size);
      this.#text = this.#text.subarray(size);
      if (message[0] !== 0x24) {
        this.#answer(message.toString("latin1"));
      }
    }
  }

  /** Reports of receivers, which nobody reads. */
  #binarySize() {
    const size = this.#text.length >= 4 ? 4 + this.#text.readUInt16BE(2) : Infinity;
    return size <= this.#text.length ? size : 0;
  }

  #requestSize() {
    const end = this.#text.indexOf("\r\n\r\n");
    return end < 0 ? 0 : end + 4;
  }

  #answer(request) {
    const [, method, url] = /^(\w+) (\S+)/.exec(request) ?? [];
    const header = (name) => new RegExp(`^${name}: *(.*?)\r$`, "im").exec(request)?.[1];
    const camera = (this.#camera ??= this.server.find(url));
    if (camera?.isFrozen) {
      return;
    }
    const reply = (status, headers = {}, body = "") => {
      const all = { CSeq: header("CSeq"), Session: "1;timeout=60", ...headers };
      const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
      this.socket.write(`RTSP/1.0 ${status}\r\n${lines.join("")}\r\n${body}`);
    };
    if (!camera) {
      reply("404 Not Found");
    } else if (method !== "OPTIONS" && !camera.allows(header("Authorization"))) {
      reply("401 Unauthorized", { "WWW-Authenticate": 'Basic realm="camera"' });
    } else {
      this.#serve(method, url, header("Transport"), reply);
    }
  }

  #serve(method, url, transport, reply) {
    const { sdp } = this.server.clip;
    switch (method) {
      case "OPTIONS":
        return reply("200 OK", { Public: "DESCRIBE, SETUP, PLAY, GET_PARAMETER, TEARDOWN" });
      case "DESCRIBE": {
        const headers = { "Content-Type": "application/sdp", "Content-Base": `${url}/` };
        return reply("200 OK", { ...headers, "Content-Length": sdp.length }, sdp);
      }
      case "SETUP":
        return transport?.includes("TCP")
          ? reply("200 OK", { Transport: "RTP/AVP/TCP;unicast;interleaved=0-1" })
          : reply("461 Unsupported Transport");
      case "PLAY":
        reply("200 OK", { Range: "npt=now-" });
        this.#frame = this.#frameAt(Date.now()) + 1;
        return;
      case "TEARDOWN":
        reply("200 OK");
        return this.socket.end();
      default:
        return reply("200 OK");
    }
  }

  #frameAt(now) {
    return Math.floor(((now + this.#camera.phase) * this.server.clip.fps) / 1000);
  }

  /** Sends what is due. */
  tick(now) {
    if (this.#frame === null || this.#camera.isFrozen) {
      return;
    }
    const last = this.#frameAt(now);
    // After a frost the camera goes on with what it sees then.
    this.#frame = Math.max(this.#frame, last - this.server.clip.fps);
    for (; this.#frame <= last; this.#frame += 1) {
      this.#send(this.#frame);
    }
    if (this.socket.writableLength > MAX_BEHIND) {
      this.socket.destroy();
    }
  }

  #send(number) {
    const { frames, ticksPerFrame } = this.server.clip;
    const frame = frames[number % frames.length];
    const time = Math.floor(number * ticksPerFrame) % 0x1_0000_0000;
    this.socket.write(frame.patched(this.#sequence, time, this.#source));
    this.#sequence = (this.#sequence + frame.offsets.length) & 0xffff;
    if (this.socket.writableLength > 0) {
      // The kernel did not take all of it at once.
      frame.giveAway();
    }
  }
}

/** Serves those cameras that `find` knows by URL. */
export class RtspServer {
  #viewers = new Set();
  #server = createServer({ noDelay: true }, (socket) => {
    const viewer = new Viewer(this, socket);
    this.#viewers.add(viewer);
    socket.on("close", () => this.#viewers.delete(viewer));
  });
  #timer = null;

  constructor(clip, find) {
    this.clip = clip;
    this.find = find;
  }

  /** Begins to answer; returns the port. */
  async listen(address = "127.0.0.1", port = 0) {
    this.#server.listen(port, address, 4096);
    await once(this.#server, "listening");
    this.#timer = setInterval(() => {
      const now = Date.now();
      this.#viewers.forEach((viewer) => viewer.tick(now));
    }, TICK_MILLISECONDS);
    return this.#server.address().port;
  }

  /** How many connections there are. */
  get viewers() {
    return this.#viewers.size;
  }

  /** Is gone at once, without a word to anybody, as in a power cut. */
  async die() {
    clearInterval(this.#timer);
    const closed = once(this.#server, "close");
    this.#server.close();
    this.#viewers.forEach(({ socket }) => socket.resetAndDestroy());
    await closed;
  }
}
