// Refusals by cameras, remembered while the page is open. Cameras lock an account after several failed
// attempts, so a tile that comes into view again does not retry automatically.

import { cameraChanges } from "../api/changes";
import type { Problem } from "../api/problem";

/** The refusals by stream key. */
const refused = new Map<string, Problem>();

// A change of a camera may have corrected the cause.
cameraChanges.subscribe(() => refused.clear());

export function refusalOf(key: string): Problem | undefined {
  return refused.get(key);
}

export function remember(key: string, problem: Problem): void {
  refused.set(key, problem);
}

/** Forgets a refusal, because the user has requested another attempt or the stream is live. */
export function forget(key: string): void {
  refused.delete(key);
}
