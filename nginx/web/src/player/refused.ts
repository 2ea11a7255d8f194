// Refusals by cameras. Cameras lock an account after several failed attempts, so a tile that comes into view again does
// not retry automatically.
import type { Problem } from "../api/problem";

export class Refusals {
  /** The refusals by stream key. */
  private readonly refused = new Map<string, Problem>();

  of(key: string): Problem | undefined {
    return this.refused.get(key);
  }

  remember(key: string, problem: Problem): void {
    this.refused.set(key, problem);
  }

  /** Forgets a refusal, because the user has requested another attempt or the stream is live. */
  forget(key: string): void {
    this.refused.delete(key);
  }

  clear(): void {
    this.refused.clear();
  }
}
