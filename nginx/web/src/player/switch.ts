// Changes between the transports of a tile. Shows the first one that has a picture, changes to a better one without a
// gap, and replaces one that fails.
import type { Coded } from "../api/problem";
import { Retries } from "./retries";
import type { Screen } from "./screen";
import type {
  Failure,
  Reason,
  Transport,
  TransportEvents,
  TransportFactory,
  TransportName,
} from "./transport";

/** If a transport has no picture after this time, the next one is started as well. */
const OVERTAKE_MS = 900;
/** If a transport has no picture after this time although another one may work, it has failed. */
const NO_PICTURE_MS = 6000;
/** The same for the only transport, because a busy computer can need many seconds. */
const NO_PICTURE_ALONE_MS = 30_000;
/** If the picture has stopped for this time, the next transport is started as well. */
const STALLED_MS = 700;
/** A transport that has just begun is not replaced by a better one for this time. */
const SETTLE_MS = 2000;

/** A transport that plays, or that has been started and has no picture yet. */
interface Attempt {
  readonly name: TransportName;
  readonly transport: Transport;
  readonly beganAt: number;
  /** Whether the transport replaces the visible one even if that one is better. */
  readonly isForced: boolean;
  /** Whether the transport has failed or was stopped. Its last picture may still be visible. */
  isOver: boolean;
}

export interface SwitchHost {
  /** The first picture of a transport is visible. */
  onShown(): void;
  /** The picture of the visible transport is about to disappear. */
  onHiding(): void;
  /** The stream has failed, for a reason that concerns all transports. */
  onProblem(problem: Coded): void;
  /** All transports have failed. `reason` is that of the last failure. */
  onExhausted(reason: Reason): void;
  /** Events of the visible transport, or of the only one while none is visible. */
  readonly events: Pick<
    TransportEvents,
    "media" | "grown" | "restart" | "away" | "slow" | "steady"
  >;
}

export class TransportSwitch {
  readonly retries = new Retries();
  private usable: TransportName[] = [];
  private shown: Attempt | null = null;
  private attempts: Attempt[] = [];
  private shownAt = 0;
  /** Whether the picture has stopped for so long that another transport is started. */
  private isStalled = false;

  constructor(
    private readonly screen: Screen,
    private readonly make: (name: TransportName) => TransportFactory,
    private readonly job: () => Parameters<TransportFactory>[0],
    private readonly host: SwitchHost,
  ) {}

  /** The transport that plays; null while none does. */
  get current(): Transport | null {
    return this.shown && !this.shown.isOver ? this.shown.transport : null;
  }

  /** Returns why transports that could be used do not play: the reasons of their last failures. */
  failures(): Map<TransportName, Reason> {
    const reasons = new Map<TransportName, Reason>();
    for (const name of this.usable) {
      const reason = this.retries.reason(name);
      if (reason && name !== this.current?.name) {
        reasons.set(name, reason);
      }
    }
    return reasons;
  }

  /** The transport that plays, or the one that was started first. */
  private get leader(): Attempt | null {
    return this.shown && !this.shown.isOver ? this.shown : (this.attempts[0] ?? null);
  }

  /** Starts the best of these transports. The list is from the best to the worst. */
  begin(usable: TransportName[]): void {
    this.usable = usable;
    this.freeze();
    if (usable.length === 0) {
      this.exhausted("browser");
    } else if (!this.startNext()) {
      // All of them have failed before. Something may have changed since then.
      this.retries.forgive(true);
      this.startNext();
    }
  }

  /**
   * Starts the visible transport again, and changes to the new one when it has a picture. With `onlyConnections`, does
   * so only if the transport has one connection for all of its media.
   */
  renew(onlyConnections = false): void {
    const name = this.current?.name;
    const isHls = name === "hls" || name === "native";
    if (
      name &&
      !(onlyConnections && isHls) &&
      !this.attempts.some((attempt) => attempt.name === name)
    ) {
      this.start(name, true);
    }
  }

  /** Changes the list while a transport plays, and leaves a transport that is not in the list. */
  reconsider(usable: TransportName[]): void {
    this.usable = usable;
    const name = this.current?.name;
    if (name && !usable.includes(name)) {
      this.startNext();
    }
  }

  /** Stops all transports. The last picture stays visible. */
  freeze(): void {
    for (const attempt of this.attempts.splice(0)) {
      this.discard(attempt);
    }
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
   * the picture has stopped, in milliseconds, although the camera sends. Call this several times a second.
   */
  keepUp(now: number, stillFor: number): void {
    this.endLate(now);
    this.isStalled = stillFor > STALLED_MS;
    const playing = this.shown && !this.shown.isOver ? this.shown : null;
    if (!playing || this.isStalled) {
      const last = this.attempts.at(-1);
      const isLate = last !== undefined && now - last.beganAt > OVERTAKE_MS;
      if (isLate || (playing && !last)) {
        this.startNext();
      }
      return;
    }
    const time = now - this.shownAt;
    this.retries.played(playing.name, time);
    if (stillFor === 0) {
      this.endWorse(playing);
    }
    const better = this.usable.slice(0, Math.max(0, this.rank(playing.name)));
    if (time > SETTLE_MS && this.attempts.length === 0 && !document.hidden) {
      this.startFirst(better);
    }
  }

  private rank(name: TransportName): number {
    const index = this.usable.indexOf(name);
    return index < 0 ? Number.POSITIVE_INFINITY : index;
  }

  /** Ends attempts that have no picture for too long. */
  private endLate(now: number): void {
    for (const attempt of [...this.attempts]) {
      const isOnly = this.current === null && this.attempts.length === 1;
      const limit = isOnly ? NO_PICTURE_ALONE_MS : NO_PICTURE_MS;
      if (now - attempt.beganAt > limit && !document.hidden) {
        this.onFailed(attempt, { reason: "no_picture" });
      }
    }
  }

  /** Ends attempts with worse transports, because the picture moves again. */
  private endWorse(playing: Attempt): void {
    const worse = this.attempts.filter(
      ({ name, isForced }) => !isForced && this.rank(name) > this.rank(playing.name),
    );
    for (const attempt of worse) {
      this.discard(attempt);
      this.attempts = this.attempts.filter((other) => other !== attempt);
    }
  }

  /**
   * Starts the best transport that is not in use. If the picture has stopped and all others are pausing after failures,
   * does not wait for the end of the pause. Returns false if there is no transport to start.
   */
  private startNext(): boolean {
    return this.startFirst(this.usable) || (this.isStalled && this.startPausing());
  }

  /** Starts the transport whose pause ends first, unless another attempt is in progress. */
  private startPausing(): boolean {
    const free = this.usable.filter((each) => each !== this.current?.name);
    const name = this.retries.nextOf(free);
    if (!name || !this.current || this.attempts.length > 0) {
      return false;
    }
    this.start(name, false);
    return true;
  }

  private startFirst(names: TransportName[]): boolean {
    const now = performance.now();
    const isUsed = (each: TransportName) =>
      this.current?.name === each || this.attempts.some((attempt) => attempt.name === each);
    const name = names.find((each) => !isUsed(each) && !this.retries.isPausing(each, now));
    if (name) {
      this.start(name, false);
    }
    return name !== undefined;
  }

  private start(name: TransportName, isForced: boolean): void {
    const events = this.eventsOf(() => attempt);
    const transport = this.make(name)(this.job(), events);
    const attempt: Attempt = {
      name,
      transport,
      beganAt: performance.now(),
      isForced,
      isOver: false,
    };
    this.attempts.push(attempt);
    transport.start();
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
      media: () => ifLeading(events.media),
      grown: () => ifLeading(events.grown),
      restart: () => ifLeading(events.restart),
      away: (isAway) => ifLeading(() => events.away(isAway)),
      slow: (rate) => ifLeading(() => events.slow(rate)),
      steady: () => ifLeading(events.steady),
    };
  }

  private onPicture(attempt: Attempt): void {
    if (attempt.isOver || attempt === this.shown) {
      return;
    }
    const before = this.shown;
    this.attempts = this.attempts.filter((other) => other !== attempt);
    if (before && !before.isOver && before.name !== attempt.name) {
      const isWorse = this.rank(attempt.name) > this.rank(before.name);
      if (isWorse) {
        this.retries.fail(before.name, "stalled", performance.now());
      }
    }
    this.shown = attempt;
    this.shownAt = performance.now();
    this.screen.show(attempt.transport.element);
    if (before) {
      before.isOver || before.transport.stop();
      before.isOver = true;
      this.screen.release(before.transport.element);
    }
    this.endWorse(attempt);
    this.host.onShown();
  }

  private onFailed(attempt: Attempt, { reason, problem }: Failure): void {
    if (attempt.isOver) {
      return;
    }
    const isPlaying = this.current !== null;
    const isShown = this.shown === attempt;
    this.attempts = this.attempts.filter((other) => other !== attempt);
    if (isShown) {
      this.host.onHiding();
      attempt.isOver = true;
      attempt.transport.stop();
    } else {
      this.discard(attempt);
    }
    if (isShown && this.attempts.some(({ isForced }) => isForced)) {
      return; // Its replacement has been started, and reports what it finds.
    }
    if (problem && (isShown || !isPlaying)) {
      this.host.onProblem(problem);
      return;
    }
    if (attempt.name !== this.current?.name) {
      this.retries.fail(attempt.name, reason, performance.now());
    }
    const isNeeded = !this.current || this.isStalled;
    if (isNeeded && !this.startNext() && !this.current && this.attempts.length === 0) {
      this.exhausted(reason);
    }
  }

  private exhausted(reason: Reason): void {
    // If nothing works, the transports are not the cause. So all of them are tried again with the next attempt.
    this.retries.forgive();
    this.host.onExhausted(reason);
  }

  private discard(attempt: Attempt): void {
    if (!attempt.isOver) {
      attempt.isOver = true;
      attempt.transport.stop();
    }
    this.screen.release(attempt.transport.element);
  }
}
