// The player: shows one camera in one video element, and recovers from stalls, from outages of the camera
// and the manager, and from the computer's sleep. Signals report the player's state; the tile displays it.
import { signal } from "@preact/signals";
import Hls, { type ErrorData, type LevelDetails } from "hls.js/dist/hls.light.min.mjs";

import { addressOf } from "../api/address";
import { type Coded, Problem } from "../api/problem";
import { streamKey } from "../api/streams";
import type { Profile } from "../api/types";
import { Adaptation } from "./adaptation";
import { BackBuffer } from "./back-buffer";
import { isFinal, isRefusal, isUnplayable, MediaErrors, problemOfMedia } from "./failure";
import { Pace } from "./pace";
import { addPlayer, obtainPermission, removePlayer, renew, withToken } from "./permission";
import { showPictures } from "./pictures";
import { forget, refusalOf, remember } from "./refused";
import { settings } from "./settings";
import { StallWatch } from "./stall";
import { requestStart, untilLive } from "./start";
import { copyPicture } from "./still";

/** First pause before a retry. The pause grows with each failure in a row. */
const RETRY_AFTER_MS = 2000;
const LONGEST_RETRY_MS = 30_000;
const KEEP_UP_EVERY_MS = 200;
/**
 * If the time between two calls of `keepUp` is longer than this, the computer has slept. The wall clock
 * measures the time, because on most systems the browser's monotonic clock stops during sleep.
 */
const SLEPT_MS = 15_000;
/**
 * `waiting`: the player was live, and becomes live again without the user's help. `retrying`: the player was not
 * live, an attempt has failed, and another attempt follows or is in progress. `failed`: the player makes another
 * attempt only when the user requests it, when a camera is changed on this page, or when the stream is live again.
 * `pictures`: the connection is too slow for video, and the tile shows single pictures.
 */
export type State = "idle" | "starting" | "live" | "waiting" | "retrying" | "failed" | "pictures";

export interface PlayRequest {
  id: string;
  profile: Profile;
  isLowLatency: boolean;
  /**
   * Whether the start request waits until the stream is live. If the stream is still starting after the
   * response, the player polls the stream's state.
   */
  waits: boolean;
}

export class LivePlayer {
  readonly state = signal<State>("idle");
  /** The reason why the player is not live; null if nothing needs to be reported. */
  readonly reason = signal<Coded | null>(null);
  /** Age of the picture in seconds; null while it is unknown, for example because no video plays. */
  readonly latency = signal<number | null>(null);
  /** Whether the canvas contains a picture, to be shown while no video plays. */
  readonly hasStill = signal(false);
  readonly adaptation = new Adaptation(() => void this.begin());

  private hls: Hls | null = null;
  private pace: Pace | null = null;
  private request: PlayRequest | null = null;
  /** Aborts the requests of the current attempt. `release` aborts this controller and creates another. */
  private attempt = new AbortController();
  private failures = 0;
  private retry: ReturnType<typeof setTimeout> | undefined;
  private beat: ReturnType<typeof setInterval> | undefined;
  private lastBeat = 0;
  private readonly stall = new StallWatch();
  /** Number of the last segment in the playlist; null before the first playlist. */
  private lastSegment: number | null = null;
  /** Whether the player has been live since `play` was called. */
  private wasLive = false;
  /** Whether the picture was live and has stopped. */
  private hasStalled = false;
  private readonly mediaErrors = new MediaErrors();

  constructor(
    private readonly video: HTMLVideoElement,
    private readonly still: HTMLCanvasElement,
  ) {
    video.addEventListener("playing", () => this.onPlaying());
    // Without hls.js, this event is the only sign that media arrives.
    video.addEventListener("progress", () => this.stall.arrived());
    video.addEventListener("error", () => this.hls || this.fail(new Problem(0, "interrupted")));
  }

  /**
   * Starts to play, or switches to another stream. If the camera has refused this stream before, reports
   * that refusal instead.
   */
  play(request: PlayRequest): void {
    this.leave();
    this.request = request;
    this.adaptation.begin(request.profile);
    this.failures = 0;
    this.wasLive = false;
    addPlayer(request.id);
    this.state.value = "starting";
    this.reason.value = null;
    this.lastBeat = Date.now();
    this.beat = setInterval(() => this.keepUp(), KEEP_UP_EVERY_MS);
    const refusal = refusalOf(this.key(request));
    if (refusal) {
      this.fail(refusal);
    } else {
      void this.begin();
    }
  }

  /** Stops playing. No further requests are sent. */
  stop(): void {
    this.leave();
    this.state.value = "idle";
    this.reason.value = null;
  }

  /**
   * Retries now instead of after the pause. After an error that is not retried automatically, retries only
   * if `isUserRequest` is true. Does nothing while the player starts or is live.
   */
  hurry(isUserRequest = true): void {
    const isFailed = isUserRequest && this.state.value === "failed";
    if (this.request && (this.retry !== undefined || isFailed)) {
      forget(this.key(this.request));
      if (isUserRequest) {
        this.failures = 0;
        this.showStart();
      }
      void this.begin();
    }
  }

  /**
   * Sets the state of an attempt: `waiting` if the player was live before; otherwise `retrying` if an attempt has
   * failed since the user's last request, or else `starting`.
   */
  private showStart(): void {
    const first = this.failures > 0 ? "retrying" : "starting";
    this.state.value = this.wasLive ? "waiting" : first;
  }

  private key({ id }: PlayRequest): string {
    return streamKey(id, this.adaptation.profile.value);
  }

  private leave(): void {
    if (this.request) {
      removePlayer(this.request.id);
    }
    this.request = null;
    clearInterval(this.beat);
    this.release();
  }

  private release(): void {
    this.attempt.abort();
    this.attempt = new AbortController();
    clearTimeout(this.retry);
    this.retry = undefined;
    this.saveStill();
    this.hls?.destroy();
    this.hls = null;
    this.pace = null;
    this.video.removeAttribute("src");
    this.video.load();
    this.latency.value = null;
    this.hasStalled = false;
    this.stall.end();
    this.adaptation.meter.reset();
    this.lastSegment = null;
  }

  private async begin(): Promise<void> {
    const request = this.request;
    if (!request) {
      return;
    }
    this.release();
    if (this.adaptation.level === "pictures") {
      this.beginPictures(request);
      return;
    }
    const attempt = this.attempt.signal;
    if (this.state.value === "live" || this.state.value === "pictures") {
      this.state.value = "waiting";
    }
    const hls = this.attach(request);
    try {
      await obtainPermission(request.id);
      if (attempt.aborted) {
        return;
      }
      const profile = this.adaptation.profile.value;
      const status = await requestStart(request.id, profile, request.waits, attempt);
      if (status === "starting") {
        this.showStart();
        await untilLive(request.id, profile, attempt, (error) => (this.reason.value = error));
      }
    } catch (error) {
      if (!attempt.aborted) {
        this.fail(error);
      }
      return;
    }
    if (!attempt.aborted) {
      this.load(request, hls);
    }
  }

  /**
   * Attaches hls.js to the video element, and returns hls.js; null if the browser does not support hls.js.
   * This takes some time, and therefore happens while the stream is starting.
   */
  private attach(request: PlayRequest): Hls | null {
    if (!Hls.isSupported()) {
      return null;
    }
    // Each request adds the current token to the URL, so that a new token is used without a restart.
    const xhrSetup = (xhr: XMLHttpRequest, address: string) =>
      xhr.open("GET", withToken(address), true);
    const hls = new Hls({ ...settings(request.isLowLatency, this.adaptation.meter), xhrSetup });
    this.hls = hls;
    new BackBuffer(this.video, hls);
    const pace = new Pace(this.video, hls, request.isLowLatency);
    this.pace = pace;
    hls.on(Hls.Events.BUFFER_CODECS, (_, { audio, audiovideo }) => {
      pace.hasAudio = Boolean(audio || audiovideo);
    });
    hls.on(Hls.Events.ERROR, (_, error) => this.recover(hls, error));
    hls.on(Hls.Events.FRAG_LOADED, () => this.stall.arrived());
    hls.on(Hls.Events.LEVEL_UPDATED, (_, { details }) => this.onPlaylist(hls, details));
    hls.attachMedia(this.video);
    return hls;
  }

  private load(request: PlayRequest, hls: Hls | null): void {
    this.stall.begin();
    const url = addressOf(`streams/${this.key(request)}/stream.m3u8`);
    if (hls) {
      hls.loadSource(url);
    } else {
      this.video.src = withToken(url); // Safari on older phones plays HLS without hls.js.
    }
    this.resume();
  }

  private onPlaying(): void {
    this.hasStalled = false;
    this.wasLive = true;
    this.adaptation.played();
    this.failures = 0;
    this.hasStill.value = false;
    this.state.value = "live";
    this.reason.value = null;
  }

  private keepUp(): void {
    if (this.hasSlept()) {
      if (this.state.value !== "failed") {
        void this.begin();
      }
      return;
    }
    if (this.adaptation.measure(performance.now())) {
      this.stall.arrived();
    }
    this.watchStall();
    const isLive = this.state.value === "live";
    if (this.video.paused && isLive && !isFullScreenOnPhone(this.video)) {
      // The page itself never pauses live video. The browser does, for example after a phone call, or when
      // the user leaves the browser's full screen.
      this.resume();
    }
    this.latency.value = this.pace?.keep() ?? null;
    this.stall.note(this.video);
  }

  private beginPictures({ id }: PlayRequest): void {
    this.state.value = "pictures";
    this.reason.value = null;
    const key = streamKey(id, this.adaptation.profile.value);
    void showPictures(id, key, this.still, this.attempt.signal, {
      onPicture: (rate) => {
        this.hasStill.value = true;
        this.reason.value = null;
        this.adaptation.evaluate(rate);
      },
      onFailure: (error) => (this.reason.value = error),
    });
  }

  private hasSlept(): boolean {
    const now = Date.now();
    const sinceLast = now - this.lastBeat;
    this.lastBeat = now;
    return sinceLast > SLEPT_MS;
  }

  private resume(): void {
    this.video.play().catch(() => {
      // Not an error: browsers always permit muted video to play, so the player was stopped or restarted
      // before the video could begin.
    });
  }

  private watchStall(): void {
    const motion = this.stall.check(this.video);
    const isPlayable = this.video.readyState >= HTMLMediaElement.HAVE_FUTURE_DATA;
    if (motion === "moving" && this.hasStalled && isPlayable) {
      this.onPlaying();
    } else if (motion === "waiting" && this.state.value === "live") {
      this.hasStalled = true;
      this.state.value = "waiting";
    } else if (motion === "missed") {
      void this.begin();
    } else if (motion === "stuck") {
      // The tile decides whether to restart, because a restart does not help while the camera is unreachable.
      this.onStuck?.();
    }
  }

  /**
   * Compares the segment numbers of the playlist with the numbers in the previous playlist. If HLS begins again after
   * more than a minute, or if the camera was changed while its stream did not run, the playlist contains none of the
   * previous segments. hls.js then waits for many seconds before it loads media, so the player restarts at once.
   */
  private onPlaylist(hls: Hls, { startSN, endSN, advanced }: LevelDetails): void {
    const isReplaced = this.lastSegment !== null && startSN > this.lastSegment;
    this.lastSegment = endSN;
    if (hls === this.hls && isReplaced) {
      void this.begin();
    } else if (advanced) {
      this.stall.grown();
    }
  }

  /**
   * Called when the picture is stuck. The tile sets this function, which restarts the player if the stream is
   * live.
   */
  onStuck: (() => void) | undefined;

  restart(): void {
    void this.begin();
  }

  /**
   * Handles an error of hls.js. After a fatal error, the player recovers at once or calls `fail`. If the
   * browser cannot play the video, there is no retry.
   */
  private recover(hls: Hls, error: ErrorData): void {
    this.video.dispatchEvent(new CustomEvent("hlserror", { detail: error.details }));
    if (hls !== this.hls) {
      return;
    }
    if (error.response?.code === 401) {
      renew().catch(() => {
        // If media cannot be loaded without a new session, a fatal error follows and leads to a restart.
      });
    }
    if (!error.fatal) {
      return;
    }
    if (isUnplayable(error)) {
      this.release();
      this.state.value = "failed";
      this.reason.value = new Problem(0, "unplayable");
      return;
    }
    if (this.mediaErrors.canRecover(error)) {
      hls.recoverMediaError();
      return;
    }
    this.fail(problemOfMedia(error));
  }

  /**
   * Reports the error as the reason, and retries after a pause unless a retry cannot help. If the sub stream has
   * replaced the main stream but does not work, shows pictures of the main stream instead.
   */
  private fail(error: unknown): void {
    this.release();
    if (this.adaptation.leaveSub()) {
      void this.begin();
      return;
    }
    const problem = error instanceof Problem ? error : new Problem(0, "unexpected", String(error));
    this.reason.value = problem;
    if (isFinal(problem)) {
      if (this.request && isRefusal(problem)) {
        remember(this.key(this.request), problem);
      }
      this.state.value = "failed";
      return;
    }
    const pause = Math.min(RETRY_AFTER_MS * 1.5 ** this.failures, LONGEST_RETRY_MS);
    this.failures += 1;
    this.showStart();
    this.retry = setTimeout(() => void this.begin(), pause);
  }

  /**
   * Copies the current picture to the canvas, so that the tile does not turn black until video plays again.
   */
  private saveStill(): void {
    const { videoWidth, videoHeight } = this.video;
    if (!videoWidth || this.video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) {
      return;
    }
    copyPicture(this.video, videoWidth, videoHeight, this.still);
    this.hasStill.value = true;
  }
}

/** Returns whether the native player of an Apple phone shows the video in full screen. */
function isFullScreenOnPhone(video: HTMLVideoElement & { webkitDisplayingFullscreen?: boolean }) {
  return video.webkitDisplayingFullscreen ?? false;
}
