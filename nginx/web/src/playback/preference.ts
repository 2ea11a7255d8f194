// The transports that the user has chosen: for single cameras, and for all others. The browser keeps them.
import { signal } from "@preact/signals";
import { CHOICES, type Choice } from "../player/choice";
import { userStorage } from "../ui/storage";

const STORED = "transport";
const STORED_BY_CAMERA = "transports";
/** Choices for more cameras than this are not kept; the oldest is forgotten. */
const MAX_CAMERAS = 500;

function isChoice(value: unknown): value is Choice {
  return CHOICES.includes(value as Choice);
}

/** The choice for all cameras that have no choice of their own. */
export const defaultChoice = signal<Choice>(storedDefault());
const byCamera = signal<Record<string, Choice>>(storedByCamera());

function storedDefault(): Choice {
  const stored = userStorage.getItem(STORED);
  return isChoice(stored) ? stored : "auto";
}

function storedByCamera(): Record<string, Choice> {
  try {
    const stored: unknown = JSON.parse(userStorage.getItem(STORED_BY_CAMERA) ?? "{}");
    const entries = Object.entries(stored ?? {}).filter(([, choice]) => isChoice(choice));
    return Object.fromEntries(entries) as Record<string, Choice>;
  } catch {
    return {};
  }
}

/** Returns the choice for a camera; null if the camera has none of its own. */
export function ownChoice(id: string): Choice | null {
  return byCamera.value[id] ?? null;
}

/** Returns the transport that a tile of the camera uses. */
export function choiceFor(id: string): Choice {
  return ownChoice(id) ?? defaultChoice.value;
}

export function chooseDefault(choice: Choice): void {
  defaultChoice.value = choice;
  if (choice === "auto") {
    userStorage.removeItem(STORED);
  } else {
    userStorage.setItem(STORED, choice);
  }
}

/** Sets the choice for a camera; null makes the camera follow the default. */
export function chooseFor(id: string, choice: Choice | null): void {
  const { [id]: _, ...others } = byCamera.value;
  const kept = Object.entries(others).slice(1 - MAX_CAMERAS);
  byCamera.value = Object.fromEntries(choice ? [...kept, [id, choice]] : kept);
  userStorage.setItem(STORED_BY_CAMERA, JSON.stringify(byCamera.value));
}
