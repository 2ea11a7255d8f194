// Starts transports of a tile: the best one that is not in use, and not pausing after a failure.
import type { Attempt, Attempts } from "./attempts";
import { nextOf } from "./candidates";
import type { Retries } from "./retries";
import type { TransportName } from "./transport";
import type { Turns } from "./turns";

/** If a transport has no picture after this time, and no media arrives, the next one is started as well. */
const OVERTAKE_MS = 900;
/** Transports that are pausing after failures are tried at most this often while the picture has stopped. */
const IMPATIENT_MS = 2000;
/** A transport that is the only one is started again if it gets nothing for this time, and for this many frames. */
const SILENT_MS = 1500;
const SILENT_FRAMES = 3;
/** Players of HLS repeat their requests themselves. */
const REPEATING: TransportName[] = ["hls", "native"];

export interface Visible {
  /** The visible transport, unless it has ended. */
  current: TransportName | undefined;
  /** The same, but only if it plays the wanted stream. */
  playing: TransportName | undefined;
  /** Whether the visible picture has stopped. */
  isStalled: boolean;
}

export class Starter {
  constructor(
    private readonly attempts: Attempts,
    private readonly retries: Retries,
    private readonly turns: Turns,
    private readonly visible: () => Visible,
  ) {}

  /** Returns the best of these transports that is not in use. */
  private next(names: TransportName[]): TransportName | undefined {
    const now = performance.now();
    const started = this.attempts.list.map(({ name }) => name);
    const running = { ...this.visible(), started };
    return nextOf(names, running, (each) => this.retries.isPausing(each, now));
  }

  /** Starts the best of these transports that is not in use. Returns false if all are in use. */
  startNext(names: TransportName[]): boolean {
    const name = this.next(names);
    if (name) {
      this.attempts.start(name, false);
    }
    return name !== undefined;
  }

  /**
   * Starts the best of these transports that is not in use, unless too many tiles of the page do so at the moment. If
   * the picture has stopped and all others are pausing after failures, does not wait for the end of the pause, but only
   * for IMPATIENT_MS. With `isForced`, the transport replaces the visible one even if that one is better.
   */
  startInTurn(names: TransportName[], isForced = false): void {
    const { current, isStalled } = this.visible();
    const { list, startedAt } = this.attempts;
    const isTime = performance.now() - startedAt > IMPATIENT_MS;
    const others = names.filter((each) => each !== current);
    const isImpatient = isStalled && list.length === 0 && isTime;
    const name = this.next(names) ?? (isImpatient ? this.retries.nextOf(others) : undefined);
    const endTurn = name && this.turns.take();
    if (name && endTurn) {
      this.attempts.start(name, isForced, endTurn);
    }
  }

  /**
   * Replaces a picture that has stopped, and starts another transport if the last one is late. `playing` is the attempt
   * that plays, and `interval` the time between two frames in milliseconds; 0 if it is unknown.
   */
  replace(now: number, playing: Attempt | null, names: TransportName[], interval: number): void {
    const { last, list } = this.attempts;
    const isOld = last !== undefined && !last.isWaiting && now - last.beganAt > OVERTAKE_MS;
    const isLate = isOld && !this.attempts.isFilling(now);
    // If another transport has only the kept frames, the stream itself has stopped.
    const hasBegun = list.some(({ pictureAt }) => pictureAt !== null);
    if (!hasBegun && (isLate || (playing && !last))) {
      this.startInTurn(names);
    }
    if (playing && list.length === 0) {
      this.startAgain(playing, names, interval);
    }
  }

  /** Starts the transport that plays again beside itself if it is the only one and gets nothing. */
  private startAgain(
    { name, transport, mediaAt }: Attempt,
    names: TransportName[],
    interval: number,
  ): void {
    const isOnly = names.length === 1 && names[0] === name && !REPEATING.includes(name);
    const silence = performance.now() - mediaAt;
    const isSilent = silence > Math.max(SILENT_MS, SILENT_FRAMES * interval);
    // An attempt that fails at once is not repeated at once.
    const isTime = performance.now() - this.attempts.startedAt > SILENT_MS;
    if (isOnly && isSilent && isTime && !transport.isSkipping) {
      const endTurn = this.turns.take();
      endTurn && this.attempts.start(name, false, endTurn);
    }
  }
}
