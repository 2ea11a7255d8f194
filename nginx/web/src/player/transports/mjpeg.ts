// Shows JPEG pictures, which the service sends over a WebSocket. A jitter buffer shows them evenly.
import { PictureQueue } from "../picture-queue";
import { AgeClock, steadyClock } from "../sync";
import type { Failure, Figures, Job, Motion, Transport, TransportEvents } from "../transport";
import { LifeSigns } from "./life-signs";
import { closedSocket, endOf, messageOf, reportState } from "./socket";

/** Bytes before the JPEG. */
const HEADER = 12;
/** Widths that are requested, so that the viewers of a stream share few sizes. */
const WIDTHS = [320, 640, 1280, 1920];
/** The time within which the rate of the arriving media is measured. */
const RATE_WINDOW_MS = 5000;
/**
 * The service lowers the number of pictures per second for a slow client, at least to SLOWEST. If it has not done so, or
 * has stayed at the lowest number, for SURE_MS, the connection is fast enough, or too slow.
 */
const SLOWEST = 1;
const SURE_MS = 6000;

export class MjpegTransport implements Transport {
  readonly name = "mjpeg";
  readonly element: HTMLCanvasElement;
  private socket: WebSocket | null = null;
  private readonly context: CanvasRenderingContext2D | null;
  private readonly clock = new AgeClock();
  private readonly unixTime = steadyClock();
  private readonly queue = new PictureQueue<ImageBitmap>((picture) => picture.close());
  private arrivals: { at: number; bytes: number }[] = [];
  private timer: ReturnType<typeof setTimeout> | undefined;
  /** The number of the last picture that was acknowledged. */
  private acked = 0;
  private readonly signs = new LifeSigns(() => this.acknowledge(this.acked));
  private isStopped = false;
  private hasPicture = false;
  private shown: { takenAt: number; at: number; interval: number } | null = null;
  private picturesPerSecond: number | null = null;
  /** The largest value of `picturesPerSecond` so far. */
  private mostPerSecond = 0;
  /** The time at which `picturesPerSecond` has changed last. */
  private ratedAt = Number.POSITIVE_INFINITY;

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
    const address = this.job.host.addressOf(this.job.key, `mjpeg?width=${width}`);
    const socket = new WebSocket(address.replace(/^http/, "ws"));
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => {
      if (data instanceof ArrayBuffer) {
        void this.onPicture(data);
      } else {
        this.onText(String(data));
      }
    };
    let isOpened = false;
    socket.onopen = () => {
      isOpened = true;
      this.events.accepted();
    };
    let isEnding = false;
    const onClose = (reason: string) => {
      if (!this.isStopped && !isEnding) {
        isEnding = true;
        void closedSocket(this.job, isOpened, reason).then((failure) => this.fail(failure));
      }
    };
    socket.onclose = ({ reason }) => onClose(reason);
    // A socket that the page's Content-Security-Policy forbids is never closed in some browsers.
    socket.onerror = () => isOpened || onClose("");
    this.socket = socket;
  }

  stop(): void {
    this.isStopped = true;
    this.signs.away(false);
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
    const { picturesPerSecond, shown } = this;
    if (recent.length > 0 && now - this.ratedAt > SURE_MS) {
      this.judge(rate ?? 0);
    }
    return { age, rate, picturesPerSecond, interval: shown?.interval ?? 0 };
  }

  private judge(rate: number): void {
    const perSecond = this.picturesPerSecond ?? 0;
    if (perSecond <= SLOWEST && this.mostPerSecond > SLOWEST) {
      this.events.slow(rate);
    } else if (perSecond >= this.mostPerSecond) {
      this.events.steady();
    }
  }

  private fail(failure: Failure): void {
    if (!this.isStopped) {
      this.stop();
      this.events.failed(failure);
    }
  }

  private onText(text: string): void {
    if (this.isStopped) {
      return;
    }
    const message = messageOf(text);
    switch (message?.type) {
      case undefined:
        this.fail({ reason: "connection" });
        break;
      case "rate":
        this.rated(Number(message?.value) || null);
        break;
      case "state":
        this.signs.away(message?.state !== "live");
        reportState(message ?? {}, this.job.host, this.events);
        break;
      case "end":
        this.fail(endOf(message ?? {}));
        break;
      default:
      // Newer services may send messages of further types.
    }
  }

  private rated(perSecond: number | null): void {
    this.picturesPerSecond = perSecond;
    this.mostPerSecond = Math.max(this.mostPerSecond, perSecond ?? 0);
    this.ratedAt = performance.now();
  }

  private async onPicture(message: ArrayBuffer): Promise<void> {
    if (message.byteLength <= HEADER || this.isStopped) {
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
      this.queue.add(picture, takenAt, this.unixTime());
      this.show();
    } catch {
      // A damaged picture is left out.
    }
    this.acknowledge(header.getUint32(0));
  }

  /** The service sends at most two pictures that are not acknowledged, so its pictures are recent on a slow line too. */
  private acknowledge(number: number): void {
    this.acked = number;
    if (this.socket?.readyState === WebSocket.OPEN) {
      this.socket.send(JSON.stringify({ type: "ack", number }));
    }
  }

  /** Shows the picture whose time has come, and waits for the next one. */
  private show(): void {
    clearTimeout(this.timer);
    const due = this.queue.take(this.unixTime());
    if (due) {
      this.draw(due.picture, due.takenAt);
    }
    const next = this.queue.next(this.unixTime());
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
    const interval = Math.max(0, takenAt - (this.shown?.takenAt ?? takenAt));
    this.shown = { takenAt, at: performance.now(), interval };
    if (!this.hasPicture) {
      this.hasPicture = true;
      element.dataset.picture = "";
      this.events.picture();
    }
  }
}
