// Requests the cameras on the current page of the wall.
import { useCallback } from "preact/hooks";

import { listCameras, readCamera } from "../../api/cameras";
import { Problem } from "../../api/problem";
import { type Reading, useReading } from "../../api/reading";
import type { Camera } from "../../api/types";
import { capacity, FEW_TILES, type Layout } from "./layout";

const RETRY_MS = 2000;

/** A camera on the wall. Until the service has returned the camera, its id also serves as the name. */
export type WallCamera = Pick<Camera, "id" | "name"> & Partial<Camera>;

interface WallPage {
  cameras: WallCamera[];
  /** Number of cameras on all pages. */
  total: number;
}

function stub(id: string): WallCamera {
  return { id, name: id };
}

async function readOrStub(id: string): Promise<WallCamera> {
  try {
    return await readCamera(id);
  } catch (error) {
    // If the service refuses the request, the tile reports the reason when it starts to play. Other failed
    // requests are repeated.
    if (error instanceof Problem && error.status >= 400 && error.status < 500) {
      return stub(id);
    }
    throw error;
  }
}

function split(ids: string): string[] {
  return ids ? ids.split(",") : [];
}

/**
 * Returns the cameras on the wall's current page. The wall has the chosen cameras, or all cameras. `again` requests
 * the cameras again.
 */
export function useCameras({
  cameras,
  grid,
  page,
}: Layout): Reading<WallPage> & { again: () => void } {
  const size = capacity(grid);
  const total = cameras?.length ?? 0;
  // A string, so that an equal list does not cause another request.
  const ids = cameras?.slice(page * size, (page + 1) * size).join() ?? null;
  const read = useCallback(async (): Promise<WallPage> => {
    if (ids === null) {
      return listCameras({ limit: size, offset: page * size });
    }
    return { cameras: await Promise.all(split(ids).map(readOrStub)), total };
  }, [ids, total, size, page]);
  const reading = useReading(read, { retry: RETRY_MS });

  const list = ids === null ? null : split(ids);
  if (!list || list.length > FEW_TILES) {
    return reading;
  }
  // To play a main stream, a tile needs only the camera's id. If there are only a few cameras, all tiles play
  // main streams, so they can start before the service has returned the cameras.
  const known = reading.value?.cameras;
  const shown = list.map((id) => known?.find((camera) => camera.id === id) ?? stub(id));
  return { ...reading, value: { cameras: shown, total } };
}
