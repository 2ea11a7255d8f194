// The live socket: a WebSocket over which the service sends the frames of a stream, as they arrive from the camera.
import type { Coded } from "../../api/problem";
import { ArrivalMeter } from "../arrivals";
import type { Host } from "../host";
import type { Failure, TransportEvents } from "../transport";
import { LifeSigns } from "./life-signs";
import { failureOf, type Stream, unexplained } from "./refusal";

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
  /** Frames are missing. The next frame of video is a keyframe. */
  gap(): void;
}

export interface WatchRequest {
  format: "mp4" | "raw";
  codecs: string[];
  audio: boolean;
}

/** A text message of the service. */
export type ServiceMessage = Record<string, unknown>;

/** Parses a text message; null if it is not an object with a type. */
export function messageOf(text: string): ServiceMessage | null {
  try {
    const message: unknown = JSON.parse(text);
    const isObject = typeof message === "object" && message !== null && "type" in message;
    return isObject ? (message as ServiceMessage) : null;
  } catch {
    return null;
  }
}

/** Returns the failure that the message `end` reports. */
export function endOf({ code, detail }: ServiceMessage): Failure {
  const error: Coded = {
    code: typeof code === "string" ? code : "interrupted",
    detail: typeof detail === "string" ? detail : null,
  };
  return failureOf(error);
}

/** Reports whether the camera is away, and the reason, as the message `state` contains them. */
export function reportState(
  { state, detail }: ServiceMessage,
  host: Host,
  events: TransportEvents,
): void {
  const isAway = state !== "live";
  host.onAway?.(isAway && typeof detail === "string" ? detail : null);
  events.away(isAway);
}

/**
 * Returns the failure of a WebSocket that was closed without the message `end`. `isOpened`: whether it was ever open.
 * `reason`: that of the close frame.
 */
export function closedSocket(stream: Stream, isOpened: boolean, reason: string): Promise<Failure> {
  if (!isOpened) {
    return unexplained(stream);
  }
  // A client that is too slow for the message gets the code as the reason of the close frame.
  return Promise.resolve(reason ? endOf({ code: reason }) : { reason: "connection" });
}

export class LiveSocket {
  readonly meter = new ArrivalMeter();
  private readonly socket: WebSocket;
  /** Whether frames are missing, and none has arrived since then. */
  isSkipping = false;
  private isClosed = false;
  /** Whether the connection has ended, and the cause is being found out. */
  private isEnding = false;
  private isOpened = false;
  /** The newest frame that was shown or skipped, and the newest one that was acknowledged. */
  private done = 0;
  private acked = 0;
  private ackTimer: ReturnType<typeof setTimeout> | undefined;
  private readonly signs = new LifeSigns(() => this.send({ type: "ack", number: this.acked }));

  constructor(
    private readonly stream: Stream,
    request: WatchRequest | Promise<WatchRequest>,
    private readonly listener: SocketListener,
    private readonly events: TransportEvents,
  ) {
    const address = stream.host.addressOf(stream.key, "live").replace(/^http/, "ws");
    this.socket = new WebSocket(address);
    this.socket.binaryType = "arraybuffer";
    this.socket.onopen = async () => {
      this.isOpened = true;
      this.send({ type: "watch", ...(await request) });
      this.isClosed || this.events.accepted();
    };
    this.socket.onmessage = ({ data }) => this.onMessage(data);
    this.socket.onclose = ({ reason }) => void this.onClose(reason);
    // A socket that the page's Content-Security-Policy forbids is never closed in some browsers.
    this.socket.onerror = () => this.isOpened || void this.onClose("");
  }

  /**
   * Acknowledges a frame of video, at the latest ACK_EVERY_MS later. The service uses the acknowledgements to notice a
   * slow connection.
   */
  ack(number: number): void {
    this.done = Math.max(this.done, number);
    if (this.ackTimer === undefined && !this.isClosed) {
      this.sendAck();
    }
  }

  private sendAck(): void {
    this.ackTimer = undefined;
    if (this.done > this.acked) {
      this.acked = this.done;
      this.send({ type: "ack", number: this.acked });
      this.ackTimer = setTimeout(() => this.sendAck(), ACK_EVERY_MS);
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
    clearTimeout(this.ackTimer);
    this.signs.away(false);
    this.socket.close();
  }

  /** Closes the socket, and reports the failure once. */
  fail(failure: Failure): void {
    if (!this.isClosed) {
      this.close();
      this.events.failed(failure);
    }
  }

  private async onClose(reason: string): Promise<void> {
    if (!this.isClosed && !this.isEnding) {
      this.isEnding = true;
      this.fail(await closedSocket(this.stream, this.isOpened, reason));
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
      this.isSkipping = false;
      this.listener.data(data);
    } else if (typeof data === "string" && data.length <= MAX_TEXT) {
      this.onText(data);
    }
  }

  private onState(message: ServiceMessage): void {
    this.signs.away(message.state !== "live");
    reportState(message, this.stream.host, this.events);
  }

  private onText(text: string): void {
    const message = messageOf(text);
    switch (message?.type) {
      case undefined:
        this.fail({ reason: "connection" });
        break;
      case "media":
        this.listener.media(message as unknown as SocketMedia);
        break;
      case "gap":
        this.isSkipping = true;
        this.meter.lost(performance.now(), Number(message?.frames) || 1);
        this.listener.gap();
        break;
      case "state":
        this.onState(message ?? {});
        break;
      case "end":
        this.fail(endOf(message ?? {}));
        break;
      default:
      // Newer services may send messages of further types.
    }
  }
}
