// Remembers which transports have failed, and when they are tried again.
import type { Reason, TransportName } from "./transport";

/** First and longest pause before a failed transport is tried again. The pause doubles with each failure. */
const FIRST_PAUSE_MS = 10_000;
const LONGEST_PAUSE_MS = 300_000;
/** The actual pause is up to this share longer, so that the tiles of a wall do not all try at the same moment. */
const SPREAD = 0.25;
/** A transport that has played for this time has not failed again for the same cause. */
const SUCCESS_MS = 60_000;
/** Failures that another attempt is unlikely to change soon. */
const LASTING: Reason[] = ["codec", "not_offered", "too_slow"];

interface Failed {
  reason: Reason;
  pause: number;
  until: number;
}

export class Retries {
  private readonly failed = new Map<TransportName, Failed>();

  constructor(private readonly random: () => number = Math.random) {}

  /** Records a failure. An attempt that did not wait for the end of the pause does not extend the pause. */
  fail(name: TransportName, reason: Reason, now: number): void {
    if (this.isPausing(name, now) && !LASTING.includes(reason)) {
      return;
    }
    const before = this.failed.get(name)?.pause ?? 0;
    const first = LASTING.includes(reason) ? LONGEST_PAUSE_MS : FIRST_PAUSE_MS;
    const pause = Math.min(LONGEST_PAUSE_MS, Math.max(first, before * 2));
    const until = now + pause * (1 + SPREAD * this.random());
    this.failed.set(name, { reason, pause, until });
  }

  /** Returns whether the transport has failed and must not be tried yet. */
  isPausing(name: TransportName, now: number): boolean {
    return now < (this.failed.get(name)?.until ?? 0);
  }

  /** Returns the transport whose pause ends first, without those whose failure lasts; undefined if no transport pauses. */
  nextOf(names: TransportName[]): TransportName | undefined {
    const until = (name: TransportName) => this.failed.get(name)?.until ?? 0;
    return names
      .filter((name) => !LASTING.includes(this.failed.get(name)?.reason ?? "connection"))
      .sort((a, b) => until(a) - until(b))[0];
  }

  /** Returns the reason of the last failure; undefined if the transport has not failed. */
  reason(name: TransportName): Reason | undefined {
    return this.failed.get(name)?.reason;
  }

  /** Records that the transport has played for some milliseconds without interruption. */
  played(name: TransportName, milliseconds: number): void {
    if (milliseconds > SUCCESS_MS) {
      this.failed.delete(name);
    }
  }

  /** Ends the pauses. Failures that another attempt is unlikely to change keep theirs, unless `isAll` is true. */
  forgive(isAll = false): void {
    for (const [name, { reason }] of this.failed) {
      if (isAll || !LASTING.includes(reason)) {
        this.failed.delete(name);
      }
    }
  }
}
