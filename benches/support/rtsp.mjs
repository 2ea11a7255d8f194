// Cameras that need very little processor time: an RTSP server that sends the same clip to all clients over
// TCP. For each client, it only changes a few header fields, and sends each frame with one write.
import { once } from "node:events";
import { createServer } from "node:net";

/** Time between two checks for frames that are due. */
const TICK_MILLISECONDS = 4;
/**
 * If more bytes than this are waiting for a viewer, the server disconnects that viewer, as real cameras do.
 */
const MAX_UNSENT_BYTES = 8 * 1024 * 1024;
/**
 * Offset between consecutive cameras as a fraction of a GOP. This offset distributes any number of cameras
 * evenly.
 */
const GOLDEN_RATIO = 0.618_033_988_75;
const USER = "viewer";
/** First byte of interleaved data, such as RTP and RTCP packets. */
const DOLLAR = 0x24;

/** Returns by how many milliseconds camera `number` is ahead of camera 0 in the clip. */
export function phaseOf(number, { gopFrames, fps }) {
  const gop = (gopFrames * 1000) / fps;
  return ((number * GOLDEN_RATIO) % 1) * gop;
}

/** Returns the channels of the video or of the sound. */
const channels = (url) => (url.endsWith("/audio") ? "2-3" : "0-1");

/** A camera: its position in the clip, its password, and whether it is frozen. */
export class Camera {
  /** A frozen camera sends no data and no responses, but keeps its connections. */
  isFrozen = false;
  /** The password; null if viewers need none. */
  password = null;

  constructor(clip, number) {
    this.phase = phaseOf(number, clip);
  }

  allows(authorization) {
    const expected = Buffer.from(`${USER}:${this.password}`).toString("base64");
    return this.password === null || authorization === `Basic ${expected}`;
  }
}

/** A viewer of a camera, with its own connection. */
class Viewer {
  #sequence = Math.floor(Math.random() * 0x10000);
  #source = Math.floor(Math.random() * 0x1_0000_0000);
  #frame = null;
  #received = Buffer.alloc(0);
  #camera = null;

  constructor(server, socket) {
    this.server = server;
    this.socket = socket;
    socket.on("data", (bytes) => this.#read(bytes));
    socket.on("error", () => {});
  }

  #read(bytes) {
    this.#received = this.#received.length ? Buffer.concat([this.#received, bytes]) : bytes;
    for (;;) {
      const isInterleaved = this.#received[0] === DOLLAR;
      const size = isInterleaved ? this.#interleavedSize() : this.#requestSize();
      if (size === 0) {
        return;
      }
      const message = this.#received.subarray(0, size);
      this.#received = this.#received.subarray(size);
      if (!isInterleaved) {
        this.#respond(message.toString("latin1"));
      }
    }
  }

  /**
   * Returns the size of an interleaved message, such as a receiver report; 0 if the message is incomplete.
   */
  #interleavedSize() {
    const size = this.#received.length >= 4 ? 4 + this.#received.readUInt16BE(2) : Infinity;
    return size <= this.#received.length ? size : 0;
  }

  /** Returns the size of a request; 0 if the request is incomplete. */
  #requestSize() {
    const end = this.#received.indexOf("\r\n\r\n");
    return end < 0 ? 0 : end + 4;
  }

  #respond(request) {
    const [, method, url] = /^(\w+) (\S+)/.exec(request) ?? [];
    const header = (name) => new RegExp(`^${name}: *(.*?)\r$`, "im").exec(request)?.[1];
    const camera = (this.#camera ??= this.server.find(url));
    if (camera?.isFrozen) {
      return;
    }
    const reply = (status, headers = {}, body = "") => {
      const allHeaders = { CSeq: header("CSeq"), Session: "1;timeout=60", ...headers };
      const lines = Object.entries(allHeaders).map(([name, value]) => `${name}: ${value}\r\n`);
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
          ? reply("200 OK", { Transport: `RTP/AVP/TCP;unicast;interleaved=${channels(url)}` })
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

  /** Sends the frames that are due. */
  tick(now) {
    if (this.#frame === null || this.#camera.isFrozen) {
      return;
    }
    const last = this.#frameAt(now);
    // After a freeze, the camera skips the frames that it did not send, except the frames of the last second.
    this.#frame = Math.max(this.#frame, last - this.server.clip.fps);
    for (; this.#frame <= last; this.#frame += 1) {
      this.#send(this.#frame);
    }
    if (this.socket.writableLength > MAX_UNSENT_BYTES) {
      this.socket.destroy();
    }
  }

  #send(number) {
    const { frames, ticksPerFrame } = this.server.clip;
    const frame = frames[number % frames.length];
    const time = Math.floor(number * ticksPerFrame) % 0x1_0000_0000;
    this.socket.write(frame.patched(this.#sequence, time, this.#source, number));
    this.server.onSent(frame);
    this.#sequence = (this.#sequence + frame.offsets.length) & 0xffff;
    if (this.socket.writableLength > 0) {
      // The kernel has not taken all bytes yet, so they must not be changed for the next viewer.
      frame.release();
    }
  }
}

/** An RTSP server. `find` returns the camera for a URL, or undefined for an unknown URL. */
export class RtspServer {
  #viewers = new Set();
  #server = createServer({ noDelay: true }, (socket) => {
    const viewer = new Viewer(this, socket);
    this.#viewers.add(viewer);
    socket.on("close", () => this.#viewers.delete(viewer));
  });
  #timer = null;
  /** Called with each frame after the frame was sent to a viewer. */
  onSent = () => {};

  constructor(clip, find) {
    this.clip = clip;
    this.find = find;
  }

  /** Starts to listen. Returns the port. */
  async listen(address = "127.0.0.1", port = 0) {
    this.#server.listen(port, address, 4096);
    await once(this.#server, "listening");
    this.#timer = setInterval(() => {
      const now = Date.now();
      this.#viewers.forEach((viewer) => viewer.tick(now));
    }, TICK_MILLISECONDS);
    return this.#server.address().port;
  }

  /** The number of connections. */
  get connections() {
    return this.#viewers.size;
  }

  /** Resets all connections and stops listening, as if the camera's RTSP server had crashed. */
  async die() {
    clearInterval(this.#timer);
    const closed = once(this.#server, "close");
    this.#server.close();
    this.#viewers.forEach(({ socket }) => socket.resetAndDestroy());
    await closed;
  }
}
