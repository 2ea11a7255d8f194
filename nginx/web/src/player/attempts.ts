// The transports of a tile that have been started and are not visible yet.
import type { Screen } from "./screen";
import type { Sound } from "./sound";
import type { Job, Transport, TransportEvents, TransportFactory, TransportName } from "./transport";

/** A transport that plays, or that has been started and is not visible yet. */
export interface Attempt {
  readonly name: TransportName;
  readonly transport: Transport;
  readonly sound: Sound;
  /** Whether the transport replaces the visible one even if that one is better. */
  readonly isForced: boolean;
  /** Ends the attempt's turn. */
  readonly endTurn: () => void;
  /** The time at which the attempt began. While the camera is away, attempts do not become older. */
  beganAt: number;
  /** The time at which media has arrived last; infinitely long ago before the first media. */
  mediaAt: number;
  /** The time of the first picture; null before it. */
  pictureAt: number | null;
  /** Whether the transport waits for the camera, which is starting. */
  isWaiting: boolean;
  /** Whether the camera is away, as the transport reports it. */
  isAway: boolean;
  /** Whether the transport has to be renewed. */
  isOutdated: boolean;
  /** Whether the transport cannot play the sound of the stream. */
  isSoundless: boolean;
  /** Whether the transport has failed or was stopped. Its last picture may still be visible. */
  isOver: boolean;
}

/** If a transport has no picture after this time although another one may work, it has failed. */
const NO_PICTURE_MS = 6000;
/** The same for the only transport, because a busy computer can need many seconds. */
const NO_PICTURE_ALONE_MS = 30_000;
/**
 * The same while media arrives. On a slow line, the frames at the beginning take several seconds, and they take even
 * longer beside those of another transport. So no other one is started for FILLING_ALONE_MS, but then the decoder may be
 * the cause.
 */
const FILLING_MS = 12_000;
const FILLING_ALONE_MS = 6000;
/** Media arrives if the last media is not older than this. */
const ARRIVING_MS = 500;

/** Returns whether an attempt that has no picture gets media. */
function isFilling({ pictureAt, mediaAt }: Attempt, now: number): boolean {
  return pictureAt === null && now - mediaAt < ARRIVING_MS;
}

/** A turn that needs no end. */
const noTurn = () => undefined;

export class Attempts {
  /** From the first to the last one that was started. */
  list: Attempt[] = [];
  /** Whether the stream was live when the attempts began. Otherwise, the first connection starts it. */
  isLive = true;
  /** The time at which the last attempt was started. */
  startedAt = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly screen: Screen,
    private readonly make: (name: TransportName) => TransportFactory,
    private readonly job: () => Job,
    private readonly eventsOf: (attempt: () => Attempt) => TransportEvents,
  ) {}

  get last(): Attempt | undefined {
    return this.list.at(-1);
  }

  has(name: TransportName): boolean {
    return this.list.some((attempt) => attempt.name === name);
  }

  start(name: TransportName, isForced: boolean, endTurn: () => void = noTurn): void {
    const job = this.job();
    // Until the attempt is visible, another transport may be heard.
    const sound: Sound = {
      get isOn() {
        return job.sound.isOn;
      },
      volume: job.sound.volume,
      isHidden: true,
    };
    const events = this.eventsOf(() => attempt);
    const transport = this.make(name)({ ...job, sound }, events);
    const attempt: Attempt = {
      name,
      transport,
      sound,
      isForced,
      endTurn,
      beganAt: performance.now(),
      mediaAt: Number.NEGATIVE_INFINITY,
      pictureAt: null,
      isWaiting: false,
      isAway: false,
      isOutdated: false,
      isSoundless: false,
      isOver: false,
    };
    this.startedAt = attempt.beganAt;
    this.list.push(attempt);
    transport.start();
  }

  /**
   * Returns the attempts that have no picture for too long, or nothing but the kept frames. `isAlone`: whether no
   * other transport plays. On a page that is not visible, attempts are never late.
   */
  late(now: number, isAlone: boolean): Attempt[] {
    const limit = isAlone && this.list.length === 1 ? NO_PICTURE_ALONE_MS : NO_PICTURE_MS;
    const limitOf = (attempt: Attempt) => {
      const least = isFilling(attempt, now) ? FILLING_MS : 0;
      return attempt.isWaiting ? NO_PICTURE_ALONE_MS : Math.max(limit, least);
    };
    return document.hidden
      ? []
      : this.list.filter((attempt) => now - attempt.beganAt > limitOf(attempt));
  }

  /** Returns whether another transport would keep the first picture of an attempt from arriving. */
  isFilling(now: number): boolean {
    return this.list.some(
      (attempt) => isFilling(attempt, now) && now - attempt.beganAt < FILLING_ALONE_MS,
    );
  }

  /** Records that the service has accepted a connection. `isAlone`: whether no other transport plays the stream. */
  accepted(attempt: Attempt, isAlone: boolean): void {
    attempt.isWaiting = !this.isLive && isAlone;
    if (attempt.isWaiting) {
      attempt.endTurn();
    }
  }

  /** Records that media has arrived. So the camera has started, and the age of the attempt counts from now on. */
  arrived(attempt: Attempt): void {
    this.isLive = true;
    attempt.mediaAt = performance.now();
    if (attempt.isWaiting) {
      attempt.isWaiting = false;
      attempt.beganAt = performance.now();
    }
  }

  /**
   * Counts the age of the attempts from now on, and ends their turns, because the camera can be away for hours. Other
   * tiles of the page need the turns.
   */
  rejuvenate(now: number): void {
    for (const attempt of this.list) {
      attempt.beganAt = now;
      attempt.endTurn();
    }
  }

  /** Starts an attempt from the beginning. */
  restart(attempt: Attempt): void {
    const { name, isForced } = attempt;
    this.drop(attempt);
    this.start(name, isForced);
  }

  /** Takes an attempt out of the list, because it is visible from now on. */
  take(attempt: Attempt): void {
    this.list = this.list.filter((other) => other !== attempt);
    attempt.endTurn();
  }

  /** Ends an attempt. */
  drop(attempt: Attempt): void {
    this.take(attempt);
    if (!attempt.isOver) {
      attempt.isOver = true;
      attempt.transport.stop();
    }
    this.screen.release(attempt.transport.element);
  }

  /** Ends the attempts that satisfy a condition. */
  dropIf(isUnwanted: (attempt: Attempt) => boolean): void {
    for (const attempt of this.list.filter(isUnwanted)) {
      this.drop(attempt);
    }
  }

  /** Applies the tile's sound, and starts those again that were started without it. */
  applySound(): void {
    for (const attempt of [...this.list]) {
      if (!attempt.transport.applySound()) {
        this.restart(attempt);
      }
    }
  }
}
