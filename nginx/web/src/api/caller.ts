// Who uses the page, and what that allows.
import { computed, effect, signal } from "@preact/signals";

import { t } from "../ui/i18n";
import { get, hasKey, Problem, refusals, setKey, words } from "./client";
import type { Caller, Role } from "./types";

const RETRY_MS = 2000;
/** After too many requests. */
const SLOW_RETRY_MS = 15_000;
/** What a header cannot hold, and no key has: it comes along when a key is copied. */
const NO_KEY = /[^\x21-\x7e]/g;
const POWER: Record<Role, number> = { viewer: 0, user: 1, admin: 2 };

export type Access =
  | { is: "asking" }
  /** The manager does not answer, or had too many requests; asked again by itself. */
  | { is: "away"; why: string; isBusy: boolean }
  /** The service refuses this browser whatever the key. */
  | { is: "refused"; why: string }
  | { is: "signed-out"; why: string | null }
  | { is: "known"; caller: Caller };

export const access = signal<Access>({ is: "asking" });
export const caller = computed(() => (access.value.is === "known" ? access.value.caller : null));

/** Whether the caller's role is at least this one. */
export function may(role: Role): boolean {
  return caller.value !== null && POWER[caller.value.role] >= POWER[role];
}

/** Finds out who calls, again and again while the manager is away. */
export async function identify(): Promise<void> {
  const hadKey = hasKey();
  try {
    access.value = { is: "known", caller: await get<Caller>("caller") };
  } catch (error) {
    const status = error instanceof Problem ? error.status : 0;
    if (status === 401) {
      access.value = { is: "signed-out", why: hadKey ? words(error) : null };
    } else if (status === 403) {
      access.value = { is: "refused", why: words(error) };
    } else {
      const isBusy = status === 429;
      access.value = { is: "away", why: words(error), isBusy };
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

// A key that was taken away while the page was open.
effect(() => {
  if (refusals.value > 0 && access.peek().is === "known") {
    access.value = { is: "signed-out", why: t("signin.again") };
  }
});
