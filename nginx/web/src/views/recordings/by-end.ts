// The order in which cameras are chosen if the address has none.
import type { RecordedStream } from "../../api/types";

/** A camera whose recordings end this much earlier than those of another one is not being recorded, in milliseconds. */
const ENDED_MS = 120_000;

/** Returns the ids of the cameras: first those that are being recorded, and then the others, the latest end first. */
export function byEnd(streams: Pick<RecordedStream, "camera" | "to">[]): string[] {
  const ends = new Map<string, number>();
  for (const { camera, to } of streams) {
    ends.set(camera, Math.max(ends.get(camera) ?? 0, Date.parse(to)));
  }
  const latest = Math.max(0, ...ends.values());
  const rank = (end: number) => (latest - end < ENDED_MS ? latest : end);
  return [...ends].sort(([, a], [, b]) => rank(b) - rank(a)).map(([id]) => id);
}
