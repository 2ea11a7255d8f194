// The live socket: a WebSocket over which the service sends the frames of a stream, as they arrive from the camera.
import { addressOf } from "../../api/address";
import type { Coded } from "../../api/problem";
import { ArrivalMeter } from "../arrivals";
import { withToken } from "../permission";
import type { Failure, TransportEvents } from "../transport";
import { failureOf } from "./refusal";

/** Interval between two acknowledgements. */
const ACK_EVERY_MS = 250;
/** Longest text message of the service, in characters. */
const MAX_TEXT = 65_536;

/** The description of the media in the format `raw`. */
export interface RawMedia {
  video?: { codec: string; width: number; height: number };
  audio?: { codec: string; sample_rate: number; channels: number; description?: string };
}

/** The description of the media: `mime` in the format `mp4`, otherwise the tracks. */
export interface SocketMedia extends RawMedia {
  epoch: number;
  mime?: string;
}

export interface SocketListener {
  /** The description of the media that follows. */
  media(media: SocketMedia): void;
  /** An init segment or a frame. */
  data(data: ArrayBuffer): void;
  /** The service has left out frames. The next frame of video is a keyframe. */
  gap(): void;
}

export interface WatchRequest {
  format: "mp4" | "raw";
  codecs: string[];
  audio: boolean;
}

export class LiveSocket {
  readonly meter = new ArrivalMeter();
  private readonly socket: WebSocket;
  private isClosed = false;
  private acked = 0;
  private ackedAt = 0;

  constructor(
    key: string,
    request: WatchRequest,
    private readonly listener: SocketListener,
    private readonly events: TransportEvents,
  ) {
    const address = withToken(addressOf(`streams/${key}/live`)).replace(/^http/, "ws");
    this.socket = new WebSocket(address);
    this.socket.binaryType = "arraybuffer";
    this.socket.onopen = () => this.send({ type: "watch", ...request });
    this.socket.onmessage = ({ data }) => this.onMessage(data);
    this.socket.onclose = () => this.fail({ reason: "connection" });
  }

  /** Acknowledges a frame. The service uses the acknowledgements to notice a slow connection. */
  ack(number: number): void {
    const now = performance.now();
    if (number > this.acked && now - this.ackedAt > ACK_EVERY_MS) {
      this.acked = number;
      this.ackedAt = now;
      this.send({ type: "ack", number });
    }
  }

  /** Reports whether the connection is fast enough. Call this several times a second. */
  check(now: number): void {
    if (this.meter.isTooSlow(now)) {
      this.events.slow(this.meter.rate(now) ?? 0);
    } else if (this.meter.isSteady(now)) {
      this.events.steady();
    }
  }

  close(): void {
    this.isClosed = true;
    this.socket.close();
  }

  /** Closes the socket, and reports the failure once. */
  fail(failure: Failure): void {
    if (!this.isClosed) {
      this.close();
      this.events.failed(failure);
    }
  }

  private send(message: object): void {
    if (this.socket.readyState === WebSocket.OPEN) {
      this.socket.send(JSON.stringify(message));
    }
  }

  private onMessage(data: unknown): void {
    if (this.isClosed) {
      return;
    }
    if (data instanceof ArrayBuffer) {
      this.listener.data(data);
    } else if (typeof data === "string" && data.length <= MAX_TEXT) {
      this.onText(data);
    }
  }

  private onText(text: string): void {
    let message: Record<string, unknown>;
    try {
      message = JSON.parse(text);
    } catch {
      this.fail({ reason: "connection" });
      return;
    }
    switch (message.type) {
      case "media":
        this.listener.media(message as unknown as SocketMedia);
        break;
      case "gap":
        this.meter.lost(performance.now(), Number(message.frames) || 1);
        this.listener.gap();
        break;
      case "state":
        // The list of streams, which the page has anyway, has the reason.
        this.events.away(message.state !== "live");
        break;
      case "end":
        this.fail(failureOf(codedOf(message, "interrupted")));
        break;
      default:
      // Newer services may send messages of further types.
    }
  }
}

function codedOf({ code, detail }: Record<string, unknown>, fallback: string): Coded {
  return {
    code: typeof code === "string" ? code : fallback,
    detail: typeof detail === "string" ? detail : null,
  };
}
