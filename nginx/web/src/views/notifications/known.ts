// What the page remembers about the subscription of this browser.
import { caller } from "../../api/caller";
import { userStorage } from "../../ui/storage";

const STORED = "push";

export interface Known {
  /** The id of the subscription at the service. */
  id: string;
  /** The name of the API key that made the subscription; empty if no key was needed. */
  by: string;
  /** The address that the browser had at its push server. Browsers can change it. */
  endpoint: string;
}

/** Returns the name of the present API key, as in `Known.by`; null before it is known. */
export function callerName(): string | null {
  return caller.value && (caller.value.name ?? "");
}

export function known(): Known | null {
  try {
    return JSON.parse(userStorage.getItem(STORED) ?? "null");
  } catch {
    return null;
  }
}

export function remember(value: Known): void {
  userStorage.setItem(STORED, JSON.stringify(value));
}

export function forget(): void {
  userStorage.removeItem(STORED);
}
