// Calls of the API: the one place that knows the API key and how failures are told.
import { signal } from "@preact/signals";

import { t } from "../ui/i18n";

const STORED = "key";
/** Nearly all is answered at once; who hears nothing for so long is to learn of it. */
const USUAL_MS = 10_000;
/** For what waits for cameras, or for streams to end; the service's own limits are shorter. */
export const LONG_MS = 200_000;

/** A failure in words for people; `code` is the API's stable one, or one of the page's own. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    detail: string,
  ) {
    super(detail);
  }
}

/** For this tab alone, and never in a URL, so that a reload does not ask again. */
let key = sessionStorage.getItem(STORED);

/** Counts up whenever the API refuses the key; the shell then asks for another one. */
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

/** What went wrong, in words, of anything that was thrown. */
export function words(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The problem that a body of `application/problem+json` tells; null when it is none. */
export function problemOf(status: number, body: string | null | undefined): Problem | null {
  try {
    const { code, detail } = JSON.parse(body ?? "");
    return typeof detail === "string" ? new Problem(status, String(code), detail) : null;
  } catch {
    return null;
  }
}

export interface Patience {
  /** Ends the request, which then fails. */
  signal?: AbortSignal;
  /** How long an answer may take, in milliseconds. */
  within?: number;
}

/** Aborted by the one that asks, or when it takes too long. */
function signalOf({ signal: outer, within = USUAL_MS }: Patience): AbortSignal {
  // By hand, as phones that play HLS by themselves are too old for AbortSignal.any.
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
    throw new Problem(0, "unreachable", t("problem.unreachable"));
  }
  if (response.ok) {
    return response;
  }
  const problem = problemOf(response.status, await response.text().catch(() => ""));
  if (response.status === 401) {
    refusals.value += 1;
  }
  throw (
    problem ??
    new Problem(response.status, "unknown", t("problem.status", { status: response.status }))
  );
}

export async function get<T>(path: string): Promise<T> {
  return (await send("GET", path)).json();
}

/** Without a body the query is what is asked for; with one the service looks at nothing else. */
export async function post<T>(path: string, body?: unknown, patience?: Patience): Promise<T> {
  return (await send("POST", path, patience, body)).json();
}

export async function put<T>(path: string, body: unknown, patience?: Patience): Promise<T> {
  return (await send("PUT", path, patience, body)).json();
}

/** A file as it is, such as an export. */
export async function putFile<T>(path: string, text: string): Promise<T> {
  return (await send("PUT", path, { within: LONG_MS }, text, true)).json();
}

export async function getFile(path: string): Promise<Blob> {
  return (await send("GET", path, { within: LONG_MS })).blob();
}

export async function remove(path: string, patience?: Patience): Promise<void> {
  await send("DELETE", path, patience);
}
