// Starts a stream, and waits until it is live.

import { LONG_MS, post } from "../api/client";
import { type Coded, Problem } from "../api/problem";
import { streamKey } from "../api/stream-key";
import { hastenStreams, streams } from "../api/streams";
import type { Profile, Started, Stream } from "../api/types";
import type { Output, StartListener, StartRequest } from "../player/host";

/**
 * Interval between two start requests while the stream starts. Without requests, the service ends a stream after
 * CLEANUP_DELAY_SECONDS, 30 s by default.
 */
const RENEW_MS = 10_000;
/**
 * If a stream is missing from this many successive lists of streams, it has ended. One list is not enough,
 * because that list may have been requested before the start.
 */
const MISSING_LISTS = 2;

/** Starts a stream, and resolves when it is live. */
export async function start(
  { id, profile, output, waits }: StartRequest,
  signal: AbortSignal,
  { onStarting, onFailure }: StartListener,
): Promise<boolean> {
  const status = await requestStart(id, profile, output, waits, signal);
  if (status === "starting") {
    onStarting();
    await untilLive(id, profile, output, signal, onFailure);
  }
  return true;
}

/**
 * Requests the start of a camera's stream, and returns the stream's status. With `waits`, the response arrives when
 * the stream is live, or when the start takes too long.
 */
async function requestStart(
  id: string,
  profile: Profile,
  output: Output,
  waits: boolean,
  signal: AbortSignal,
): Promise<Started["status"]> {
  const query = `profile=${profile}&wait=${waits}&output=${output}`;
  const path = `cameras/${encodeURIComponent(id)}/stream/start?${query}`;
  const patience = waits ? { signal, within: LONG_MS } : { signal };
  return (await post<Started>(path, undefined, patience)).status;
}

/**
 * Resolves when the stream is live or `signal` is aborted. Rejects with the reason when the stream has
 * failed or ended. Calls `onFailure` with errors after which the service retries, and with the reason why a
 * start takes long, for example because the camera's next keyframe is late. There is no time limit, because the
 * service decides for how long it tries. While waiting, repeats the start request, so that the stream does not end.
 *
 * Polls the list of streams instead of requesting the playlist. The server would respond to a request for the
 * playlist only when the stream is live. Until then, the request would occupy one of the six connections that
 * browsers open over HTTP/1.1.
 */
async function untilLive(
  id: string,
  profile: Profile,
  output: Output,
  signal: AbortSignal,
  onFailure: (error: Coded) => void,
): Promise<void> {
  const key = streamKey(id, profile);
  const timer = setInterval(() => {
    // A failure of this request is ignored, because the list of streams shows the state of the stream.
    requestStart(id, profile, output, false, signal).catch(() => undefined);
  }, RENEW_MS);
  const relax = hastenStreams();
  let missing = 0;
  let isFirst = true;
  let stop: (() => void) | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      stop = streams.subscribe((known) => {
        // The first call gets the list that was received before the start.
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
    clearInterval(timer);
    stop?.();
    relax();
  }
}

/** Returns whether the stream is live. Throws the reason if it has failed or ended. */
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
