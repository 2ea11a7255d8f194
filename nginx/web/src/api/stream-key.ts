// The key of a stream.
import type { Profile } from "./types";

/**
 * Returns the stream key, which is also part of the stream's path: the camera's id, followed by `~sub` for
 * the sub stream.
 */
export function streamKey(id: string, profile: Profile): string {
  return profile === "sub" ? `${id}~sub` : id;
}
