// Decides whether a new playback session can help after a failure.
import type { Coded } from "../api/problem";

/** If a new session does not help, the player waits before it requests another one. */
const AGAIN_MS = 5000;

export class Renewals {
  private at = Number.NEGATIVE_INFINITY;

  /** Returns whether the session has ended, so that the picture continues with a new one, and counts that one. */
  helps({ code }: Coded): boolean {
    const now = performance.now();
    if (code !== "unauthorized" || now - this.at < AGAIN_MS) {
      return false;
    }
    this.at = now;
    return true;
  }
}
