// The cameras on the wall's page.
import { useCallback } from "preact/hooks";

import { listCameras, readCamera } from "../../api/cameras";
import { Problem } from "../../api/problem";
import { type Reading, useReading } from "../../api/reading";
import type { Camera } from "../../api/types";
import { capacity, FEW_TILES, type Layout } from "./layout";

const RETRY_MS = 2000;

/** A camera on the wall. Only its id is certain while it is not read yet, or cannot be read. */
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
    // Its tile reports why; other failures are retried.
    if (error instanceof Problem && error.status >= 400 && error.status < 500) {
      return stub(id);
    }
    throw error;
  }
}

function split(ids: string): string[] {
  return ids ? ids.split(",") : [];
}

/** Reads the cameras of the page: the given ones, or those of all cameras. */
export function useCameras({ cameras, grid, page }: Layout): Reading<WallPage> {
  const size = capacity(grid);
  const total = cameras?.length ?? 0;
  // As text, so that an equal list is not read again.
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
  // A few cameras play their main streams, whatever else is known of them: they start at once.
  const known = reading.value?.cameras;
  const shown = list.map((id) => known?.find((camera) => camera.id === id) ?? stub(id));
  return { ...reading, value: { cameras: shown, total } };
}
