// Plays HLS with the browser's own player. Safari on older phones plays HLS only in this way.
import { applyTo, play } from "../sound";
import type { Figures, Job, Transport, TransportEvents } from "../transport";
import { onFirstFrame } from "./first-frame";
import { isFullScreenOnPhone } from "./phone";
import { unexplained } from "./refusal";

/** The connection has been fast enough if the video has played for this time without a stop. */
const STEADY_MS = 10_000;

export class NativeTransport implements Transport {
  readonly name = "native";
  readonly element: HTMLVideoElement;
  private readonly ended = new AbortController();
  /** The time since which the video has played without a stop; infinite while it does not play. */
  private playsSince = Number.POSITIVE_INFINITY;

  constructor(
    private readonly job: Job,
    private readonly events: TransportEvents,
  ) {
    this.element = job.screen.takeVideo();
  }

  get motion() {
    return this.element;
  }

  start(): void {
    const { element, events } = this;
    const { signal } = this.ended;
    applyTo(element, this.job.sound);
    onFirstFrame(element, signal, () => events.picture());
    element.addEventListener("playing", () => (this.playsSince = performance.now()), { signal });
    element.addEventListener("waiting", () => (this.playsSince = Number.POSITIVE_INFINITY), {
      signal,
    });
    // This event is the only sign that media arrives.
    element.addEventListener("progress", () => events.media(), { signal });
    element.addEventListener("error", () => void this.fail(), { signal });
    element.src = this.job.host.addressOf(this.job.key, "stream.m3u8");
    this.resume();
  }

  stop(): void {
    this.ended.abort();
  }

  applySound(): boolean {
    applyTo(this.element, this.job.sound);
    return true;
  }

  keepUp(): Figures {
    if (this.element.paused && !isFullScreenOnPhone(this.element)) {
      this.resume();
    }
    if (performance.now() - this.playsSince > STEADY_MS) {
      this.events.steady();
    }
    return { age: null, rate: null };
  }

  private async fail(): Promise<void> {
    const failure = await unexplained(this.job);
    if (!this.ended.signal.aborted) {
      this.events.failed(failure);
    }
  }

  private resume(): void {
    play(this.element, this.job.sound, this.ended.signal);
  }
}
