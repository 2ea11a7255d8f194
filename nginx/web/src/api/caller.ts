// The caller: who uses the page, and what the API key's role allows.
import { computed, effect, signal } from "@preact/signals";

import { get, hasKey, refusals, setKey } from "./client";
import { Problem } from "./problem";
import type { Caller, Role } from "./types";

const RETRY_MS = 2000;
/** Pause after too many requests. */
const SLOW_RETRY_MS = 15_000;
/** Characters that no key contains and no header allows; they are copied along with a key. */
const NO_KEY = /[^\x21-\x7e]/g;
const POWER: Record<Role, number> = { viewer: 0, user: 1, admin: 2 };

export type Access =
  | { is: "asking" }
  /** The manager does not answer, or has received too many requests; it is asked again. */
  | { is: "away"; error: unknown; isBusy: boolean }
  /** The service refuses this browser, regardless of the key. */
  | { is: "refused"; error: unknown }
  /** The error is null if there was no key yet. */
  | { is: "signed-out"; error: unknown }
  | { is: "known"; caller: Caller };

export const access = signal<Access>({ is: "asking" });
export const caller = computed(() => (access.value.is === "known" ? access.value.caller : null));

/** Whether the caller has this role, or a higher one. */
export function hasRole(role: Role): boolean {
  return caller.value !== null && POWER[caller.value.role] >= POWER[role];
}

/** Asks the service who the caller is, and repeats that while the manager is away. */
export async function identify(): Promise<void> {
  const hadKey = hasKey();
  try {
    access.value = { is: "known", caller: await get<Caller>("caller") };
  } catch (error) {
    const status = error instanceof Problem ? error.status : 0;
    if (status === 401) {
      access.value = { is: "signed-out", error: hadKey ? error : null };
    } else if (status === 403) {
      access.value = { is: "refused", error };
    } else {
      const isBusy = status === 429;
      access.value = { is: "away", error, isBusy };
      setTimeout(identify, isBusy ? SLOW_RETRY_MS : RETRY_MS);
    }
  }
}

export async function signIn(key: string): Promise<void> {
  setKey(key.replace(NO_KEY, ""));
  await identify();
}

export function signOut(): void {
  setKey(null);
  sessionStorage.clear();
  location.reload();
}

// The key was removed while the page was open.
effect(() => {
  if (refusals.value > 0 && access.peek().is === "known") {
    access.value = { is: "signed-out", error: new Problem(401, "key_refused") };
  }
});
