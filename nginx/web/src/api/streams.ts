// The list of streams, which is polled while a view uses it.
import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";

import { get } from "./client";
import { Problem } from "./problem";
import type { Profile, Stream, StreamList } from "./types";

const EVERY_MS = 2000;
/** Interval during a start, which takes most cameras a second or two. */
const SOON_MS = 500;

/** By stream key; undefined before the first answer. */
export const streams = signal<Map<string, Stream> | undefined>(undefined);
/** Whether the latest request was answered. */
export const isReachable = signal(true);

let users = 0;
let starts = 0;
let timer: ReturnType<typeof setTimeout> | undefined;
let isAsking = false;

/** Returns the key of a stream, as in its path: the camera's id, followed by `~sub` for the sub stream. */
export function streamKey(id: string, profile: Profile): string {
  return profile === "sub" ? `${id}~sub` : id;
}

async function ask(): Promise<void> {
  clearTimeout(timer);
  if (isAsking || users === 0) {
    return;
  }
  isAsking = true;
  try {
    if (!document.hidden) {
      const answer = await get<StreamList>("streams");
      streams.value = new Map(
        answer.streams.map((stream) => [streamKey(stream.indicator_id, stream.profile), stream]),
      );
      isReachable.value = true;
    }
  } catch (error) {
    const isAway = error instanceof Problem && (error.status === 0 || error.status >= 500);
    isReachable.value = !isAway;
  } finally {
    isAsking = false;
    clearTimeout(timer);
    if (users > 0) {
      timer = setTimeout(ask, starts > 0 ? SOON_MS : EVERY_MS);
    }
  }
}

/** Requests the list now instead of at the next interval. */
export function refreshStreams(): void {
  void ask();
}

/** Requests the list now and then more often, until the returned function is called. */
export function hastenStreams(): () => void {
  starts += 1;
  void ask();
  return () => {
    starts -= 1;
  };
}

/** Keeps `streams` up to date while a component is shown. */
export function useStreams(): void {
  useEffect(() => {
    users += 1;
    void ask();
    return () => {
      users -= 1;
    };
  }, []);
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) {
    void ask();
  }
});
