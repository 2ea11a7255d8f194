// Requests to the API. Only this module knows the API key.
import { signal } from "@preact/signals";

import { tabStorage } from "../ui/storage";
import { addressOf } from "./address";
import { Problem, problemOf } from "./problem";

const STORED = "key";
/** Time limit of ordinary requests, to which the service responds at once. */
const USUAL_MS = 10_000;
/**
 * Time limit of requests that wait for a camera or for the end of a stream, and of imports and exports. With
 * its default settings, the service has shorter limits for these requests.
 */
export const LONG_MS = 200_000;

/** The part after # of a link with a key, such as the link that the manager logs at its start. */
const KEY_IN_ADDRESS = /^#key=(.+)$/;

/**
 * The API key. The tab's session storage contains a copy, which survives a reload. The key is never part of the
 * URL of a request.
 */
let key = tabStorage.getItem(STORED);

/**
 * Number of requests that the API has rejected because of the key. When this number grows, the page shows the
 * form to sign in.
 */
export const refusals = signal(0);

export function setKey(value: string | null): void {
  key = value;
  if (value) {
    tabStorage.setItem(STORED, value);
  } else {
    tabStorage.removeItem(STORED);
  }
}

/**
 * If the page's address contains a key, stores the key, and removes it from the address. Returns whether the
 * address contained a key.
 */
export function takeKeyFromAddress(): boolean {
  const [, found] = KEY_IN_ADDRESS.exec(location.hash) ?? [];
  if (!found) {
    return false;
  }
  history.replaceState(null, "", location.pathname + location.search);
  // The manager's keys contain no character that a URL would need to encode.
  setKey(found);
  return true;
}

// This happens before other modules read the address.
takeKeyFromAddress();

export function hasKey(): boolean {
  return key !== null;
}

export interface Patience {
  /** When this signal is aborted, the request fails. */
  signal?: AbortSignal;
  /** Milliseconds after which the request fails; null if it can take any time. */
  within?: number | null;
}

/** Returns a signal that is aborted when the time is up, or when the caller's signal is aborted. */
function signalOf({ signal: outer, within = USUAL_MS }: Patience): AbortSignal {
  // AbortSignal.any would be shorter, but the older phones on which the page plays HLS without hls.js
  // do not support it.
  const controller = new AbortController();
  if (within !== null) {
    setTimeout(() => controller.abort(), within);
  }
  outer?.addEventListener("abort", () => controller.abort());
  return controller.signal;
}

async function send(
  method: string,
  path: string,
  patience: Patience = {},
  body?: unknown,
  isFile = false,
  more: Record<string, string> = {},
): Promise<Response> {
  const headers: Record<string, string> = { ...more };
  if (key) {
    // A proxy in front of nginx may need Authorization for its own users.
    headers["X-API-Key"] = key;
  }
  if (body !== undefined) {
    headers["Content-Type"] = "application/json";
  }
  const init: RequestInit = { method, headers, signal: signalOf(patience) };
  if (body !== undefined) {
    init.body = isFile ? (body as string) : JSON.stringify(body);
  }
  let response: Response;
  try {
    response = await fetch(addressOf(`api/${path}`), init);
  } catch {
    throw new Problem(0, "unreachable");
  }
  if (response.ok) {
    return response;
  }
  const { status } = response;
  const problem = problemOf(status, await response.text().catch(() => ""));
  if (status === 401) {
    refusals.value += 1;
  }
  throw problem ?? new Problem(status, "bad_answer", `HTTP ${status}`);
}

/**
 * Requests events that the service sends as they happen, after the event with the id `lastId`. The response continues
 * until the signal is aborted.
 */
export function follow(path: string, lastId: string, ended: AbortSignal): Promise<Response> {
  return send("GET", path, { signal: ended, within: null }, undefined, false, {
    "Last-Event-ID": lastId,
  });
}

export async function get<T>(path: string, patience?: Patience): Promise<T> {
  return (await send("GET", path, patience)).json();
}

/**
 * Sends a POST request and returns the response's JSON. The service reads the query of a request without a
 * body, and ignores the query of a request with a body.
 */
export async function post<T>(path: string, body?: unknown, patience?: Patience): Promise<T> {
  return (await send("POST", path, patience, body)).json();
}

/** Sends a POST request without a body, to which the service responds without content. */
export async function trigger(path: string, patience?: Patience): Promise<void> {
  await send("POST", path, patience);
}

export async function put<T>(path: string, body: unknown, patience?: Patience): Promise<T> {
  return (await send("PUT", path, patience, body)).json();
}

/** Sends the text of a file, such as an export. */
export async function putFile<T>(path: string, text: string): Promise<T> {
  return (await send("PUT", path, { within: LONG_MS }, text, true)).json();
}

export async function getFile(path: string): Promise<Blob> {
  return (await send("GET", path, { within: LONG_MS })).blob();
}

export async function remove(path: string, patience?: Patience): Promise<void> {
  await send("DELETE", path, patience);
}

/** Sends a DELETE request whose response says what was deleted. */
export async function removeParts<T>(path: string, patience?: Patience): Promise<T> {
  return (await send("DELETE", path, patience)).json();
}
