// What cameras have refused, for as long as the page is open. Cameras lock accounts that are tried
// too often, so a tile that is seen again, here or on another view, does not ask again by itself.
import type { Problem } from "../api/client";
import { cameraChanges } from "../api/changes";

/** By stream key. */
const refused = new Map<string, Problem>();

// What was changed may be what was wrong.
cameraChanges.subscribe(() => refused.clear());

export function refusalOf(key: string): Problem | undefined {
  return refused.get(key);
}

export function remember(key: string, problem: Problem): void {
  refused.set(key, problem);
}

/** The camera may be asked again: somebody wants it to be, or it has answered somebody else. */
export function forget(key: string): void {
  refused.delete(key);
}
