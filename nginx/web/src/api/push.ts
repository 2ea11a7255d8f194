// Requests for push notifications.
import { get, post, remove, trigger } from "./client";
import type { PushKey, Subscription, SubscriptionInput, SubscriptionList } from "./types";

const SUBSCRIPTIONS = "push/subscriptions";
/** Time limit of a test. The service waits up to 15 s for the push server. */
const TEST_MS = 20_000;

/** The fields of a subscription that the user chooses. */
export type Preferences = Required<
  Pick<
    SubscriptionInput,
    "cameras" | "label" | "per_minute" | "quiet_hours" | "time_zone" | "types"
  >
>;

/** Returns the key with which the browser subscribes. */
export function readPushKey(): Promise<PushKey> {
  return get("push/key");
}

/** Returns the subscriptions that the caller can see, the newest first. */
export async function listSubscriptions(): Promise<Subscription[]> {
  return (await get<SubscriptionList>(SUBSCRIPTIONS)).subscriptions;
}

/** Adds the subscription of a browser, or replaces it. */
export function saveSubscription(
  browser: PushSubscription,
  preferences: Preferences,
): Promise<Subscription> {
  return post(SUBSCRIPTIONS, { ...browser.toJSON(), ...preferences });
}

/** Returns a subscription. The service notes that the page is open in its browser, so that it does not end. */
export function openSubscription(id: string): Promise<Subscription> {
  return get(`${SUBSCRIPTIONS}/${encodeURIComponent(id)}`);
}

export async function removeSubscription(id: string): Promise<void> {
  await remove(`${SUBSCRIPTIONS}/${encodeURIComponent(id)}`);
}

/** Sends a test notification, and waits until the push server has accepted it. */
export async function testSubscription(id: string): Promise<void> {
  await trigger(`${SUBSCRIPTIONS}/${encodeURIComponent(id)}/test`, { within: TEST_MS });
}

/** Returns the preferences of a subscription. */
export function preferencesOf({
  cameras,
  label,
  per_minute,
  quiet_hours,
  time_zone,
  types,
}: Subscription): Preferences {
  return {
    cameras,
    label: label ?? null,
    per_minute,
    quiet_hours,
    time_zone: time_zone ?? null,
    types,
  };
}
