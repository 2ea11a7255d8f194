// The permission to watch. If the service has API keys, the page creates a playback session for the
// cameras on the page, and replaces the session long before it expires. Without API keys, watching needs no
// permission.
import { signal } from "@preact/signals";

import { addressOf } from "../api/address";
import { caller, hasRight } from "../api/caller";
import { readCamera } from "../api/cameras";
import { post, remove } from "../api/client";
import { Problem } from "../api/problem";
import type { NewSession } from "../api/types";
import { tabStorage } from "../ui/storage";

const STORED = "playback";
const TTL_SECONDS = 600;
/** Lifetime of a session for another player, such as VLC. Such a session is never renewed. */
const HANDED_OVER_SECONDS = 24 * 3600;
/** A session is renewed after this fraction of its lifetime. */
const RENEW_AT = 0.6;
const RETRY_MS = 3000;
/** The longest time for which signing out waits for the end of the session. */
const LEAVE_MS = 2000;
/** The API's limit of cameras in a session. */
const MAX_CAMERAS = 100;
/** The path of a media file of a live stream or of recordings, with or without a token. */
const MEDIA = /\/(streams|recordings|play\/[^/]+)\/([^/]+)\/(recordings\/)?([^/]+)$/;

interface Permission {
  id: string;
  token: string;
  cameras: string[];
  /** Whether the session permits watching recordings. */
  hasRecordings: boolean;
  /** The end of the session by this computer's clock, which may differ from the server's clock. */
  until: number;
  renewAt: number;
}

let current: Permission | null = stored();
/** The session request in progress, shared by all players. */
let pending: Promise<void> | null = null;
let requestedAt = 0;
let timer: ReturnType<typeof setTimeout> | undefined;
/** The number of players of each camera on the page, by camera id. */
const shown = new Map<string, number>();

/** The lifetime of the newest session in milliseconds; null before the first session of this page. */
export const newestSession = signal<{ lifetime: number } | null>(null);

/** Returns the permission that was stored before a reload of the page; null if no permission was stored. */
function stored(): Permission | null {
  try {
    return JSON.parse(tabStorage.getItem(STORED) ?? "null");
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
    (current.hasRecordings || !hasRight("recordings")) &&
    [...ids].every((id) => current?.cameras.includes(id))
  );
}

/** Returns the name that the service's list of sessions shows for this page. */
function viewerName(): string {
  return `${caller.value?.name ?? ""} (page)`;
}

/** Counts a new player of the camera. Later sessions include the camera. */
export function addPlayer(id: string): void {
  shown.set(id, (shown.get(id) ?? 0) + 1);
}

/**
 * Subtracts a player of the camera from the count. Once the camera has no players, new sessions do not
 * include the camera.
 */
export function removePlayer(id: string): void {
  const players = (shown.get(id) ?? 1) - 1;
  if (players > 0) {
    shown.set(id, players);
  } else {
    shown.delete(id);
  }
}

/**
 * Resolves when the page has permission to watch the camera. Also resolves if the service refuses this camera but
 * permits other cameras on the page. In this case, the start of the stream fails with the reason. Rejects with the
 * Problem if no session can be created.
 */
export async function obtainPermission(id: string): Promise<void> {
  if (!isNeeded()) {
    return;
  }
  // If the service has refused the camera before, `createSession` has removed it. The service may permit the camera
  // now.
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

/** Replaces the session after the service has rejected its token. */
export async function renew(): Promise<void> {
  // Usually the service rejects many requests at once. One new session is enough for all of them.
  if (!isNeeded() || Date.now() - requestedAt < RETRY_MS) {
    return;
  }
  await replaceSession();
}

async function replaceSession(): Promise<void> {
  pending ??= begin().finally(() => (pending = null));
  await pending;
}

/** Ends the session. Called when the user signs out. */
export async function endSession(): Promise<void> {
  const id = current?.id;
  current = null;
  tabStorage.removeItem(STORED);
  if (id) {
    await remove(`playback/sessions/${id}`, { within: LEAVE_MS }).catch(() => {
      // The session expires anyway.
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
  const made = await createSession(cameras);
  const { session_id: id, token, created_at, expires_at } = made;
  const time = Date.parse(expires_at) - Date.parse(created_at);
  current = {
    id,
    token,
    cameras: made.cameras,
    hasRecordings: made.rights.includes("recordings"),
    until: now + time,
    renewAt: now + time * RENEW_AT,
  };
  tabStorage.setItem(STORED, JSON.stringify(current));
  newestSession.value = { lifetime: time };
  schedule();
}

/**
 * Creates a session. If one of the cameras was deleted or is no longer permitted, the service refuses the
 * whole session, and this function creates a session for the other cameras instead. If there are no others,
 * it requests a session for the first camera, so that the request fails with the reason.
 */
async function createSession(cameras: string[]): Promise<NewSession> {
  let refusal: unknown;
  try {
    return await post<NewSession>("playback/sessions", {
      user: viewerName(),
      cameras,
      ttl_seconds: TTL_SECONDS,
      ...(hasRight("recordings") && { rights: ["recordings"] }),
    });
  } catch (error) {
    const isOneGone = error instanceof Problem && (error.status === 404 || error.status === 403);
    if (!isOneGone || cameras.length === 1) {
      throw error;
    }
    refusal = error;
  }
  const watchable = await Promise.all(cameras.map((id) => isWatchable(id)));
  const left = cameras.filter((_, index) => watchable[index]);
  if (left.length === cameras.length) {
    throw refusal; // The reason is not one of the cameras, so a second attempt would fail as well.
  }
  for (const id of cameras.filter((_, index) => !watchable[index])) {
    shown.delete(id);
  }
  return createSession(left.length > 0 ? left : cameras.slice(0, 1));
}

/** Returns whether the camera exists and the caller is permitted to see it. */
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
  await replaceSession().catch(() => (timer = setTimeout(keep, RETRY_MS)));
}

/** Returns the absolute media URL with the token of the current session; without a session, the URL itself. */
export function withToken(url: string): string {
  if (!isNeeded() || !current) {
    return url;
  }
  const { token } = current;
  const { origin, pathname, search } = new URL(url);
  const path = pathname.replace(MEDIA, (_, area, key, folder, file) => {
    const isRecorded = area === "recordings" || folder;
    return `/play/${token}/${key}/${isRecorded ? "recordings/" : ""}${file}`;
  });
  return origin + path + search;
}

/** Returns the absolute URL of a camera's playlist for another player. Creates a session if one is needed. */
export async function addressFor(id: string, key: string): Promise<string> {
  let path = `streams/${key}/stream.m3u8`;
  if (isNeeded()) {
    const input = { user: viewerName(), camera: id, ttl_seconds: HANDED_OVER_SECONDS };
    const { token } = await post<NewSession>("playback/sessions", input);
    path = `play/${token}/${key}/stream.m3u8`;
  }
  return addressOf(path);
}
