// Requests to the API. The only module that knows the API key.
import { signal } from "@preact/signals";

import { Problem, problemOf } from "./problem";

const STORED = "key";
/** Nearly all requests are answered at once; after this time one has failed. */
const USUAL_MS = 10_000;
/** For requests that wait for cameras, or for streams to end; the service's own limits are shorter. */
export const LONG_MS = 200_000;

/** In the tab's storage, so that a reload does not ask for it again. It is never part of a URL. */
let key = sessionStorage.getItem(STORED);

/** Number of times that the API has refused the key; the page then asks for another one. */
export const refusals = signal(0);

export function setKey(value: string | null): void {
  key = value;
  if (value) {
    sessionStorage.setItem(STORED, value);
  } else {
    sessionStorage.removeItem(STORED);
  }
}

export function hasKey(): boolean {
  return key !== null;
}

export interface Patience {
  /** Aborts the request, which then fails. */
  signal?: AbortSignal;
  /** Milliseconds after which the request fails. */
  within?: number;
}

/** Returns a signal that is aborted by the caller, or after the time is up. */
function signalOf({ signal: outer, within = USUAL_MS }: Patience): AbortSignal {
  // Not by AbortSignal.any: phones that play HLS natively are too old for it.
  const controller = new AbortController();
  setTimeout(() => controller.abort(), within);
  outer?.addEventListener("abort", () => controller.abort());
  return controller.signal;
}

async function send(
  method: string,
  path: string,
  patience: Patience = {},
  body?: unknown,
  isFile = false,
): Promise<Response> {
  const headers: Record<string, string> = {};
  if (key) {
    headers.Authorization = `Bearer ${key}`;
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
    response = await fetch(`api/${path}`, init);
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

export async function get<T>(path: string): Promise<T> {
  return (await send("GET", path)).json();
}

/** Without a body, the service reads the query; with one, it ignores the query. */
export async function post<T>(path: string, body?: unknown, patience?: Patience): Promise<T> {
  return (await send("POST", path, patience, body)).json();
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
