// Plays HLS with hls.js.
import Hls, { type ErrorData, type LevelDetails } from "hls.js/dist/hls.light.min.mjs";

import { BackBuffer } from "../back-buffer";
import { Pace } from "../pace";
import { settings } from "../settings";
import { applyTo, play } from "../sound";
import type { Figures, Job, Transport, TransportEvents } from "../transport";
import { onFirstFrame } from "./first-frame";
import { isUnplayable, MediaErrors, problemOfMedia } from "./hls-errors";
import { isFullScreenOnPhone } from "./phone";
import { failureOf } from "./refusal";

/** If the video begins this many seconds behind its target, as in a playlist that has just begun, it jumps there. */
const BEGIN_LATE = 0.5;
/** Milliseconds after the first picture within which the video can jump for this reason. */
const BEGIN_MS = 3000;

export class HlsTransport implements Transport {
  readonly name = "hls";
  private readonly hls: Hls;
  private readonly pace: Pace;
  private readonly ended = new AbortController();
  private readonly mediaErrors = new MediaErrors();
  /** Number of the last segment in the playlist; null before the first playlist. */
  private lastSegment: number | null = null;
  /** The time of the first picture; infinite before it. */
  private shownAt = Number.POSITIVE_INFINITY;

  constructor(
    private readonly job: Job,
    private readonly events: TransportEvents,
    readonly element: HTMLVideoElement,
  ) {
    // Each request adds the current token to the URL, so that a new token is used without a restart.
    const xhrSetup = (xhr: XMLHttpRequest, address: string) =>
      xhr.open("GET", job.host.withPermission(address), true);
    this.hls = new Hls({ ...settings(job.isLowLatency, job.meter), xhrSetup });
    new BackBuffer(this.element, this.hls);
    this.pace = new Pace(this.element, this.hls, job.isLowLatency);
  }

  get motion() {
    return this.element;
  }

  start(): void {
    const { element, events, hls, pace } = this;
    const { signal } = this.ended;
    applyTo(element, this.job.sound);
    onFirstFrame(element, signal, () => {
      this.shownAt = performance.now();
      events.picture();
    });
    hls.on(Hls.Events.BUFFER_CODECS, (_, { audio, audiovideo }) => {
      pace.hasAudio = Boolean(audio || audiovideo);
    });
    hls.on(Hls.Events.ERROR, (_, error) => this.recover(error));
    hls.on(Hls.Events.FRAG_LOADED, () => events.media());
    hls.on(Hls.Events.LEVEL_UPDATED, (_, { details }) => this.onPlaylist(details));
    hls.attachMedia(element);
    hls.loadSource(this.job.host.addressOf(this.job.key, "stream.m3u8"));
    this.resume();
  }

  stop(): void {
    this.ended.abort();
    this.hls.destroy();
    this.job.meter.reset();
  }

  applySound(): boolean {
    applyTo(this.element, this.job.sound);
    return true;
  }

  keepUp(): Figures {
    const { element } = this;
    if (element.paused && element.readyState > 0 && !isFullScreenOnPhone(element)) {
      // The page itself never pauses live video. The browser does, for example after a phone call, or when
      // the user leaves the browser's full screen.
      this.resume();
    }
    if (this.job.isLowLatency && performance.now() - this.shownAt < BEGIN_MS) {
      this.jumpToTarget();
    }
    return { age: this.pace.keep(), rate: this.job.meter.mediaRate() };
  }

  /** Jumps to the target latency if the video is far behind it and the target is buffered. */
  private jumpToTarget(): void {
    const { buffered, currentTime, seeking } = this.element;
    const target = this.hls.liveSyncPosition;
    const end = buffered.length > 0 ? buffered.end(buffered.length - 1) : 0;
    if (target && !seeking && target - currentTime > BEGIN_LATE && end > target) {
      this.element.currentTime = target;
    }
  }

  private resume(): void {
    play(this.element, this.job.sound, this.ended.signal);
  }

  /**
   * Compares the segment numbers of the playlist with the numbers in the previous playlist. If HLS begins again after
   * more than a minute, or if the camera was changed while its stream did not run, the playlist contains none of the
   * previous segments. hls.js then waits for many seconds before it loads media, so the player restarts at once.
   */
  private onPlaylist({ startSN, endSN, advanced }: LevelDetails): void {
    const isReplaced = this.lastSegment !== null && startSN > this.lastSegment;
    this.lastSegment = endSN;
    if (this.ended.signal.aborted) {
      return;
    }
    if (isReplaced) {
      this.events.restart();
    } else if (advanced) {
      this.events.grown();
    }
  }

  /** Handles an error of hls.js. After a fatal error, hls.js recovers at once, or the transport has failed. */
  private recover(error: ErrorData): void {
    this.element.dispatchEvent(new CustomEvent("hlserror", { detail: error.details }));
    if (this.ended.signal.aborted) {
      return;
    }
    if (error.response?.code === 401) {
      this.job.host.renew().catch(() => {
        // If media cannot be loaded without a new session, a fatal error follows and leads to a restart.
      });
    }
    if (!error.fatal) {
      return;
    }
    if (isUnplayable(error)) {
      this.events.failed({ reason: "codec" });
    } else if (this.mediaErrors.canRecover(error)) {
      this.hls.recoverMediaError();
    } else {
      const problem = problemOfMedia(error);
      const isOwn = problem.code === "interrupted";
      this.events.failed(isOwn ? { reason: "connection" } : failureOf(problem));
    }
  }
}
