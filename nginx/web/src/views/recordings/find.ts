// Finds the cameras of the view of recordings.
import { readCamera } from "../../api/cameras";
import { Problem } from "../../api/problem";
import { listRecorded } from "../../api/recordings";
import type { RecordedStream } from "../../api/types";
import { isId } from "../../ui/place";
import { userStorage } from "../../ui/storage";
import { byEnd } from "./by-end";
import type { RecordedCamera } from "./session";

/** The name under which the browser keeps the cameras of the last visit. */
const STORED = "recordings";

export interface Found {
  /** The ids in the address. */
  asked: string;
  /** The ids that were searched: those in the address, or those that were chosen instead. */
  ids: string;
  /** The cameras that exist. */
  cameras: RecordedCamera[];
  /** The ids of cameras that do not exist. */
  unknown: string[];
  /** The end of the last recording of these cameras; null without recordings. */
  last: number | null;
}

/** Keeps these ids as those of the last visit. */
export function remember(ids: string): void {
  userStorage.setItem(STORED, ids);
}

/** Returns the cameras with these ids; without ids, those of the last visit, or else one that is being recorded. */
export async function findCameras(asked: string[]): Promise<Found> {
  const streams = await listRecorded();
  const found = asked.length > 0 ? await readAll(asked, streams) : await chooseCameras(streams);
  const cameras = [...found.values()].filter((camera) => camera !== null);
  const ends = streams.filter(({ camera }) => found.get(camera)).map(({ to }) => Date.parse(to));
  return {
    asked: asked.join(),
    ids: [...found.keys()].join(),
    cameras,
    unknown: [...found].filter(([, camera]) => camera === null).map(([id]) => id),
    last: ends.length > 0 ? Math.max(...ends) : null,
  };
}

type Cameras = Map<string, RecordedCamera | null>;

async function readAll(ids: string[], streams: RecordedStream[]): Promise<Cameras> {
  const cameras = await Promise.all(ids.map((id) => read(id, streams)));
  return new Map(ids.map((id, n) => [id, cameras[n] ?? null]));
}

/** Returns a camera and its streams with recordings; null if the camera does not exist. */
async function read(id: string, streams: RecordedStream[]): Promise<RecordedCamera | null> {
  const has = (stream: string) => (streams.some((each) => each.id === stream) ? stream : null);
  try {
    const { name } = await readCamera(id);
    return { id, name, streams: { main: has(id), sub: has(`${id}~sub`) } };
  } catch (error) {
    if (error instanceof Problem && error.code === "unknown_camera") {
      return null;
    }
    throw error;
  }
}

async function chooseCameras(streams: RecordedStream[]): Promise<Cameras> {
  const stored = (userStorage.getItem(STORED) ?? "").split(",").filter(isId);
  const last = await readAll(
    stored.filter((id) => streams.some(({ camera }) => camera === id)),
    streams,
  );
  const existing = [...last].filter(([, camera]) => camera !== null);
  if (existing.length > 0) {
    return new Map(existing);
  }
  for (const id of byEnd(streams)) {
    const camera = await read(id, streams);
    if (camera) {
      return new Map([[id, camera]]);
    }
  }
  return new Map();
}
