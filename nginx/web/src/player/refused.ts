// Refusals by cameras, kept while the page is open. Cameras lock accounts after several attempts, so a
// tile that comes into view again does not retry automatically.

import { cameraChanges } from "../api/changes";
import type { Problem } from "../api/problem";

/** By stream key. */
const refused = new Map<string, Problem>();

// The change may have corrected the cause.
cameraChanges.subscribe(() => refused.clear());

export function refusalOf(key: string): Problem | undefined {
  return refused.get(key);
}

export function remember(key: string, problem: Problem): void {
  refused.set(key, problem);
}

/** Allows another attempt: a user has requested it, or the camera has accepted another client. */
export function forget(key: string): void {
  refused.delete(key);
}
