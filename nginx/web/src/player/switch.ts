// Changes between the transports of a tile. Shows the first one that has a picture, changes to a better one without a
// gap, and replaces one that fails.
import type { Coded } from "../api/problem";
import { type Attempt, Attempts } from "./attempts";
import { hasSound, reasonsAgainst } from "./candidates";
import { Retries } from "./retries";
import type { Screen } from "./screen";
import { Starter } from "./starter";
import type { SwitchHost } from "./switch-host";
import type {
  Failure,
  Job,
  Reason,
  Transport,
  TransportEvents,
  TransportFactory,
  TransportName,
} from "./transport";
import { pageTurns, type Turns } from "./turns";

/** If the picture has stopped for this time, and for this many frames, the next transport is started as well. */
const STALLED_MS = 500;
const STALLED_FRAMES = 2.5;
/**
 * A transport begins with frames that the service has kept, even if the camera sends nothing. So it replaces a picture
 * that has stopped only if media arrives this long after its first picture.
 */
const KEPT_MS = 150;
/** A renewal of the visible transport that has failed is repeated after this time. */
const RENEW_AGAIN_MS = 5000;
/** A transport that has just begun is not replaced by a better one for this time. */
const SETTLE_MS = 2000;

export class TransportSwitch {
  readonly retries = new Retries();
  private usable: TransportName[] = [];
  private shown: Attempt | null = null;
  private readonly attempts: Attempts;
  private readonly starter: Starter;
  private shownAt = 0;
  /** Whether the picture has stopped for so long that another transport is started. */
  private isStalled = false;
  /** Whether the visible transport plays another stream than the one that is wanted, until that one has a picture. */
  isLeaving = false;
  /** Whether the visible transport ends as soon as one of the wanted stream gets media. */
  private yields = false;
  /** The position of the visible picture at the last call of `keepUp`. */
  private position = 0;
  private wasAway = false;
  /** The last failure of the stream, and of a transport, that attempts have reported in vain. */
  private problem: Coded | null = null;
  private cause: Coded | undefined;

  constructor(
    private readonly screen: Screen,
    make: (name: TransportName) => TransportFactory,
    job: () => Job,
    private readonly host: SwitchHost,
    turns: Turns = pageTurns,
  ) {
    this.attempts = new Attempts(screen, make, job, (attempt) => this.eventsOf(attempt));
    this.starter = new Starter(this.attempts, this.retries, turns, () => ({
      current: this.current?.name,
      playing: this.playing?.name,
      isStalled: this.isStalled,
    }));
  }

  /** The transport that plays; null while none does. */
  get current(): Transport | null {
    return this.shown && !this.shown.isOver ? this.shown.transport : null;
  }

  /** Whether the camera is away, as a transport reports it. */
  get isAway(): boolean {
    return this.running.some(({ isAway }) => isAway);
  }

  /** Returns why transports that could be used do not play. */
  failures(): Map<TransportName, Reason> {
    return reasonsAgainst(this.usable, this.current?.name, (name) => this.retries.reason(name));
  }

  /** The transports that run. */
  private get running(): Attempt[] {
    const all = [this.shown, ...this.attempts.list];
    return all.filter((each) => each !== null && !each.isOver) as Attempt[];
  }

  /** The attempt that plays the wanted stream. */
  private get playing(): Attempt | null {
    return this.shown && !this.shown.isOver && !this.isLeaving ? this.shown : null;
  }

  /** The transport that plays, or the one that was started first. */
  private get leader(): Attempt | null {
    return this.playing ?? this.attempts.list[0] ?? null;
  }

  /**
   * Prepares the change to another stream: the visible transport plays until a transport of the other stream, which
   * `begin` starts, has a picture.
   */
  leave(): void {
    this.attempts.dropIf(() => true);
    this.isLeaving = this.current !== null;
  }

  /** Ends the change to another stream. The visible transport plays on. */
  stay(): void {
    this.attempts.dropIf(() => true);
    this.isLeaving = false;
  }

  /**
   * Starts the best of these transports. The list is from the best to the worst. If another stream is visible, it plays
   * until one of these transports has a picture. With `yields`, it plays only until one of them gets media, because the
   * connection is too slow for both. Its last picture stays.
   */
  begin(usable: TransportName[], isLive = true, yields = false): void {
    this.leave();
    this.yields = yields;
    this.usable = usable;
    this.attempts.isLive = isLive;
    this.problem = null;
    this.cause = undefined;
    if (usable.length === 0) {
      this.exhausted("browser");
    } else if (!this.starter.startNext(this.usable)) {
      // All of them have failed before. Something may have changed since then.
      this.retries.forgive(true);
      this.starter.startNext(this.usable);
    }
  }

  /**
   * Starts the visible transport again, and changes to the new one when it has a picture. With `forPermission`, does so
   * only if the transport keeps the permission with which it began: hls.js does not, because each of its requests
   * gets the newest one.
   */
  renew(forPermission = false): void {
    const { playing } = this;
    if (playing && !(forPermission && playing.name === "hls")) {
      playing.isOutdated = true;
      if (!this.attempts.has(playing.name)) {
        this.attempts.start(playing.name, true);
      }
    }
  }

  /** Applies the tile's sound to all transports, and starts those again that were started without sound. */
  applySound(): void {
    this.attempts.applySound();
    if (this.current?.applySound() === false) {
      this.renew();
    }
  }

  /** Changes the list while a transport plays, and leaves a transport that is not in the list. */
  reconsider(usable: TransportName[]): void {
    this.usable = usable;
    const name = this.playing?.name;
    if (name && !usable.includes(name)) {
      this.starter.startNext(this.usable);
    }
  }

  /** Stops all transports. The last picture stays visible. */
  freeze(): void {
    this.attempts.dropIf(() => true);
    this.isLeaving = false;
    this.isStalled = false;
    this.stopShown();
  }

  /** Stops the visible transport. Its last picture stays visible. */
  private stopShown(): void {
    if (this.shown && !this.shown.isOver) {
      this.host.onHiding();
      this.shown.isOver = true;
      this.shown.transport.stop();
    }
  }

  /** Stops all transports, and removes the picture. */
  end(): void {
    this.freeze();
    if (this.shown) {
      this.screen.release(this.shown.transport.element);
      this.shown = null;
    }
  }

  /**
   * Replaces transports that are late or that have stalled, and tries a better one. `stillFor` is the time for which
   * the picture has stopped, and `interval` the time between two frames, in milliseconds; 0 if it is unknown. Call this
   * several times a second.
   */
  keepUp(now: number, stillFor: number, interval = 0): void {
    this.reportAway();
    if (this.isAway) {
      // No transport can show more. One that has been started gets the picture when the camera is back.
      this.attempts.rejuvenate(now);
      this.isStalled = false;
      return;
    }
    this.endLate(now);
    // Browsers show no frames of a page that is not visible.
    const limit = Math.max(STALLED_MS, STALLED_FRAMES * interval);
    this.isStalled = stillFor > limit && !document.hidden;
    this.position = this.current?.motion.currentTime ?? 0;
    const { playing } = this;
    if (!playing || this.isStalled) {
      this.starter.replace(now, playing, this.usable, interval);
      return;
    }
    const time = now - this.shownAt;
    this.retries.played(playing.name, time);
    if (stillFor === 0) {
      this.endWorse(playing);
    }
    const isTime = now - this.attempts.startedAt > RENEW_AGAIN_MS;
    if (playing.isOutdated && this.attempts.list.length === 0 && isTime) {
      this.renew();
    }
    if (time > SETTLE_MS && this.attempts.list.length === 0 && !document.hidden) {
      const better = this.usable.slice(0, Math.max(0, this.rank(playing.name)));
      const lacksSound = playing.isSoundless && playing.sound.isOn;
      this.starter.startInTurn(lacksSound ? this.usable.filter(hasSound) : better, lacksSound);
    }
  }

  private reportAway(): void {
    const { isAway } = this;
    if (isAway !== this.wasAway) {
      this.wasAway = isAway;
      this.host.events.away(isAway);
    }
  }

  private rank(name: TransportName): number {
    const index = this.usable.indexOf(name);
    return index < 0 ? Number.POSITIVE_INFINITY : index;
  }

  /** Ends attempts that have no picture for too long, or nothing but the kept frames. */
  private endLate(now: number): void {
    for (const attempt of this.attempts.late(now, this.playing === null)) {
      if (attempt.pictureAt === null) {
        this.onFailed(attempt, { reason: "no_picture" });
      } else {
        this.attempts.drop(attempt);
      }
    }
  }

  /** Ends attempts with worse transports, or with the same one, because the picture moves again. */
  private endWorse(playing: Attempt): void {
    const limit = this.rank(playing.name);
    this.attempts.dropIf(({ name, isForced }) => !isForced && this.rank(name) >= limit);
  }

  private eventsOf(attempt: () => Attempt): TransportEvents {
    const { events } = this.host;
    const ifLeading = (report: () => void) => {
      if (!attempt().isOver && this.leader === attempt()) {
        report();
      }
    };
    return {
      picture: () => this.onPicture(attempt()),
      failed: (failure) => this.onFailed(attempt(), failure),
      accepted: () => this.attempts.accepted(attempt(), this.playing === null),
      media: () => {
        this.onMedia(attempt());
        ifLeading(events.media);
      },
      grown: () => ifLeading(events.grown),
      restart: () => ifLeading(events.restart),
      renew: () => this.onRenew(attempt()),
      soundless: () => this.onSoundless(attempt()),
      away: (isAway) => {
        attempt().isAway = isAway;
        this.reportAway();
      },
      slow: (rate) => ifLeading(() => events.slow(rate)),
      steady: () => ifLeading(events.steady),
    };
  }

  private onRenew(attempt: Attempt): void {
    if (attempt === this.shown) {
      attempt.isOver || this.renew();
    } else if (!attempt.isOver) {
      this.attempts.restart(attempt);
    }
  }

  /** Another transport may have sound. Until one plays, the picture plays without sound. */
  private onSoundless(attempt: Attempt): void {
    if (attempt.isOver) {
      return;
    }
    attempt.isSoundless = true;
    this.retries.fail(attempt.name, "codec", performance.now());
    if (this.playing && this.playing.name !== attempt.name) {
      this.attempts.drop(attempt);
    }
  }

  private onMedia(attempt: Attempt): void {
    this.attempts.arrived(attempt);
    const { pictureAt } = attempt;
    const { playing } = this;
    const now = performance.now();
    if (this.yields && this.isLeaving && attempt !== this.shown) {
      this.isLeaving = false;
      this.stopShown();
    }
    const isNew = pictureAt !== null && now - pictureAt > KEPT_MS;
    if (isNew && playing && playing !== attempt && this.isStalled) {
      if (playing.transport.motion.currentTime === this.position) {
        if (playing.name !== attempt.name) {
          this.retries.fail(playing.name, "stalled", now);
        }
        this.show(attempt);
      }
    }
  }

  private onPicture(attempt: Attempt): void {
    if (attempt.isOver || attempt === this.shown) {
      return;
    }
    attempt.pictureAt = performance.now();
    const { playing } = this;
    const isBetter = !playing || this.rank(attempt.name) < this.rank(playing.name);
    if (isBetter || attempt.isForced) {
      this.show(attempt);
    }
  }

  /** Makes the picture of an attempt visible. */
  private show(attempt: Attempt): void {
    const before = this.shown;
    this.attempts.take(attempt);
    this.shown = attempt;
    this.shownAt = performance.now();
    this.isLeaving = false;
    this.isStalled = false;
    this.problem = null;
    this.screen.show(attempt.transport.element);
    if (before) {
      before.isOver || before.transport.stop();
      before.isOver = true;
      this.screen.release(before.transport.element);
    }
    attempt.sound.isHidden = false;
    attempt.transport.applySound();
    this.endWorse(attempt);
    this.host.onShown();
  }

  private onFailed(attempt: Attempt, failure: Failure): void {
    if (attempt.isOver) {
      return;
    }
    const isShown = this.shown === attempt;
    if (isShown) {
      this.stopShown();
    } else {
      this.attempts.drop(attempt);
    }
    if (isShown && (this.isLeaving || this.attempts.list.some(({ isForced }) => isForced))) {
      this.isLeaving = false;
      return; // Its replacement has been started, and reports what it finds.
    }
    this.evaluate(attempt, isShown, failure);
  }

  /** Reports a failure of the stream, or starts another transport after the failure of one. */
  private evaluate({ name }: Attempt, isShown: boolean, { reason, problem, cause }: Failure): void {
    const { playing } = this;
    const isLast = !playing && this.attempts.list.length === 0;
    if (problem && (isShown || isLast)) {
      this.host.onProblem(problem);
      return;
    }
    this.cause = cause ?? this.cause;
    if (name !== playing?.name) {
      this.retries.fail(name, reason, performance.now());
    }
    if (problem) {
      // Other attempts are in progress, or a transport plays. If they find the same, they report it.
      this.problem = playing ? null : problem;
    } else if (playing && this.isStalled) {
      this.starter.startInTurn(this.usable);
    } else if (!playing && !this.starter.startNext(this.usable) && isLast) {
      this.exhausted(reason);
    }
  }

  private exhausted(reason: Reason): void {
    // If nothing works, the transports are not the cause. So all of them are tried again with the next attempt.
    this.retries.forgive();
    if (this.problem) {
      this.host.onProblem(this.problem);
    } else {
      this.host.onExhausted(reason, this.cause);
    }
  }
}
