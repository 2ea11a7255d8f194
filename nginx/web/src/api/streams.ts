// The list of running or failed streams. It is requested repeatedly while a view uses it.
import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";

import { get } from "./client";
import { Problem } from "./problem";
import type { Profile, Stream, StreamList } from "./types";

/** Interval between two requests. */
const EVERY_MS = 2000;
/** Interval while a stream starts, which takes a second or two with most cameras. */
const STARTING_MS = 500;

/** The streams by stream key; undefined before the first response. */
export const streams = signal<Map<string, Stream> | undefined>(undefined);
/** False if the latest request for the list got no response, or a response with a status of 500 or more. */
export const isReachable = signal(true);

let users = 0;
let starts = 0;
let timer: ReturnType<typeof setTimeout> | undefined;
let isRequesting = false;

/**
 * Returns the stream key, which is also part of the stream's path: the camera's id, followed by `~sub` for
 * the sub stream.
 */
export function streamKey(id: string, profile: Profile): string {
  return profile === "sub" ? `${id}~sub` : id;
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
      streams.value = new Map(
        list.streams.map((stream) => [streamKey(stream.indicator_id, stream.profile), stream]),
      );
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
