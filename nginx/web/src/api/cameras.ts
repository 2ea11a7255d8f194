// Requests for cameras.
import { get, LONG_MS, remove } from "./client";
import type { Camera, CamerasPage, MotionNow } from "./types";

interface Range {
  limit: number;
  offset?: number;
  /** Part of a name, an id or an address; empty for all cameras. */
  search?: string;
}

/** Returns a page of the cameras whose name, id or address contains `search`. */
export function listCameras({ limit, offset = 0, search = "" }: Range): Promise<CamerasPage> {
  return get(`cameras?limit=${limit}&offset=${offset}&search=${encodeURIComponent(search)}`);
}

export function readCamera(id: string): Promise<Camera> {
  return get(`cameras/${encodeURIComponent(id)}`);
}

/** Returns what moves in front of a camera now. */
export function readMotion(id: string): Promise<MotionNow> {
  return get(`cameras/${encodeURIComponent(id)}/motion`);
}

/** Deletes a camera and, unless `keepsRecordings`, its recordings, even protected ones. */
export async function deleteCamera(id: string, keepsRecordings: boolean): Promise<void> {
  await remove(`cameras/${id}${keepsRecordings ? "?keep=true" : ""}`, { within: LONG_MS });
}
