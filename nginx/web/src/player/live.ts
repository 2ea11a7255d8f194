// Plays one camera in one video element, and goes on playing it: after stalls, outages of camera
// and manager, and the computer's sleep. What it does is told by signals; how that looks is none
// of its business.
import { effect, signal } from "@preact/signals";
import Hls, { type ErrorData } from "hls.js/dist/hls.light.min.mjs";

import { LONG_MS, post, Problem, problemOf, words } from "../api/client";
import { hastenStreams, streamKey, streams } from "../api/streams";
import type { Profile } from "../api/types";
import { t } from "../ui/i18n";
import { hide, permit, permitted, renew, show } from "./permission";
import { forget, refusalOf, remember } from "./refused";
import { settings } from "./settings";
import { StallWatch } from "./stall";

/** hls.js's words for a codec that the browser does not have. Trying again would not help. */
const UNPLAYABLE = ["manifestIncompatibleCodecsError", "bufferAddCodecError"];
/** The camera's own refusals, which trying again does not cure, and for which cameras lock an account. */
const REFUSED = ["source_unauthorized", "source_not_found", "source_unsupported"];
/** All that trying again does not cure. The manager says the others without asking the camera. */
const FINAL = [...REFUSED, "source_forbidden", "invalid_source", "unknown_camera", "forbidden"];
const RETRY_AFTER_MS = 2000;
const LONGEST_RETRY_MS = 30_000;
const KEEP_UP_EVERY_MS = 200;
/** Seconds behind the target from which on the picture is played a little faster. */
const LATE = 0.1;
/** Seconds behind the target from which on it jumps to where there is video already. */
const LOST = 4;
/** And from which on it jumps in any case: after a sleep, or a long outage. */
const FAR_LOST = 15;
/** Seconds of video that must be there for playing faster not to end in a stall. */
const SPARE = 0.15;
/**
 * Seconds ahead of the target from which on the picture is played slower: a stream that has just
 * begun has not enough video yet for a player that wants whole segments. Negative, as it is not late.
 */
const EARLY = -1;
/** A start that is not heard of for so long is tried again; the service's own limits are shorter. */
const START_MS = 90_000;
/**
 * A stream that so many answers in a row do not tell of is gone. One is not enough: it may have been
 * asked for before the start.
 */
const GONE_AFTER = 2;
/**
 * Timers that are so late tell that the computer slept. By the clock on the wall, as the browser's
 * monotonic one stands still meanwhile on most systems.
 */
const SLEPT_MS = 15_000;
/** A frozen picture is for looking at in a tile. Pixels. */
const STILL_WIDTH = 960;

export type State = "idle" | "starting" | "live" | "waiting" | "failed";

export interface Wanted {
  id: string;
  profile: Profile;
  isLowLatency: boolean;
  /** Whether to wait for the start within the request; else the caller watches the state. */
  waits: boolean;
}

function keyOf({ id, profile }: Wanted): string {
  return streamKey(id, profile);
}

export class LivePlayer {
  readonly state = signal<State>("idle");
  /** Why it is not live, in words; null when there is nothing to say. */
  readonly reason = signal<string | null>(null);
  /** Seconds that the picture is behind; null while there is none. */
  readonly latency = signal<number | null>(null);
  /** The last picture, to look at while there is no other. */
  readonly hasStill = signal(false);

  private hls: Hls | null = null;
  private wanted: Wanted | null = null;
  /** Another one with every start and stop: what was asked for before is aborted, and counts no more. */
  private turn = new AbortController();
  private failures = 0;
  private retry: ReturnType<typeof setTimeout> | undefined;
  private beat: ReturnType<typeof setInterval> | undefined;
  private lastBeat = 0;
  private readonly stall = new StallWatch();
  private recovered: number[] = [];

  constructor(
    private readonly video: HTMLVideoElement,
    private readonly still: HTMLCanvasElement,
  ) {
    video.addEventListener("playing", () => this.isPlaying());
    video.addEventListener("waiting", () => this.stall.begin());
    // Without hls.js this is the only sign that media arrives.
    video.addEventListener("progress", () => this.stall.arrived());
    video.addEventListener("error", () => this.hls || this.fail(new Error(t("tile.interrupted"))));
  }

  /** Begins, or goes over to something else; what the camera has refused is not asked for again. */
  play(wanted: Wanted): void {
    this.leave();
    this.wanted = wanted;
    this.failures = 0;
    show(wanted.id);
    this.state.value = "starting";
    this.reason.value = null;
    this.lastBeat = Date.now();
    this.beat = setInterval(() => this.keepUp(), KEEP_UP_EVERY_MS);
    const refusal = refusalOf(keyOf(wanted));
    if (refusal) {
      this.fail(refusal);
    } else {
      void this.begin();
    }
  }

  /** Ends; the camera is asked for nothing more. */
  stop(): void {
    this.leave();
    this.state.value = "idle";
    this.reason.value = null;
  }

  /** Does not wait for the next attempt; after a refusal that lasts only if a person asked for it. */
  hurry(isAsked = true): void {
    if (this.wanted && (this.retry !== undefined || (isAsked && this.state.value === "failed"))) {
      forget(keyOf(this.wanted));
      void this.begin();
    }
  }

  private leave(): void {
    if (this.wanted) {
      hide(this.wanted.id);
    }
    this.wanted = null;
    clearInterval(this.beat);
    this.release();
  }

  private release(): void {
    this.turn.abort();
    this.turn = new AbortController();
    clearTimeout(this.retry);
    this.retry = undefined;
    this.keepStill();
    this.hls?.destroy();
    this.hls = null;
    this.video.removeAttribute("src");
    this.video.load();
    this.latency.value = null;
    this.stall.end();
  }

  private async begin(): Promise<void> {
    const wanted = this.wanted;
    if (!wanted) {
      return;
    }
    this.release();
    const turn = this.turn.signal;
    if (this.state.value !== "starting") {
      this.state.value = "waiting";
    }
    const hls = this.attach(wanted);
    try {
      await permit(wanted.id);
      if (turn.aborted) {
        return;
      }
      const query = `profile=${wanted.profile}&wait=${wanted.waits}`;
      const path = `cameras/${encodeURIComponent(wanted.id)}/stream/start?${query}`;
      const patience = wanted.waits ? { signal: turn, within: LONG_MS } : { signal: turn };
      const { status } = await post<{ status: string }>(path, undefined, patience);
      if (status === "starting") {
        await this.started(keyOf(wanted), turn);
      }
    } catch (error) {
      if (!turn.aborted) {
        this.fail(error);
      }
      return;
    }
    if (!turn.aborted) {
      this.load(wanted, hls);
    }
  }

  /** A player on the video element, so that both are ready when the stream is. */
  private attach(wanted: Wanted): Hls | null {
    if (!Hls.isSupported()) {
      return null;
    }
    // A token that was renewed counts from the next request on, without a new start.
    const xhrSetup = (request: XMLHttpRequest, address: string) =>
      request.open("GET", permitted(address), true);
    const hls = new Hls({ ...settings(wanted.isLowLatency), xhrSetup });
    this.hls = hls;
    hls.on(Hls.Events.ERROR, (_, error) => this.recover(hls, error));
    hls.on(Hls.Events.FRAG_LOADED, () => this.stall.arrived());
    hls.attachMedia(this.video);
    return hls;
  }

  /**
   * Resolves when the stream is playable, which the list of streams tells; a playlist that is asked
   * for before waits at the server, and holds one of the browser's six connections.
   */
  private started(key: string, turn: AbortSignal): Promise<void> {
    const relax = hastenStreams();
    return new Promise((resolve, reject) => {
      let isOld = true; // What was known before the start.
      let missed = 0;
      const settle = (how: () => void) => {
        clearTimeout(late);
        relax();
        queueMicrotask(() => end());
        how();
      };
      const late = setTimeout(
        () => settle(() => reject(new Error(t("tile.interrupted")))),
        START_MS,
      );
      const end = effect(() => {
        const stream = streams.value?.get(key);
        if (isOld) {
          isOld = false;
          return;
        }
        const error = stream?.last_error;
        missed = stream ? 0 : missed + 1;
        if (turn.aborted || stream?.state === "live") {
          settle(resolve);
        } else if (missed >= GONE_AFTER) {
          settle(() => reject(new Error(t("tile.interrupted"))));
        } else if (stream?.state === "failed" && error) {
          settle(() => reject(new Problem(0, error.code, error.detail)));
        } else if (error && stream?.state !== "stopping") {
          this.reason.value = error.detail;
        }
      });
    });
  }

  private load(wanted: Wanted, hls: Hls | null): void {
    const path = `/streams/${keyOf(wanted)}/stream.m3u8`;
    const url = new URL(path, location.href).href;
    if (hls) {
      hls.loadSource(url);
    } else {
      this.video.src = permitted(url); // Safari on older phones plays HLS by itself.
    }
    this.video.play().catch(() => {}); // Muted video may play; what is stopped begins anew.
  }

  private isPlaying(): void {
    this.stall.end();
    this.failures = 0;
    this.hasStill.value = false;
    this.state.value = "live";
    this.reason.value = null;
  }

  /**
   * Brings the picture back to its target latency after a stall. hls.js does so only with more than
   * a second of video in store, which a low-latency stream never has.
   */
  private keepUp(): void {
    const time = Date.now();
    const hasSlept = time - this.lastBeat > SLEPT_MS;
    this.lastBeat = time;
    if (hasSlept) {
      if (this.state.value !== "failed" || this.retry !== undefined) {
        void this.begin();
      }
      return;
    }
    this.watchStall();
    const { hls, video } = this;
    const isFilling = (video as { webkitDisplayingFullscreen?: boolean })
      .webkitDisplayingFullscreen;
    if (video.paused && this.state.value === "live" && !isFilling) {
      // Nobody pauses a live picture here: the browser did, after a call or its own full screen.
      video.play().catch(() => {});
    }
    if (!hls || video.paused || !hls.liveSyncPosition) {
      this.latency.value = null;
      return;
    }
    this.latency.value = Math.round(hls.latency * 10) / 10;
    const late = hls.latency - (hls.targetLatency ?? 0);
    const { buffered, currentTime } = video;
    const end = buffered.length ? buffered.end(buffered.length - 1) : currentTime;
    if (late > FAR_LOST || (late > LOST && end > hls.liveSyncPosition)) {
      video.currentTime = hls.liveSyncPosition;
    }
    const isEarly = late < EARLY && !this.wanted?.isLowLatency;
    video.playbackRate = late > LATE && end - currentTime > SPARE ? 1.1 : isEarly ? 0.8 : 1;
  }

  private watchStall(): void {
    const stall = this.stall.check();
    if (stall !== "none" && this.state.value === "live") {
      this.state.value = "waiting";
    }
    if (stall === "stuck") {
      // The camera may be away for long, and hls.js may be right to wait.
      this.onStuck?.();
    }
  }

  /** Called when the picture is stuck; `restart` helps if the stream is live. */
  onStuck: (() => void) | undefined;

  restart(): void {
    void this.begin();
  }

  /** A camera that was away comes back: fatal errors are tried again instead of giving up. */
  private recover(hls: Hls, error: ErrorData): void {
    this.video.dispatchEvent(new CustomEvent("hlserror", { detail: error.details }));
    if (hls !== this.hls) {
      return;
    }
    const isRefused = error.response?.code === 401;
    if (isRefused) {
      renew().catch(() => {});
    }
    if (!error.fatal) {
      return;
    }
    if (UNPLAYABLE.includes(error.details)) {
      this.release();
      this.state.value = "failed";
      this.reason.value = t("tile.unplayable");
      return;
    }
    if (error.type === Hls.ErrorTypes.MEDIA_ERROR && this.mayRecover()) {
      hls.recoverMediaError();
      return;
    }
    const request = error.networkDetails as XMLHttpRequest | undefined;
    const body =
      request && "responseType" in request && request.responseType !== "arraybuffer"
        ? request.responseText
        : null;
    this.fail(problemOf(error.response?.code ?? 0, body) ?? new Error(t("tile.interrupted")));
  }

  /** Media errors that come again and again are cured by a new start only. */
  private mayRecover(): boolean {
    const now = performance.now();
    this.recovered = this.recovered.filter((at) => now - at < 30_000);
    this.recovered.push(now);
    return this.recovered.length <= 3;
  }

  /** Tells why, and tries again unless that is of no use. */
  private fail(error: unknown): void {
    this.release();
    const isUnknown = error instanceof Problem && error.code === "unknown_camera";
    this.reason.value = isUnknown ? t("tile.unknown") : words(error);
    if (error instanceof Problem && FINAL.includes(error.code)) {
      if (this.wanted && REFUSED.includes(error.code)) {
        remember(keyOf(this.wanted), error);
      }
      this.state.value = "failed";
      return;
    }
    const wasLive = this.state.value === "live" || this.state.value === "waiting";
    this.state.value = wasLive && this.failures < 5 ? "waiting" : "failed";
    const pause = Math.min(RETRY_AFTER_MS * 1.5 ** this.failures, LONGEST_RETRY_MS);
    this.failures += 1;
    this.retry = setTimeout(() => void this.begin(), pause);
  }

  /** Keeps the picture that is shown, so that a tile never turns black without need. */
  private keepStill(): void {
    const { videoWidth, videoHeight } = this.video;
    if (!videoWidth || this.video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) {
      return;
    }
    const scale = Math.min(1, STILL_WIDTH / videoWidth);
    this.still.width = videoWidth * scale;
    this.still.height = videoHeight * scale;
    this.still.getContext("2d")?.drawImage(this.video, 0, 0, this.still.width, this.still.height);
    this.hasStill.value = true;
  }
}
