// The registration of this browser for push notifications: the service worker, the browser's subscription, and what the
// page remembers about it.
import { addressOf } from "../../api/address";
import { Problem } from "../../api/problem";
import {
  openSubscription,
  type Preferences,
  preferencesOf,
  removeSubscription,
  saveSubscription,
} from "../../api/push";
import type { Subscription } from "../../api/types";
import { textLanguage } from "../../ui/i18n";
import { forget, known, remember } from "./known";

/** The longest time in which a browser installs the service worker. */
const INSTALL_MS = 20_000;

/** Registers the service worker, and waits until it is active. */
async function register(): Promise<ServiceWorkerRegistration> {
  const worker = addressOf(`worker.js?language=${textLanguage.value}`);
  try {
    await navigator.serviceWorker.register(worker, { updateViaCache: "none" });
  } catch (error) {
    // Browsers report this error for a certificate that they do not trust, even if the user has accepted a warning.
    if (error instanceof DOMException && error.name === "SecurityError") {
      throw new Problem(0, "push_untrusted", error.message);
    }
    throw new Problem(0, "push_no_worker", String(error));
  }
  const timedOut = new Promise<never>((_, reject) =>
    setTimeout(() => reject(new Problem(0, "push_no_worker")), INSTALL_MS),
  );
  return Promise.race([navigator.serviceWorker.ready, timedOut]);
}

/**
 * Subscribes this browser with the public key of the service, after the user has permitted notifications. Must be called
 * by a click, because browsers ask for the permission only then.
 */
export async function subscribe(publicKey: string): Promise<PushSubscription> {
  if ((await Notification.requestPermission()) !== "granted") {
    throw new Problem(0, "push_not_permitted");
  }
  const { pushManager } = await register();
  const key = bytesOf(publicKey);
  const present = await pushManager.getSubscription();
  if (present && !hasKey(present, key)) {
    // The service has a new key, for example after its database was lost.
    await present.unsubscribe();
  }
  try {
    return await pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key });
  } catch (error) {
    throw new Problem(0, "push_no_server", error instanceof Error ? error.message : String(error));
  }
}

/** Subscribes this browser, and saves the preferences at the service. */
export async function turnOn(
  publicKey: string,
  preferences: Preferences,
  caller: string,
): Promise<Subscription> {
  const browser = await subscribe(publicKey);
  const saved = await saveSubscription(browser, preferences);
  remember({ id: saved.id, by: caller, endpoint: browser.endpoint });
  return saved;
}

/** Ends the subscription of this browser. */
export async function turnOff(): Promise<void> {
  const registration = await navigator.serviceWorker.getRegistration();
  await (await registration?.pushManager.getSubscription())?.unsubscribe();
  forget();
}

/**
 * Tells the service that the page is open in this browser, so that its subscription does not end, and repairs what has
 * changed since the last visit. `caller` is the name of the present API key. Another key may have made the subscription; it
 * then stays as it is.
 */
export async function keepAlive(caller: string): Promise<void> {
  const last = known();
  if (last?.by !== caller || !("serviceWorker" in navigator)) {
    return;
  }
  // Also brings the worker into the present language.
  const { pushManager } = await register();
  const browser = await pushManager.getSubscription();
  if (!browser) {
    // For example, the user has withdrawn the permission.
    await removeSubscription(last.id).catch(ignoreUnknown);
    forget();
    return;
  }
  const present = await openSubscription(last.id).catch(ignoreUnknown);
  if (!present) {
    await turnOff();
  } else if (browser.endpoint !== last.endpoint) {
    const saved = await saveSubscription(browser, preferencesOf(present));
    remember({ id: saved.id, by: caller, endpoint: browser.endpoint });
    await removeSubscription(last.id).catch(ignoreUnknown);
  }
}

/** Returns nothing for the error that the service does not know a subscription. Throws other errors again. */
function ignoreUnknown(error: unknown): undefined {
  if (!(error instanceof Problem && error.status === 404)) {
    throw error;
  }
}

/** Returns whether a subscription was made with a key. */
function hasKey({ options }: PushSubscription, key: Uint8Array): boolean {
  const present = new Uint8Array(options.applicationServerKey ?? new ArrayBuffer(0));
  return present.length === key.length && present.every((byte, index) => byte === key[index]);
}

/** Returns the bytes of a text in base64url. */
function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(binary, (character) => character.charCodeAt(0));
}
