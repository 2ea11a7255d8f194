// Connects the player of an element to a service, with a playback token instead of an API key.

import { type Coded, Problem, problemOf } from "../../../nginx/web/src/api/problem";
import { streamKey } from "../../../nginx/web/src/api/stream-key";
import { MAX_DELAY_MS } from "../../../nginx/web/src/player/follow";
import type { Host, StartRequest } from "../../../nginx/web/src/player/host";
import { Refusals } from "../../../nginx/web/src/player/refused";
import { signal } from "../../../nginx/web/src/player/signals";
import { expiryOf, tokenIn } from "./token";

/** A token is replaced after this share of its remaining lifetime. */
const RENEW_AT = 0.6;
/** Pause before another attempt to replace a token, and the shortest time between two replacements. */
const RENEW_AGAIN_MS = 3000;
/** The first attempt does not wait longer than this for the answer to the check. */
const CHECK_PATIENCE_MS = 100;
/** Time limit of the check. */
const CHECK_WITHIN_MS = 10_000;
/** Time limit of `getToken`. */
const TOKEN_WITHIN_MS = 30_000;
/** Greatest width and age, in pixels and seconds, of the picture that is shown before the video. */
const POSTER = "start=false&width=640&max_age=600";
/** Errors of the check with which no transport can play. Others concern only the picture. */
const DECISIVE = [
  "unauthorized",
  "forbidden",
  "unknown_camera",
  "manager_unavailable",
  "shutting_down",
];
/** The path of a media file, with or without a token. */
const MEDIA = /\/(?:streams|play\/[^/]+)\/([^/]+)\/([^/]+)$/;

export type GetToken = () => Promise<string | null> | string | null;

export interface HostListener {
  /** The last picture of the camera. */
  onPoster(picture: Blob): void;
  /** A problem that was found after the transports have begun. */
  onProblem(problem: Coded): void;
  /** The page provides no other token, and the present one, which the service has accepted, is not valid any more. */
  onSessionEnd(problem: Problem): void;
}

export class TokenHost implements Host {
  readonly volume = signal(1);
  readonly refusals = new Refusals();
  readonly newestPermission = signal<{ lifetime: number } | null>(null);
  /** The reason why the camera is away; null if it is not, or if the reason is unknown. */
  readonly absence = signal<string | null>(null);
  /**
   * Whether to try WebRTC. Without the API, only an attempt shows whether the service offers it. A camera that starts
   * would delay the answer, so another transport starts the camera, and WebRTC follows when that one plays.
   */
  readonly webRtcOffered = signal(false);

  private server = "";
  private token: string | null = null;
  private provider: GetToken | null = null;
  /** Whether the service has accepted the present token. */
  private isAccepted = false;
  /** Whether this service has ever accepted a token. */
  private wasValid = false;
  private players = 0;
  /** The request for another token that is in progress. */
  private pending: Promise<void> | null = null;
  private renewedAt = Number.NEGATIVE_INFINITY;
  private timer: ReturnType<typeof setTimeout> | undefined;
  /** Whether the next attempt waits for the answer to the check. */
  private mustWait = false;

  constructor(private readonly listener: HostListener) {}

  /** The function of the page that provides tokens; null without one. */
  get getToken(): GetToken | null {
    return this.provider;
  }
  set getToken(value: GetToken | null) {
    this.provider = value;
    this.schedule();
  }

  /** Sets the service and the token that the page provides. */
  set(server: string, token: string | null): void {
    const isOther = this.server !== server;
    this.server = server;
    if (isOther) {
      this.wasValid = false;
    }
    if (isOther || token !== null) {
      this.use(token);
    }
  }

  addPlayer(): void {
    this.players += 1;
    this.schedule();
  }

  removePlayer(): void {
    this.players -= 1;
    this.schedule();
  }

  async obtainPermission(): Promise<void> {
    if (!this.token && this.getToken) {
      await this.request();
    }
  }

  /** Replaces the token after the service has rejected it. */
  async renew(): Promise<void> {
    // Usually the service rejects several requests at once, the last of them after another token is there.
    if (!this.isAccepted && performance.now() - this.renewedAt < RENEW_AGAIN_MS) {
      return;
    }
    if (this.getToken) {
      await this.request();
    } else if (this.isAccepted) {
      throw this.end();
    } else {
      // The connection can have begun with an earlier token. So the present one is checked before the next attempt.
      this.mustWait = true;
    }
  }

  addressOf(key: string, file: string): string {
    return `${this.server}/${this.token ? `play/${this.token}` : "streams"}/${key}/${file}`;
  }

  withPermission(url: string): string {
    const { origin, pathname, search } = new URL(url);
    const folder = this.token ? `play/${this.token}` : "streams";
    return origin + pathname.replace(MEDIA, (_, key, file) => `/${folder}/${key}/${file}`) + search;
  }

  onAway(detail: string | null): void {
    this.absence.value = detail;
  }

  /** Tries WebRTC at once if no other transport can be used. */
  learnOffers(dependsOnIt = false): Promise<void> {
    this.webRtcOffered.value ||= dependsOnIt;
    return Promise.resolve();
  }

  /**
   * Checks whether the camera can be watched, because browsers do not show why a WebSocket was refused. The first
   * connection of a transport starts the stream.
   */
  async start({ id, profile }: StartRequest, attempt: AbortSignal): Promise<boolean> {
    let isLate = false;
    const checked = this.check(streamKey(id, profile), attempt).catch((problem) => {
      this.mustWait = true;
      if (isLate && !attempt.aborted) {
        this.listener.onProblem(problem);
      }
      throw problem;
    });
    if (this.mustWait) {
      await checked;
    } else {
      await Promise.race([checked, new Promise((done) => setTimeout(done, CHECK_PATIENCE_MS))]);
    }
    isLate = true;
    checked.catch(() => undefined);
    return false;
  }

  private async check(key: string, attempt: AbortSignal): Promise<void> {
    const { token } = this;
    let problem = await this.findProblem(key, attempt);
    if (problem?.code === "unauthorized" && this.getToken) {
      if (this.token === token) {
        this.isAccepted = false;
        await this.request();
      }
      problem = await this.findProblem(key, attempt);
    }
    if (attempt.aborted) {
      return;
    }
    if (problem?.code === "unauthorized" && !this.getToken) {
      throw this.end();
    }
    if (problem) {
      // A token of `getToken` that was rejected is not the end: the next call may return another one.
      throw problem;
    }
    this.isAccepted = true;
    this.wasValid = true;
    this.mustWait = false;
  }

  /** Requests the camera's last picture. Returns the problem if the service does not permit to watch the camera. */
  private async findProblem(key: string, attempt: AbortSignal): Promise<Problem | null> {
    const controller = new AbortController();
    const abort = () => controller.abort();
    const timer = setTimeout(abort, CHECK_WITHIN_MS);
    attempt.addEventListener("abort", abort);
    try {
      const url = this.addressOf(key, `snapshot.jpg?${POSTER}`);
      const response = await fetch(url, { signal: controller.signal });
      if (response.ok) {
        const picture = await response.blob();
        if (!attempt.aborted) {
          this.listener.onPoster(picture);
        }
        return null;
      }
      const problem = problemOf(response.status, await response.text());
      return problem && DECISIVE.includes(problem.code) ? problem : null;
    } catch {
      return attempt.aborted ? null : new Problem(0, "unreachable", UNREACHABLE);
    } finally {
      clearTimeout(timer);
      attempt.removeEventListener("abort", abort);
    }
  }

  /**
   * Reports the end of the session. A token that the service has never accepted has no session that could end, unless
   * `isCertain`.
   */
  private end(isCertain = false): Problem {
    const problem = new Problem(401, "unauthorized", "the playback token is not valid any more");
    if (isCertain || this.wasValid) {
      this.listener.onSessionEnd(problem);
    }
    return problem;
  }

  /** Requests another token from the page. All who need it wait for the same request. */
  private request(): Promise<void> {
    this.pending ??= this.requestToken().finally(() => {
      this.pending = null;
    });
    return this.pending;
  }

  private async requestToken(): Promise<void> {
    this.renewedAt = performance.now();
    let found: string | null | undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;
    try {
      const late = new Promise<never>((_, fail) => {
        timer = setTimeout(() => fail(new Error("it has not responded in time")), TOKEN_WITHIN_MS);
      });
      found = await Promise.race([this.getToken?.(), late]);
    } catch (error) {
      throw new Problem(0, "token_unavailable", `getToken has failed: ${error}`);
    } finally {
      clearTimeout(timer);
    }
    if (!found) {
      throw this.end(true);
    }
    this.use(tokenIn(found));
  }

  /** Uses a token. Connections with an earlier one are replaced before they end with that one. */
  private use(token: string | null): void {
    const before = this.token;
    if (token !== before) {
      this.token = token;
      this.isAccepted = false;
      if (before !== null && token !== null) {
        // Within a fifth of the lifetime, so this leaves most of the time that the earlier token still has.
        const lifetime = Math.min(restOf(token), 2 * restOf(before));
        this.newestPermission.value = { lifetime };
      }
    }
    this.schedule();
  }

  /** Plans the replacement of the token, if the page can provide another one. */
  private schedule(): void {
    clearTimeout(this.timer);
    const left = this.token && this.getToken ? restOf(this.token) : 0;
    // If the clock of this computer is wrong, the token is replaced when the service rejects it.
    if (this.players > 0 && left > 0) {
      this.wait(left * RENEW_AT);
    }
  }

  private wait(time: number): void {
    const pause = Math.min(MAX_DELAY_MS, Math.max(RENEW_AGAIN_MS, time));
    this.timer = setTimeout(() => {
      this.request().catch(() => this.players > 0 && this.wait(RENEW_AGAIN_MS));
    }, pause);
  }
}

/** Returns the milliseconds until a token expires; 0 if the time is unknown. */
function restOf(token: string): number {
  const expiry = expiryOf(token);
  return expiry === null ? 0 : Math.max(0, expiry - Date.now());
}

const UNREACHABLE =
  "the service does not respond, or its setting CORS_ORIGINS does not list the origin of this page";
