// The caller: the name and the role of the API key that the page uses.
import { computed, effect, signal } from "@preact/signals";

import { tabStorage } from "../ui/storage";
import { get, hasKey, refusals, setKey, takeKeyFromAddress } from "./client";
import { Problem } from "./problem";
import type { Caller, Role } from "./types";

const RETRY_MS = 2000;
/** Pause before the next attempt if the service has received too many requests. */
const SLOW_RETRY_MS = 15_000;
/** Characters that a key cannot contain, such as spaces and line breaks that were copied with the key. */
const NOT_IN_KEY = /[^\x21-\x7e]/g;
/** Ranks of the roles. A role of a higher rank permits more. */
const RANK: Record<Role, number> = { viewer: 0, user: 1, admin: 2 };

export type Access =
  | { is: "loading" }
  /**
   * The request for the caller failed, usually because the manager does not respond or has received too many
   * requests. The request is repeated.
   */
  | { is: "retrying"; error: unknown; isBusy: boolean }
  /** The service refuses this browser, regardless of the key. */
  | { is: "refused"; error: unknown }
  /** The error is null if the user has not entered a key yet. */
  | { is: "signed-out"; error: unknown }
  | { is: "known"; caller: Caller };

export const access = signal<Access>({ is: "loading" });
export const caller = computed(() => (access.value.is === "known" ? access.value.caller : null));

/** Returns whether the caller has this role or a role of a higher rank. */
export function hasRole(role: Role): boolean {
  return caller.value !== null && RANK[caller.value.role] >= RANK[role];
}

/** Returns whether the caller has a right, such as `recordings`. */
export function hasRight(right: string): boolean {
  return caller.value?.rights.includes(right) ?? false;
}

/**
 * Requests the caller from the service, and sets `access`. Repeats a failed request after a pause, unless the
 * service has rejected the key or refuses this browser.
 */
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
      access.value = { is: "retrying", error, isBusy };
      setTimeout(identify, isBusy ? SLOW_RETRY_MS : RETRY_MS);
    }
  }
}

/** Stores the key, and checks it with the service. */
export async function signIn(key: string): Promise<void> {
  setKey(key.replace(NOT_IN_KEY, ""));
  await identify();
}

/** Deletes the key and all other data of this tab, and reloads the page. */
export function signOut(): void {
  setKey(null);
  tabStorage.clear();
  location.reload();
}

// Shows the form to sign in when the service rejects a key that it has accepted before. The operator has usually
// removed the key while the page was open.
effect(() => {
  if (refusals.value > 0 && access.peek().is === "known") {
    access.value = { is: "signed-out", error: new Problem(401, "key_refused") };
  }
});
// Signs in with the key when the user pastes a link with a key into the address bar of the open page.
addEventListener("hashchange", () => {
  if (takeKeyFromAddress()) {
    void identify();
  }
});
