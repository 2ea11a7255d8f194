// A client of a live socket or of the MJPEG socket that only counts, and acknowledges what it has received.
import { randomBytes } from "node:crypto";
import { request } from "node:http";

const ACK_EVERY_MS = 250;
const OPCODE = { TEXT: 1, BINARY: 2, CLOSE: 8, PING: 9, PONG: 10 };

/** Returns a frame of a WebSocket client with a short payload (RFC 6455, section 5.2). */
function clientFrame(opcode, payload) {
  const mask = randomBytes(4);
  const masked = payload.map((byte, index) => byte ^ mask[index % 4]);
  return Buffer.concat([Buffer.from([0x80 | opcode, 0x80 | payload.length]), mask, masked]);
}

/** Divides the bytes of a WebSocket server into messages. Keeps the payload only of short control frames and of text. */
class MessageReader {
  #header = Buffer.alloc(0);
  #opcode = 0;
  #left = 0;
  #kept = [];

  /** `onMessage` is called with the opcode and, except for binary messages, the payload. */
  constructor(onMessage) {
    this.onMessage = onMessage;
  }

  read(bytes) {
    let rest = bytes;
    while (rest.length > 0) {
      rest = this.#left > 0 ? this.#readPayload(rest) : this.#readHeader(rest);
    }
  }

  #readHeader(bytes) {
    const header = Buffer.concat([this.#header, bytes.subarray(0, 10)]);
    const short = header.length < 2 ? 0 : header[1] & 0x7f;
    const size = 2 + ({ 126: 2, 127: 8 }[short] ?? 0);
    if (header.length < size) {
      this.#header = header;
      return bytes.subarray(10);
    }
    const used = size - this.#header.length;
    this.#header = Buffer.alloc(0);
    // Continuation frames have the opcode 0.
    this.#opcode = header[0] & 0x0f || this.#opcode;
    this.isLast = (header[0] & 0x80) !== 0;
    this.#left = { 126: () => header.readUInt16BE(2), 127: () => header.readUInt32BE(6) }[short]?.() ?? short;
    if (this.#left === 0) {
      this.#end();
    }
    return bytes.subarray(used);
  }

  #readPayload(bytes) {
    const part = bytes.subarray(0, this.#left);
    this.#left -= part.length;
    if (this.#opcode !== OPCODE.BINARY) {
      this.#kept.push(part);
    }
    if (this.#left === 0) {
      this.#end();
    }
    return bytes.subarray(part.length);
  }

  #end() {
    if (this.isLast) {
      const payload = Buffer.concat(this.#kept);
      this.#kept = [];
      this.onMessage(this.#opcode, payload);
    }
  }
}

/**
 * Opens a live socket with the first message `watch`, or, without `watch`, an MJPEG socket. Acknowledges each picture
 * of an MJPEG socket, because the service waits for that, and the frames of a live socket every ACK_EVERY_MS. Adds to
 * `counters`: `bytes`, `frames` (video, audio and pictures), `missed` (frames that the service has left out) and
 * `ended`.
 */
export function watchSocket(url, watch, counters) {
  const headers = {
    Connection: "Upgrade",
    Upgrade: "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": randomBytes(16).toString("base64"),
  };
  const sent = request(url, { headers, agent: false });
  sent.on("response", ({ statusCode }) => {
    throw new Error(`${url}: no WebSocket, but the status ${statusCode}`);
  });
  sent.on("upgrade", (_, socket, head) => {
    let number = 0;
    let isInit = false;
    const send = (message) => socket.write(clientFrame(OPCODE.TEXT, Buffer.from(JSON.stringify(message))));
    const onText = (message) => {
      if (message.type === "media") {
        isInit = message.mime !== undefined;
      } else if (message.type === "gap") {
        counters.missed += message.frames;
      }
    };
    const reader = new MessageReader((opcode, payload) => {
      if (opcode === OPCODE.BINARY && isInit) {
        // The init segment has no number.
        isInit = false;
      } else if (opcode === OPCODE.BINARY) {
        number += 1;
        counters.frames += 1;
        if (!watch) {
          send({ type: "ack", number });
        }
      } else if (opcode === OPCODE.TEXT) {
        onText(JSON.parse(payload.toString()));
      } else if (opcode === OPCODE.PING) {
        socket.write(clientFrame(OPCODE.PONG, payload));
      }
    });
    const timer = watch && setInterval(() => send({ type: "ack", number }), ACK_EVERY_MS);
    const onData = (bytes) => {
      counters.bytes += bytes.length;
      reader.read(bytes);
    };
    socket.on("data", onData);
    socket.on("error", () => {});
    socket.on("close", () => {
      clearInterval(timer);
      counters.ended += 1;
    });
    if (watch) {
      send({ type: "watch", ...watch });
    }
    onData(head);
  });
  sent.end();
}
