// The list of running or failed streams. It is requested repeatedly while a view uses it. The module also remembers
// what earlier lists have shown.
import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";

import { cameraChanges } from "./changes";
import { get } from "./client";
import { type Coded, Problem } from "./problem";
import { streamKey } from "./stream-key";
import type { Stream, StreamList } from "./types";

/** Interval between two requests. */
const EVERY_MS = 2000;
/** Interval while a stream starts, which takes a second or two with most cameras. */
const STARTING_MS = 500;

/** The streams by stream key; undefined before the first response. */
export const streams = signal<Map<string, Stream> | undefined>(undefined);
/** False if the latest request for the list got no response, or a response with a status of 500 or more. */
export const isReachable = signal(true);

/** The keys of the listed streams that an earlier list or the latest list has shown as live. */
let seenLive: ReadonlySet<string> = new Set();
/** The errors of streams that have failed, by key. A failed stream is not listed for long. */
const failures = new Map<string, Coded>();

let users = 0;
let starts = 0;
let timer: ReturnType<typeof setTimeout> | undefined;
let isRequesting = false;

/** Returns whether the stream is in the latest list, and an earlier list or this list has shown it as live. */
export function wasLive(key: string): boolean {
  return seenLive.has(key);
}

/**
 * Returns the error of the latest start of a stream, if that start failed; null otherwise. The error is forgotten
 * when the stream starts again, and after a change of a camera.
 */
export function lastFailureOf(key: string): Coded | null {
  return failures.get(key) ?? null;
}

// A change of a camera may have corrected the cause.
cameraChanges.subscribe(() => failures.clear());

function remember(listed: Map<string, Stream>): void {
  seenLive = new Set(
    [...listed]
      .filter(([key, { state }]) => state === "live" || seenLive.has(key))
      .map(([key]) => key),
  );
  for (const [key, { state, last_error }] of listed) {
    if (state === "failed" && last_error) {
      failures.set(key, last_error);
    } else {
      failures.delete(key);
    }
  }
}

/**
 * Requests the list unless the tab is hidden, and plans the next request. Does nothing while a request is in
 * progress, or if no component uses the list.
 */
async function request(): Promise<void> {
  clearTimeout(timer);
  if (isRequesting || users === 0) {
    return;
  }
  isRequesting = true;
  try {
    if (!document.hidden) {
      const list = await get<StreamList>("streams");
      const listed = new Map(
        list.streams.map((stream) => [streamKey(stream.indicator_id, stream.profile), stream]),
      );
      remember(listed);
      streams.value = listed;
      isReachable.value = true;
    }
  } catch (error) {
    const isUnreachable = error instanceof Problem && (error.status === 0 || error.status >= 500);
    isReachable.value = !isUnreachable;
  } finally {
    isRequesting = false;
    clearTimeout(timer);
    if (users > 0) {
      timer = setTimeout(request, starts > 0 ? STARTING_MS : EVERY_MS);
    }
  }
}

/** Requests the list now instead of after the interval. */
export function refreshStreams(): void {
  void request();
}

/** Requests the list now, and shortens the interval until the returned function is called. */
export function hastenStreams(): () => void {
  starts += 1;
  void request();
  return () => {
    starts -= 1;
  };
}

/** Keeps `streams` up to date while a component is shown. */
export function useStreams(): void {
  useEffect(() => {
    users += 1;
    void request();
    return () => {
      users -= 1;
    };
  }, []);
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) {
    void request();
  }
});
