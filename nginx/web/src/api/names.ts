// The names of cameras, for views that receive only ids from the service.
import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";

import { listCameras, readCamera } from "./cameras";
import { cameraChanges } from "./changes";
import { Problem } from "./problem";

/** Largest number of cameras that are requested one by one. For more cameras, the page requests the whole list. */
const FEW = 8;
/** Number of cameras in a request for the list: the API's limit. */
const MANY = 1000;

const names = signal<ReadonlyMap<string, string>>(new Map());
/**
 * The ids whose names have been requested since the last change of a camera. If an id belongs to no camera, its name
 * is requested again when a view is opened or the ids change, because another user may have added the camera.
 */
const requested = new Set<string>();

cameraChanges.subscribe(() => requested.clear());

/** Returns the name of a camera, or its id while the name is not known. */
export function nameOf(id: string): string {
  return names.value.get(id) ?? id;
}

/** Requests the names of these cameras when the component is first shown, and when an id or a camera has changed. */
export function useNames(ids: string[]): void {
  const wanted = [...new Set(ids)].sort().join();
  const change = cameraChanges.value;
  // biome-ignore lint/correctness/useExhaustiveDependencies: a change of a camera may have changed its name
  useEffect(() => {
    const missing = wanted.split(",").filter((id) => id && !requested.has(id));
    for (const id of missing) {
      requested.add(id);
    }
    // If the request fails, the view shows the ids.
    const settle = () => forgetUnnamed(missing);
    request(missing).then(settle, settle);
  }, [wanted, change]);
}

function forgetUnnamed(ids: string[]): void {
  for (const id of ids.filter((each) => !names.value.has(each))) {
    requested.delete(id);
  }
}

async function request(ids: string[]): Promise<void> {
  if (ids.length <= FEW) {
    await Promise.all(
      ids.map(async (id) => {
        add(await readCamera(id).then((camera) => [camera], noneIfRefused));
      }),
    );
    return;
  }
  const missing = new Set(ids);
  for (let offset = 0, total = 1; offset < total && missing.size > 0; offset += MANY) {
    const page = await listCameras({ limit: MANY, offset });
    add(page.cameras);
    for (const { id } of page.cameras) {
      missing.delete(id);
    }
    total = page.total;
  }
}

/**
 * Returns no cameras if the service has refused a request. The id may belong to no camera, for example because the
 * camera was deleted.
 */
function noneIfRefused(error: unknown): [] {
  if (error instanceof Problem && error.status >= 400 && error.status < 500) {
    return [];
  }
  throw error;
}

function add(cameras: { id: string; name: string }[]): void {
  if (cameras.length > 0) {
    names.value = new Map([...names.value, ...cameras.map(({ id, name }) => [id, name] as const)]);
  }
}
