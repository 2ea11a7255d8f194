// Decides what happens to the visible transport when the tile changes to another level.
import type { Level } from "./quality";
import type { TransportName } from "./transport";

/**
 * - `keeps`: it plays until the new level has a picture.
 * - `yields`: it plays until the new level gets media, and its last picture stays until there is a picture. No request
 *   precedes the new connection, which starts the stream if that is not live.
 * - `ends`: it ends at once.
 */
export type Leaving = "keeps" | "yields" | "ends";

/** `level` is the new level, and `isLowered` whether the connection is too slow for the level before. */
export function leavingOf(
  name: TransportName | undefined,
  level: Level,
  isLowered: boolean,
): Leaving {
  if (name === undefined) {
    return "ends";
  }
  if (!isLowered) {
    return "keeps";
  }
  // What these transports still request or get would keep the lower level from arriving.
  if (name === "hls" || name === "native") {
    return "ends";
  }
  return level === "sub" && (name === "webcodecs" || name === "mse") ? "yields" : "keeps";
}
