// Shows single pictures of a camera, for connections that are too slow for video.
import { type Coded, Problem, problemOf } from "../api/problem";
import type { Host } from "./host";
import { copyPicture } from "./still";

/** Interval between two pictures. */
const EVERY_MS = 3000;
/** Greatest width of a picture in pixels. The service limits such a picture to 60 kB. */
const WIDTH = 640;
/** Greatest age of a picture in seconds. */
const MAX_AGE = 2;
/** Time limit for loading one picture. */
const WITHIN_MS = 30_000;

export interface PictureListener {
  /** Called after each picture, with the rate of the connection in bits per second. */
  onPicture: (rate: number) => void;
  onFailure: (error: Coded) => void;
}

/** Shows a picture of a stream on the canvas every EVERY_MS until `signal` is aborted. */
export async function showPictures(
  host: Host,
  id: string,
  key: string,
  canvas: HTMLCanvasElement,
  signal: AbortSignal,
  { onPicture, onFailure }: PictureListener,
): Promise<void> {
  while (!signal.aborted) {
    const begin = performance.now();
    try {
      const { bitmap, rate } = await load(host, id, key, signal);
      if (!signal.aborted) {
        copyPicture(bitmap, bitmap.width, bitmap.height, canvas);
        onPicture(rate);
      }
      bitmap.close();
    } catch (error) {
      if (!signal.aborted) {
        onFailure(error instanceof Problem ? error : new Problem(0, "interrupted"));
      }
    }
    const pause = Math.max(0, begin + EVERY_MS - performance.now());
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

/** Loads a picture, and measures the rate at which it arrived. */
async function load(
  host: Host,
  id: string,
  key: string,
  signal: AbortSignal,
): Promise<{ bitmap: ImageBitmap; rate: number }> {
  await host.obtainPermission(id);
  const controller = new AbortController();
  const abort = () => controller.abort();
  const timer = setTimeout(abort, WITHIN_MS);
  signal.addEventListener("abort", abort);
  try {
    const query = `width=${WIDTH}&max_age=${MAX_AGE}`;
    const url = host.addressOf(key, `snapshot.jpg?${query}`);
    const response = await fetch(url, { signal: controller.signal, cache: "no-store" });
    if (response.status === 401) {
      await host.renew(); // The session has been ended. The next picture uses the new session.
    }
    if (!response.ok) {
      const problem = problemOf(response.status, await response.text());
      throw problem ?? new Problem(response.status, "interrupted");
    }
    const begin = performance.now();
    const picture = await response.blob();
    const seconds = Math.max(1, performance.now() - begin) / 1000;
    return { bitmap: await createImageBitmap(picture), rate: (picture.size * 8) / seconds };
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", abort);
  }
}
