// The sound of a tile, which is off by default.
import type { ReadonlySignal } from "@preact/signals-core";

/** The user's actions after which browsers permit sound. */
const GESTURES = ["pointerdown", "keydown", "touchend"];

/** The sound of one tile. */
export interface Sound {
  isOn: boolean;
  /** The volume, from 0 to 1. */
  readonly volume: ReadonlySignal<number>;
  /** Whether another transport of the tile is visible, and is heard instead. */
  isHidden?: boolean;
}

/** Returns whether the sound must be heard. */
export function isHeard({ isOn, isHidden = false }: Pick<Sound, "isOn" | "isHidden">): boolean {
  return isOn && !isHidden;
}

/** Applies the sound to a media element. */
export function applyTo(element: HTMLMediaElement, sound: Sound): void {
  element.muted = !isHeard(sound);
  element.volume = sound.volume.peek();
}

/**
 * Plays a media element. If the browser refuses to play it with sound, plays it without, until the user's next action.
 * Other failures are no errors: the element was stopped before it could begin.
 */
export function play(element: HTMLMediaElement, sound: Sound, ended: AbortSignal): void {
  element.play().catch((error: unknown) => {
    const isRefused = error instanceof DOMException && error.name === "NotAllowedError";
    if (!isRefused || element.muted || ended.aborted) {
      return;
    }
    element.muted = true;
    element.play().catch(() => undefined);
    onceUsed(ended, () => applyTo(element, sound));
  });
}

/** Calls `act` at the user's next action. */
function onceUsed(ended: AbortSignal, act: () => void): void {
  const done = new AbortController();
  onUse(AbortSignal.any([ended, done.signal]), () => {
    done.abort();
    act();
  });
}

/** Calls `act` at each of the user's actions after which browsers permit sound, until `ended` is aborted. */
export function onUse(ended: AbortSignal, act: () => void): void {
  for (const gesture of GESTURES) {
    addEventListener(gesture, act, { signal: ended, capture: true, passive: true });
  }
}
