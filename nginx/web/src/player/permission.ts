// The permission to watch. With API keys the page makes a playback session for the cameras that it
// shows, and renews it long before it expires. Without keys everybody may watch.
import { caller } from "../api/caller";
import { get, post, Problem, remove } from "../api/client";
import type { NewSession } from "../api/types";

const STORED = "playback";
const TTL_SECONDS = 600;
/** Of a player outside of the page, which nobody renews. */
const HANDED_OVER_SECONDS = 24 * 3600;
/** Which share of the time has passed when a session is renewed. */
const RENEW_AT = 0.6;
const RETRY_MS = 3000;
/** Who leaves does not wait for longer. */
const LEAVE_MS = 2000;
/** As many as the API takes. */
const MAX_CAMERAS = 100;
/** A media path, with a token or without. */
const MEDIA = /\/(?:streams|play\/[^/]+)\/([^/]+)\/([^/]+)$/;

interface Permission {
  id: string;
  token: string;
  cameras: string[];
  /** On this machine's clock, whatever the server's says. */
  until: number;
  renewAt: number;
}

let current: Permission | null = stored();
let asked: Promise<void> | null = null;
let begunAt = 0;
let timer: ReturnType<typeof setTimeout> | undefined;
/** Cameras that are shown, and how many players each has. */
const shown = new Map<string, number>();

/** Kept for a reload of the page, which then has to ask for nothing. */
function stored(): Permission | null {
  try {
    return JSON.parse(sessionStorage.getItem(STORED) ?? "null");
  } catch {
    return null;
  }
}

function isNeeded(): boolean {
  return caller.value?.name != null;
}

function covers(ids: Iterable<string>): boolean {
  return (
    current !== null &&
    current.until > Date.now() &&
    [...ids].every((id) => current?.cameras.includes(id))
  );
}

/** Whose session it is, as the log of who watched what names it. */
function user(): string {
  return `${caller.value?.name ?? ""} (page)`;
}

/** From now on the camera is shown. */
export function show(id: string): void {
  shown.set(id, (shown.get(id) ?? 0) + 1);
}

export function hide(id: string): void {
  const players = (shown.get(id) ?? 1) - 1;
  if (players > 0) {
    shown.set(id, players);
  } else {
    shown.delete(id);
  }
}

/** Resolves when the camera may be watched; throws the Problem when it may not. */
export async function permit(id: string): Promise<void> {
  if (!isNeeded()) {
    return;
  }
  // One that was refused before may be allowed by now.
  if (!shown.has(id)) {
    shown.set(id, 1);
  }
  while (!covers([id])) {
    // What begins in the same moment shares one session.
    asked ??= Promise.resolve()
      .then(begin)
      .finally(() => (asked = null));
    await asked;
    if (!shown.has(id)) {
      return;
    }
  }
  schedule();
}

/** A session that the service refuses is none, whatever its time. */
export async function renew(): Promise<void> {
  // Many requests are refused at once, and a new session may not help.
  if (!isNeeded() || Date.now() - begunAt < RETRY_MS) {
    return;
  }
  await another();
}

async function another(): Promise<void> {
  asked ??= begin().finally(() => (asked = null));
  await asked;
}

/** Ends the session, when the person leaves. */
export async function giveUp(): Promise<void> {
  const id = current?.id;
  current = null;
  sessionStorage.removeItem(STORED);
  if (id) {
    await remove(`playback/sessions/${id}`, { within: LEAVE_MS }).catch(() => {});
  }
}

async function begin(): Promise<void> {
  const cameras = [...shown.keys()].slice(0, MAX_CAMERAS);
  if (cameras.length === 0) {
    return;
  }
  const asked = Date.now();
  begunAt = asked;
  const made = await session(cameras);
  const { session_id: id, token, created_at, expires_at } = made;
  const time = Date.parse(expires_at) - Date.parse(created_at);
  current = {
    id,
    token,
    cameras: made.cameras,
    until: asked + time,
    renewAt: asked + time * RENEW_AT,
  };
  sessionStorage.setItem(STORED, JSON.stringify(current));
  schedule();
}

/** One of its cameras may have been deleted meanwhile, which refuses all of them. */
async function session(cameras: string[]): Promise<NewSession> {
  let refusal: unknown;
  try {
    return await post<NewSession>("playback/sessions", {
      user: user(),
      cameras,
      ttl_seconds: TTL_SECONDS,
    });
  } catch (error) {
    const isOneGone = error instanceof Problem && (error.status === 404 || error.status === 403);
    if (!isOneGone || cameras.length === 1) {
      throw error;
    }
    refusal = error;
  }
  const tried = await Promise.all(cameras.map((id) => isWatchable(id)));
  const left = cameras.filter((_, index) => tried[index]);
  if (left.length === cameras.length) {
    throw refusal; // It is for another reason, which the same request would meet again.
  }
  for (const id of cameras.filter((_, index) => !tried[index])) {
    shown.delete(id);
  }
  return session(left.length > 0 ? left : cameras.slice(0, 1));
}

async function isWatchable(id: string): Promise<boolean> {
  try {
    await get(`cameras/${encodeURIComponent(id)}`);
    return true;
  } catch (error) {
    if (error instanceof Problem && (error.status === 403 || error.status === 404)) {
      return false;
    }
    throw error;
  }
}

function schedule(): void {
  clearTimeout(timer);
  if (current && shown.size > 0) {
    timer = setTimeout(keep, Math.max(0, current.renewAt - Date.now()));
  }
}

async function keep(): Promise<void> {
  if (shown.size === 0) {
    return;
  }
  await another().catch(() => (timer = setTimeout(keep, RETRY_MS)));
}

/** Where media is to be asked for now: an address may hold a token that was renewed since. */
export function permitted(url: string): string {
  if (!isNeeded() || !current) {
    return url;
  }
  const { token } = current;
  const { origin, pathname, search } = new URL(url, location.href);
  return (
    origin + pathname.replace(MEDIA, (_, key, file) => `/play/${token}/${key}/${file}`) + search
  );
}

/** The absolute address of a camera's playlist for a player outside of the page. */
export async function addressFor(id: string, key: string): Promise<string> {
  let path = `/streams/${key}/stream.m3u8`;
  if (isNeeded()) {
    const input = { user: user(), camera: id, ttl_seconds: HANDED_OVER_SECONDS };
    const { token } = await post<NewSession>("playback/sessions", input);
    path = `/play/${token}/${key}/stream.m3u8`;
  }
  return new URL(path, location.href).href;
}
