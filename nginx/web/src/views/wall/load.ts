// The cameras that the wall's page shows.
import { useEffect, useState } from "preact/hooks";

import { get, Problem, words } from "../../api/client";
import { cameraChanges } from "../../api/changes";
import type { Camera, CamerasPage } from "../../api/types";
import { capacity, FEW_TILES, type Layout } from "./layout";

const RETRY_MS = 2000;

export interface Shown {
  /** Those of this page, in order; undefined while they are asked for. */
  cameras: Camera[] | undefined;
  /** Of all pages. */
  total: number;
  error: string | null;
}

/** What is known of a camera that could not be read: enough for a tile that tells why. */
function stub(id: string): Camera {
  return {
    id,
    name: id,
    owner: null,
    source: null,
    source_sub: null,
    video: "",
    audio: "",
    transport: "",
  };
}

async function one(id: string): Promise<Camera> {
  try {
    return await get<Camera>(`cameras/${encodeURIComponent(id)}`);
  } catch (error) {
    // The tile tells it in its place; all else is worth another attempt.
    if (error instanceof Problem && error.status >= 400 && error.status < 500) {
      return stub(id);
    }
    throw error;
  }
}

async function load({ cameras, grid, page }: Layout): Promise<Omit<Shown, "error">> {
  const size = capacity(grid);
  if (cameras) {
    const ids = cameras.slice(page * size, (page + 1) * size);
    return { cameras: await Promise.all(ids.map(one)), total: cameras.length };
  }
  return get<CamerasPage>(`cameras?limit=${size}&offset=${page * size}`);
}

export function useCameras(layout: Layout): Shown {
  const [shown, setShown] = useState<Shown>({ cameras: undefined, total: 0, error: null });
  const wanted = JSON.stringify([layout.cameras, layout.grid, layout.page, cameraChanges.value]);
  useEffect(() => {
    let isOver = false;
    let retry: ReturnType<typeof setTimeout>;
    const attempt = async () => {
      try {
        const loaded = await load(layout);
        if (!isOver) {
          setShown({ ...loaded, error: null });
        }
      } catch (error) {
        if (!isOver) {
          setShown((before) => ({ ...before, error: words(error) }));
          retry = setTimeout(attempt, RETRY_MS);
        }
      }
    };
    // Few cameras play their main streams, whatever else there is to know of them: they begin at once.
    const ids = layout.cameras?.slice(
      layout.page * capacity(layout.grid),
      (layout.page + 1) * capacity(layout.grid),
    );
    if (ids && ids.length <= FEW_TILES) {
      setShown((before) => ({
        cameras: ids.map((id) => before.cameras?.find((one) => one.id === id) ?? stub(id)),
        total: layout.cameras?.length ?? 0,
        error: null,
      }));
    }
    void attempt();
    return () => {
      isOver = true;
      clearTimeout(retry);
    };
  }, [wanted]);
  return shown;
}
