// What the service says of its streams, asked for as long as somebody looks at it.
import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";

import { get } from "./client";
import { Problem } from "./problem";
import type { Profile, Stream, StreamList } from "./types";

const EVERY_MS = 2000;
/** While a start is waited for, which most cameras take a second or two for. */
const SOON_MS = 500;

/** By stream key; undefined before the first answer. */
export const streams = signal<Map<string, Stream> | undefined>(undefined);
/** Whether the last question was answered. */
export const isReachable = signal(true);

let users = 0;
let starts = 0;
let timer: ReturnType<typeof setTimeout> | undefined;
let isAsking = false;

/** As in a stream's path: the camera's id, with `~sub` behind it for the sub stream. */
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

/** Asks at once instead of waiting for the next time. */
export function refreshStreams(): void {
  void ask();
}

/** Asks at once and then more often, until the function that is returned is called. */
export function hastenStreams(): () => void {
  starts += 1;
  void ask();
  return () => {
    starts -= 1;
  };
}

/** Keeps `streams` up to date while the component is shown. */
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
