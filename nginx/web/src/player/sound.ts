// The sound of a tile: off by default, at the volume that the user has chosen last.
import { signal } from "@preact/signals";

import { userStorage } from "../ui/storage";

const STORED = "volume";

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
}

/** Applies the sound to a media element. */
export function applyTo(element: HTMLMediaElement, sound: Sound): void {
  element.muted = !sound.isOn;
  element.volume = volume.peek();
}
