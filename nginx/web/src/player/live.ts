// The player: shows one camera in a tile with the best transport, and recovers from stalls, from outages of the camera
// and the manager, and from the computer's sleep. Signals report the player's state; the tile displays it.
import { signal } from "@preact/signals-core";

import type { Coded } from "../api/problem";
import { streamKey } from "../api/stream-key";
import { findOptions, optionsFor } from "./abilities";
import { Adaptation } from "./adaptation";
import { Backoff } from "./backoff";
import type { Options } from "./choice";
import { isFinal, isRefusal, problemFrom, problemOfReason } from "./failure";
import { FigureSignals } from "./figures";
import { follow } from "./follow";
import type { Host } from "./host";
import { leavingOf } from "./leaving";
import { showPictures } from "./pictures";
import { factoryOf, outputFor } from "./registry";
import { Renewals } from "./renewals";
import type { PlayRequest, State } from "./request";
import { canContinue, Screen } from "./screen";
import { SleepWatch } from "./sleep";
import type { Sound } from "./sound";
import { StallWatch } from "./stall";
import { copyElement } from "./still";
import { TransportSwitch } from "./switch";
import { type Job, NO_FIGURES, NO_MOTION, type Reason, type TransportName } from "./transport";

const KEEP_UP_EVERY_MS = 100;

export class LivePlayer {
  readonly state = signal<State>("idle");
  /** The reason why the player is not live; null if nothing needs to be reported. */
  readonly reason = signal<Coded | null>(null);
  private readonly figures = new FigureSignals();
  readonly latency = this.figures.latency;
  readonly rate = this.figures.rate;
  readonly picturesPerSecond = this.figures.picturesPerSecond;
  readonly isSoundless = this.figures.isSoundless;
  /** The transport that plays; null while none does. */
  readonly transport = signal<TransportName | null>(null);
  /** Whether the canvas contains a picture, to be shown while no video plays. */
  readonly hasStill = signal(false);
  readonly adaptation = new Adaptation((isLowered) => this.onLevel(isLowered));
  readonly screen: Screen;

  private readonly transports: TransportSwitch;
  private readonly sound: Sound;
  private request: PlayRequest | null = null;
  private options: Options = { usable: [], others: new Map() };
  /** Aborts the requests of the current attempt. `release` aborts this controller and creates another. */
  private attempt = new AbortController();
  private readonly backoff = new Backoff();
  private beat: ReturnType<typeof setInterval> | undefined;
  private sleep = new SleepWatch();
  private stopFollowing: (() => void) | null = null;
  private readonly renewals = new Renewals();
  private readonly stall = new StallWatch();
  /** Whether the player has been live since `play` was called. */
  private wasLive = false;
  /** Whether the picture was live and has stopped. */
  private hasStalled = false;

  constructor(
    video: HTMLVideoElement,
    private readonly still: HTMLCanvasElement,
    private readonly host: Host,
  ) {
    this.sound = { isOn: false, volume: host.volume };
    this.screen = new Screen(video);
    this.transports = new TransportSwitch(this.screen, factoryOf, () => this.job(), {
      onShown: () => this.onPlaying(),
      onHiding: () => {
        // A copy of the picture, so that the tile does not turn black until video plays again.
        this.hasStill.value ||= copyElement(this.screen.shown.peek(), still);
      },
      onProblem: (problem) => this.onProblem(problem),
      onExhausted: (reason, cause) => this.fail(problemOfReason(reason, cause)),
      events: {
        media: () => this.stall.arrived(),
        grown: () => this.stall.grown(),
        restart: () => void this.begin(),
        away: (isAway) => isAway && this.wait(),
        slow: (rate) => this.adaptation.tooSlow(rate),
        steady: () => this.adaptation.steady(performance.now()),
      },
    });
  }

  /**
   * Starts to play, or switches to another stream. If another stream of the same camera plays, its picture remains
   * until the new one is there. If the camera has refused this stream before, reports that refusal instead.
   */
  play(request: PlayRequest): void {
    const isPlaying = this.request?.id === request.id && this.transports.current !== null;
    this.leave(isPlaying);
    this.request = request;
    this.adaptation.begin(request.profile);
    this.backoff.failures = 0;
    this.transports.retries.forgive(true);
    this.host.addPlayer(request.id);
    this.stopFollowing = follow(
      this.host,
      () => this.transports.current?.applySound(),
      () => this.transports.renew(true),
      () => this.reconsider(),
    );
    if (!isPlaying) {
      this.wasLive = false;
      this.state.value = "starting";
    }
    this.reason.value = null;
    this.sleep = new SleepWatch();
    this.beat = setInterval(() => this.keepUp(), KEEP_UP_EVERY_MS);
    const refusal = this.host.refusals.of(this.key(request));
    if (refusal) {
      this.fail(refusal);
    } else {
      void this.begin(isPlaying);
    }
  }

  /** Finds out again which transports can be used. */
  private reconsider(): void {
    if (this.request) {
      this.options = optionsFor(this.request, this.host);
      this.transports.reconsider(this.options.usable);
      const isUsable = this.options.usable.length > 0;
      if (this.reason.peek()?.code === "transport_unavailable" && isUsable) {
        void this.begin();
      }
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
    if (this.request && (this.backoff.isPausing || isFailed)) {
      this.host.refusals.forget(this.key(this.request));
      if (isUserRequest) {
        this.backoff.failures = 0;
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
    const first = this.backoff.failures > 0 ? "retrying" : "starting";
    this.state.value = this.wasLive ? "waiting" : first;
  }

  private key({ id }: PlayRequest): string {
    return streamKey(id, this.adaptation.profile.value);
  }

  /** Switches the sound on or off. */
  setSound(isOn: boolean): void {
    this.sound.isOn = isOn;
    this.transports.applySound();
  }

  /** Reports a problem that was found without a transport. It matters only while there is no picture. */
  report(problem: Coded): void {
    if (this.request && this.transports.current === null) {
      this.fail(problem);
    }
  }

  /** Returns why the transports that do not play were not taken. */
  reasonsAgainst(): Map<TransportName, Reason> {
    return new Map([...this.options.others, ...this.transports.failures()]);
  }

  private job(): Job {
    const { id = "", isLowLatency = true, isWall = false } = this.request ?? {};
    const { host, screen, sound, adaptation } = this;
    const { meter, isReplaceable: hasSub } = adaptation;
    const key = streamKey(id, adaptation.profile.value);
    return { host, key, screen, sound, hasSub, isLowLatency, isWall, meter };
  }

  private leave(keepsPicture = false): void {
    if (this.request) {
      this.host.removePlayer(this.request.id);
    }
    this.request = null;
    this.stopFollowing?.();
    this.stopFollowing = null;
    clearInterval(this.beat);
    if (!keepsPicture) {
      this.release();
    }
  }

  /** Ends the current attempt, and removes its picture. A copy of the picture remains on the canvas. */
  private release(): void {
    this.abort();
    this.transports.end();
    this.transport.value = null;
    this.figures.clear();
  }

  /** Ends the current attempt. Its last picture remains. */
  private abort(): void {
    this.cancel();
    this.transports.freeze();
    this.hasStalled = false;
    this.stall.end();
    this.adaptation.meter.reset();
  }

  /** Ends the requests of the current attempt. */
  private cancel(): void {
    this.attempt.abort();
    this.attempt = new AbortController();
    this.backoff.cancel();
  }

  /** Begins with another level, which has been selected because of the viewer's connection. */
  private onLevel(isLowered: boolean): void {
    const name = this.transports.current?.name;
    const leaving = leavingOf(name, this.adaptation.level, isLowered);
    if (leaving === "yields") {
      this.cancel();
      this.transports.begin(this.options.usable, false, true);
    } else {
      void this.begin(leaving === "keeps");
    }
  }

  /** Begins to play. With `keepsPlaying`, the visible transport plays until another one has a picture. */
  private async begin(keepsPlaying = false): Promise<void> {
    const request = this.request;
    if (!request) {
      return;
    }
    if (this.adaptation.level === "pictures") {
      this.release();
      this.beginPictures(request);
      return;
    }
    if (keepsPlaying) {
      this.cancel();
      this.transports.leave();
    } else {
      this.abort();
    }
    const attempt = this.attempt.signal;
    const hasStopped = this.state.value === "live" && !keepsPlaying;
    if (hasStopped || this.state.value === "pictures") {
      this.state.value = "waiting";
    }
    let isLive: boolean;
    try {
      isLive = await this.prepare(request, attempt);
    } catch (error) {
      attempt.aborted || this.fail(error);
      return;
    }
    if (!attempt.aborted) {
      if (this.transports.current === null) {
        this.stall.begin();
      }
      this.transports.begin(this.options.usable, isLive);
    }
  }

  /** Obtains the permission, finds out the options, and starts the stream. Returns whether the stream is live. */
  private async prepare(request: PlayRequest, attempt: AbortSignal): Promise<boolean> {
    const [{ host }, { id, waits }] = [this, request];
    const [options] = await Promise.all([findOptions(request, host), host.obtainPermission(id)]);
    this.options = options;
    if (attempt.aborted) {
      return false;
    }
    const profile = this.adaptation.profile.value;
    const output = outputFor(this.options.usable[0]);
    return host.start({ id, profile, output, waits }, attempt, {
      onStarting: () => this.transports.current ?? this.showStart(),
      onFailure: (error) => (this.reason.value = error),
    });
  }

  private onPlaying(): void {
    this.transport.value = this.transports.current?.name ?? null;
    this.hasStalled = false;
    this.wasLive = true;
    this.transports.isLeaving || this.adaptation.played();
    this.backoff.failures = 0;
    this.hasStill.value = false;
    this.state.value = "live";
    this.reason.value = null;
  }

  private keepUp(): void {
    if (this.sleep.hasSlept()) {
      this.state.value === "failed" || void this.begin();
      return;
    }
    this.adaptation.measure(performance.now()) && this.stall.arrived();
    this.watchStall();
    const current = this.transports.current;
    const interval = this.figures.update(current?.keepUp() ?? NO_FIGURES);
    this.stall.note(current?.motion ?? NO_MOTION);
    this.stall.interval = interval;
    this.transports.keepUp(performance.now(), this.stall.stoppedFor, interval);
  }

  private beginPictures(request: PlayRequest): void {
    this.state.value = "pictures";
    this.reason.value = null;
    void showPictures(this.host, request.id, this.key(request), this.still, this.attempt.signal, {
      onPicture: (rate) => {
        this.hasStill.value = true;
        this.reason.value = null;
        this.adaptation.evaluate(rate);
      },
      onFailure: (error) => (this.reason.value = error),
    });
  }

  private watchStall(): void {
    const { current } = this.transports;
    const motion = this.stall.check(current?.motion ?? NO_MOTION);
    if (motion === "moving" && this.hasStalled && current && canContinue(current.element)) {
      this.onPlaying();
    } else if (motion === "waiting") {
      this.wait();
    } else if (motion === "missed") {
      void this.begin();
    } else if (motion === "stuck") {
      // The tile decides whether to restart, because a restart does not help while the camera is unreachable.
      if (!this.transports.isAway || this.isListedLive?.()) {
        this.onStuck?.();
      }
    }
  }

  /** Shows that the picture has stopped. */
  private wait(): void {
    if (this.state.value === "live") {
      this.hasStalled = true;
      this.state.value = "waiting";
    }
  }

  /** Handles a failure of the stream that a transport has reported. */
  private onProblem(problem: Coded): void {
    if (!this.renewals.helps(problem)) {
      this.fail(problem);
      return;
    }
    const attempt = this.attempt.signal;
    this.host.renew().then(
      () => attempt.aborted || void this.begin(),
      (error) => attempt.aborted || this.fail(error),
    );
  }

  /**
   * Called when the picture is stuck. The tile sets this function, which restarts the player if the stream is
   * live.
   */
  onStuck: (() => void) | undefined;

  /**
   * Returns whether the service lists the stream as live. A transport to which the camera is still away has then lost its
   * connection. A tile without a list of streams does not set this function.
   */
  isListedLive: (() => boolean) | undefined;

  restart(): void {
    void this.begin();
  }

  /**
   * Reports the error as the reason, and retries after a pause unless a retry cannot help. If a better level does not
   * start, stays with the picture that plays. If the sub stream has replaced the main stream but does not work, shows
   * pictures of the main stream instead.
   */
  private fail(error: unknown): void {
    if (this.transports.current && this.adaptation.leaveRaised()) {
      this.cancel();
      this.transports.stay();
      this.reason.value = null;
      return;
    }
    this.release();
    if (this.adaptation.leaveSub()) {
      void this.begin();
      return;
    }
    const problem = problemFrom(error);
    this.reason.value = problem;
    if (isFinal(problem)) {
      if (this.request && isRefusal(problem)) {
        this.host.refusals.remember(this.key(this.request), problem);
      }
      this.state.value = "failed";
      return;
    }
    this.backoff.retryLater(() => void this.begin());
    this.showStart();
  }
}
