// Plays HLS with hls.js, which is loaded when it is first needed.
import {
  type Figures,
  type Job,
  NO_FIGURES,
  type Transport,
  type TransportEvents,
} from "../transport";
import type { HlsTransport } from "./hls";

export class DeferredHlsTransport implements Transport {
  readonly name = "hls";
  readonly element: HTMLVideoElement;
  /** Null until hls.js is loaded. */
  private transport: HlsTransport | null = null;
  private isStopped = false;

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
    import("./hls").then(
      (loaded) => {
        if (!this.isStopped) {
          this.transport = new loaded.HlsTransport(this.job, this.events, this.element);
          this.transport.start();
        }
      },
      () => this.isStopped || this.events.failed({ reason: "connection" }),
    );
  }

  stop(): void {
    this.isStopped = true;
    this.transport?.stop();
  }

  applySound(): boolean {
    return this.transport?.applySound() ?? true;
  }

  keepUp(): Figures {
    return this.transport?.keepUp() ?? NO_FIGURES;
  }
}
