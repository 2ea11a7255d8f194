// The sound of a tile: off by default, at the volume that the user has chosen last.
import { signal } from "@preact/signals";

import { userStorage } from "../ui/storage";

const STORED = "volume";
/** The user's actions after which browsers permit sound. */
const GESTURES = ["pointerdown", "keydown", "touchend"];

/** The volume of all tiles with sound, from 0 to 1. The browser keeps it. */
export const volume = signal(storedVolume());

function storedVolume(): number {
  const stored = Number.parseFloat(userStorage.getItem(STORED) ?? "");
  return stored >= 0 && stored <= 1 ? stored : 1;
}

export function setVolume(level: number): void {
  volume.value = Math.min(1, Math.max(0, level));
  userStorage.setItem(STORED, String(volume.value));
}

/** The sound of one tile. */
export interface Sound {
  isOn: boolean;
  /** Whether another transport of the tile is visible, and is heard instead. */
  isHidden?: boolean;
}

/** Returns whether the sound must be heard. */
export function isHeard({ isOn, isHidden = false }: Sound): boolean {
  return isOn && !isHidden;
}

/** Applies the sound to a media element. */
export function applyTo(element: HTMLMediaElement, sound: Sound): void {
  element.muted = !isHeard(sound);
  element.volume = volume.peek();
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
