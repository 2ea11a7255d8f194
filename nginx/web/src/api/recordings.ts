// Requests for recordings with the API key: lists, share links, exports, protection, deletion, and recording now.
import { get, LONG_MS, post, put, remove, removeParts } from "./client";
import type {
  Deleted,
  ExportFile,
  Locked,
  NewShare,
  RecordedStream,
  RecordingStatus,
  Share,
  ShareList,
  Storage,
} from "./types";

/** A time, as the API takes it (RFC 3339). */
export interface Span {
  from: string;
  to: string;
}

function queryOf({ from, to }: Span): string {
  return `from=${encodeURIComponent(from)}&to=${encodeURIComponent(to)}`;
}

/** Returns the streams with recordings. */
export async function listRecorded(): Promise<RecordedStream[]> {
  const { streams } = await get<{ streams: RecordedStream[] }>("recordings");
  return streams;
}

/** Returns the size and the SHA-256 digest of an export. The service reads the whole export for this. */
export function describeExport(stream: string, span: Span): Promise<ExportFile> {
  return get(`recordings/${stream}/export?${queryOf(span)}`, { within: LONG_MS });
}

export function createShare(
  camera: string,
  span: Span,
  label: string,
  seconds: number,
): Promise<NewShare> {
  const input = { ...span, ttl_seconds: seconds, ...(label && { label }) };
  return post(`recordings/${camera}/shares`, input);
}

export async function listShares(camera: string): Promise<Share[]> {
  return (await get<ShareList>(`recordings/${camera}/shares`)).shares;
}

export async function removeShare(camera: string, id: string): Promise<void> {
  await remove(`recordings/${camera}/shares/${id}`);
}

/** Protects recordings from deletion, or ends the protection. Returns the number of files. */
export async function lockRecordings(camera: string, span: Span, locked: boolean): Promise<number> {
  const path = `cameras/${camera}/recordings/lock`;
  return (await put<Locked>(path, { ...span, locked })).files;
}

/** Deletes recordings that are not locked. Returns the numbers of files that were deleted and that were left. */
export function deleteRecordings(camera: string, span: Span): Promise<Deleted> {
  return removeParts(`cameras/${camera}/recordings?${queryOf(span)}`, { within: LONG_MS });
}

/** Records a camera for a number of seconds from now on. */
export async function recordNow(camera: string, seconds: number): Promise<void> {
  await post(`cameras/${camera}/recording`, { seconds });
}

/** Ends a recording that was requested with `recordNow`. */
export async function stopRecordingNow(camera: string): Promise<void> {
  await remove(`cameras/${camera}/recording`);
}

export function recordingStatus(camera: string): Promise<RecordingStatus> {
  return get(`cameras/${camera}/recording`);
}

export function readStorage(): Promise<Storage> {
  return get("storage");
}
