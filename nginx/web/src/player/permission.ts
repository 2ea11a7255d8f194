// The permission to watch. If the service has API keys, the page creates a playback session for the
// cameras that it shows and renews it long before it expires. Without keys no permission is needed.
import { caller } from "../api/caller";
import { readCamera } from "../api/cameras";
import { post, remove } from "../api/client";
import { Problem } from "../api/problem";
import type { NewSession } from "../api/types";

const STORED = "playback";
const TTL_SECONDS = 600;
/** Lifetime of a session for another player, which is never renewed. */
const HANDED_OVER_SECONDS = 24 * 3600;
/** Share of its lifetime after which a session is renewed. */
const RENEW_AT = 0.6;
const RETRY_MS = 3000;
/** Signing out does not wait longer for the session to end. */
const LEAVE_MS = 2000;
/** Cameras in a session; the API's limit. */
const MAX_CAMERAS = 100;
/** A media path, with a token or without. */
const MEDIA = /\/(?:streams|play\/[^/]+)\/([^/]+)\/([^/]+)$/;

interface Permission {
  id: string;
  token: string;
  cameras: string[];
  /** By this computer's clock, which may differ from the server's. */
  until: number;
  renewAt: number;
}

let current: Permission | null = stored();
/** The session request in progress, shared by all players. */
let pending: Promise<void> | null = null;
let requestedAt = 0;
let timer: ReturnType<typeof setTimeout> | undefined;
/** Cameras on the page, with their numbers of players. */
const shown = new Map<string, number>();

/** Returns the permission of before a reload of the page, which is still valid. */
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

/** Name of the viewer in the service's list of sessions. */
function user(): string {
  return `${caller.value?.name ?? ""} (page)`;
}

/** Adds a player of the camera, which sessions include from now on. */
export function show(id: string): void {
  shown.set(id, (shown.get(id) ?? 0) + 1);
}

/** Removes a player of the camera. */
export function hide(id: string): void {
  const players = (shown.get(id) ?? 1) - 1;
  if (players > 0) {
    shown.set(id, players);
  } else {
    shown.delete(id);
  }
}

/** Resolves when there is permission to watch the camera; throws the Problem if it is refused. */
export async function permit(id: string): Promise<void> {
  if (!isNeeded()) {
    return;
  }
  // A camera that was dropped after a refusal may be permitted by now.
  if (!shown.has(id)) {
    shown.set(id, 1);
  }
  while (!covers([id])) {
    // Players that start at the same moment share one session.
    pending ??= Promise.resolve()
      .then(begin)
      .finally(() => (pending = null));
    await pending;
    if (!shown.has(id)) {
      return;
    }
  }
  schedule();
}

/** Replaces a session that the service refuses although it has not expired. */
export async function renew(): Promise<void> {
  // Many requests are refused at once, and a new session may be refused as well.
  if (!isNeeded() || Date.now() - requestedAt < RETRY_MS) {
    return;
  }
  await another();
}

async function another(): Promise<void> {
  pending ??= begin().finally(() => (pending = null));
  await pending;
}

/** Ends the session, when the user signs out. */
export async function giveUp(): Promise<void> {
  const id = current?.id;
  current = null;
  sessionStorage.removeItem(STORED);
  if (id) {
    await remove(`playback/sessions/${id}`, { within: LEAVE_MS }).catch(() => {
      // It expires on its own.
    });
  }
}

async function begin(): Promise<void> {
  const cameras = [...shown.keys()].slice(0, MAX_CAMERAS);
  if (cameras.length === 0) {
    return;
  }
  const now = Date.now();
  requestedAt = now;
  const made = await session(cameras);
  const { session_id: id, token, created_at, expires_at } = made;
  const time = Date.parse(expires_at) - Date.parse(created_at);
  current = {
    id,
    token,
    cameras: made.cameras,
    until: now + time,
    renewAt: now + time * RENEW_AT,
  };
  sessionStorage.setItem(STORED, JSON.stringify(current));
  schedule();
}

/**
 * Creates a session. One camera that was deleted in the meantime makes the service refuse them all, so
 * it is left out of a second attempt.
 */
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
    throw refusal; // For another reason, which would apply to the same request again.
  }
  for (const id of cameras.filter((_, index) => !tried[index])) {
    shown.delete(id);
  }
  return session(left.length > 0 ? left : cameras.slice(0, 1));
}

async function isWatchable(id: string): Promise<boolean> {
  try {
    await readCamera(id);
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

/** Returns the media address with the present token, which may have been renewed since. */
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

/** Returns the absolute address of a camera's playlist for another player. */
export async function addressFor(id: string, key: string): Promise<string> {
  let path = `/streams/${key}/stream.m3u8`;
  if (isNeeded()) {
    const input = { user: user(), camera: id, ttl_seconds: HANDED_OVER_SECONDS };
    const { token } = await post<NewSession>("playback/sessions", input);
    path = `/play/${token}/${key}/stream.m3u8`;
  }
  return new URL(path, location.href).href;
}
