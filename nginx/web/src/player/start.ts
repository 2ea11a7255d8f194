// Waits until a stream that is starting can be played.

import { type Coded, Problem } from "../api/problem";
import { hastenStreams, streams } from "../api/streams";
import type { Stream } from "../api/types";

/** Longest wait for a start; the service's own limits are shorter. */
const START_MS = 90_000;
/**
 * Number of lists in a row that a stream must be missing from before it counts as ended. One is not
 * enough: that list may have been requested before the start.
 */
const MISSING_LISTS = 2;

/**
 * Resolves when the stream is live or `signal` is aborted; rejects with the reason when it has ended.
 * Failures that the service retries are passed to `onFailure`.
 *
 * Watches the list of streams instead of requesting the playlist: the server would hold that request
 * until the stream is live, and with it one of the browser's six connections.
 */
export async function untilLive(
  key: string,
  signal: AbortSignal,
  onFailure: (error: Coded) => void,
): Promise<void> {
  const relax = hastenStreams();
  let missing = 0;
  let isFirst = true;
  let stop: (() => void) | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      timer = setTimeout(() => reject(interrupted()), START_MS);
      stop = streams.subscribe((known) => {
        // The first call passes the list of before the start.
        if (isFirst) {
          isFirst = false;
          return;
        }
        const stream = known?.get(key);
        missing = stream ? 0 : missing + 1;
        try {
          if (signal.aborted || isLive(stream, missing, onFailure)) {
            resolve();
          }
        } catch (error) {
          reject(error);
        }
      });
    });
  } finally {
    clearTimeout(timer);
    stop?.();
    relax();
  }
}

/** Throws the reason when the stream has ended. */
function isLive(
  stream: Stream | undefined,
  missing: number,
  onFailure: (error: Coded) => void,
): boolean {
  if (missing >= MISSING_LISTS) {
    throw interrupted();
  }
  const error = stream?.last_error;
  if (error && stream.state === "failed") {
    throw new Problem(0, error.code, error.detail);
  }
  if (error && stream.state !== "live" && stream.state !== "stopping") {
    onFailure(error);
  }
  return stream?.state === "live";
}

function interrupted(): Problem {
  return new Problem(0, "interrupted");
}
