// The volume of all tiles with sound, from 0 to 1. The browser keeps it.
import { signal } from "@preact/signals";

import { userStorage } from "../ui/storage";

const STORED = "volume";

export const volume = signal(storedVolume());

function storedVolume(): number {
  const stored = Number.parseFloat(userStorage.getItem(STORED) ?? "");
  return stored >= 0 && stored <= 1 ? stored : 1;
}

export function setVolume(level: number): void {
  volume.value = Math.min(1, Math.max(0, level));
  userStorage.setItem(STORED, String(volume.value));
}
