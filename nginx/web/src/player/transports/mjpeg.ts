// Shows JPEG pictures, which the service sends over a WebSocket. A jitter buffer shows them evenly.
import { addressOf } from "../../api/address";
import { withToken } from "../permission";
import { PictureQueue } from "../picture-queue";
import { AgeClock } from "../sync";
import type { Failure, Figures, Job, Motion, Transport, TransportEvents } from "../transport";
import { failureOf } from "./refusal";

/** Bytes before the JPEG. */
const HEADER = 12;
/** Widths that are requested, so that the viewers of a stream share few sizes. */
const WIDTHS = [320, 640, 1280, 1920];
/** The time within which the rate of the arriving media is measured. */
const RATE_WINDOW_MS = 5000;

export class MjpegTransport implements Transport {
  readonly name = "mjpeg";
  readonly element: HTMLCanvasElement;
  private socket: WebSocket | null = null;
  private readonly context: CanvasRenderingContext2D | null;
  private readonly clock = new AgeClock();
  private readonly queue = new PictureQueue<ImageBitmap>((picture) => picture.close());
  private arrivals: { at: number; bytes: number }[] = [];
  private timer: ReturnType<typeof setTimeout> | undefined;
  private isStopped = false;
  private hasPicture = false;
  private shown: { takenAt: number; at: number; interval: number } | null = null;
  private picturesPerSecond: number | null = null;

  constructor(
    private readonly job: Job,
    private readonly events: TransportEvents,
  ) {
    this.element = job.screen.takeCanvas();
    this.context = this.element.getContext("2d", { alpha: false });
  }

  /** The position grows between two pictures too, for as long as the next one is not late. */
  get motion(): Motion {
    const { takenAt = 0, at = 0, interval = 0 } = this.shown ?? {};
    const since = Math.min(performance.now() - at, 2 * interval);
    return { currentTime: (takenAt + since) / 1000, paused: false, seeking: false };
  }

  start(): void {
    const wanted = (this.element.parentElement?.clientWidth || 640) * devicePixelRatio;
    const width = WIDTHS.find((each) => each >= wanted) ?? WIDTHS.at(-1);
    const address = withToken(addressOf(`streams/${this.job.key}/mjpeg?width=${width}`));
    const socket = new WebSocket(address.replace(/^http/, "ws"));
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => {
      if (data instanceof ArrayBuffer) {
        void this.onPicture(data);
      } else {
        this.onText(String(data));
      }
    };
    socket.onclose = () => this.fail({ reason: "connection" });
    this.socket = socket;
  }

  stop(): void {
    this.isStopped = true;
    this.socket?.close();
    clearTimeout(this.timer);
    this.queue.clear();
  }

  /** There is no sound. */
  applySound(): boolean {
    return true;
  }

  keepUp(): Figures {
    const now = performance.now();
    const age = this.shown ? this.clock.age(this.shown.takenAt) : null;
    const recent = this.arrivals.filter(({ at }) => now - at < RATE_WINDOW_MS);
    const elapsed = now - (recent[0]?.at ?? now);
    const bytes = recent.reduce((sum, arrival) => sum + arrival.bytes, 0);
    const rate = elapsed > 1000 ? (bytes * 8000) / elapsed : null;
    return { age, rate, picturesPerSecond: this.picturesPerSecond };
  }

  private fail(failure: Failure): void {
    if (!this.isStopped) {
      this.stop();
      this.events.failed(failure);
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
    if (message.type === "rate") {
      this.picturesPerSecond = Number(message.value) || null;
    } else if (message.type === "error") {
      const detail = typeof message.detail === "string" ? message.detail : null;
      this.fail(failureOf({ code: String(message.code), detail }));
    }
  }

  private async onPicture(message: ArrayBuffer): Promise<void> {
    if (message.byteLength <= HEADER) {
      return;
    }
    const header = new DataView(message);
    const takenAt = header.getFloat64(4);
    const now = performance.now();
    this.clock.arrived(takenAt);
    this.arrivals = this.arrivals.filter(({ at }) => now - at < RATE_WINDOW_MS);
    this.arrivals.push({ at: now, bytes: message.byteLength });
    this.events.media();
    const jpeg = new Blob([new Uint8Array(message, HEADER)], { type: "image/jpeg" });
    try {
      const picture = await createImageBitmap(jpeg);
      if (this.isStopped) {
        picture.close();
        return;
      }
      this.queue.add(picture, takenAt, Date.now());
      this.show();
    } catch {
      // A damaged picture is left out.
    }
    this.acknowledge(header.getUint32(0));
  }

  /** The service sends at most two pictures that are not acknowledged, so its pictures are recent on a slow line too. */
  private acknowledge(number: number): void {
    if (this.socket?.readyState === WebSocket.OPEN) {
      this.socket.send(JSON.stringify({ type: "ack", number }));
    }
  }

  /** Shows the picture whose time has come, and waits for the next one. */
  private show(): void {
    clearTimeout(this.timer);
    const due = this.queue.take(Date.now());
    if (due) {
      this.draw(due.picture, due.takenAt);
    }
    const next = this.queue.next(Date.now());
    if (next !== null) {
      this.timer = setTimeout(() => this.show(), next);
    }
  }

  private draw(picture: ImageBitmap, takenAt: number): void {
    const { element } = this;
    const { width, height } = picture;
    if (element.width !== width || element.height !== height) {
      element.width = width;
      element.height = height;
    }
    this.context?.drawImage(picture, 0, 0);
    picture.close();
    const interval = takenAt - (this.shown?.takenAt ?? takenAt);
    this.shown = { takenAt, at: performance.now(), interval };
    if (!this.hasPicture) {
      this.hasPicture = true;
      element.dataset.picture = "";
      this.events.picture();
    }
  }
}
