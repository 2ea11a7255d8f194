// What a tile requests from its player, and what the player's state can be.
import type { Profile } from "../api/types";
import type { Choice } from "./choice";

/**
 * `waiting`: the player was live, and becomes live again without the user's help. `retrying`: the player was not
 * live, an attempt has failed, and another attempt follows or is in progress. `failed`: the player makes another
 * attempt only when the user requests it, when a camera is changed on this page, or when the stream is live again.
 * `pictures`: the connection is too slow for video, and the tile shows single pictures.
 */
export type State = "idle" | "starting" | "live" | "waiting" | "retrying" | "failed" | "pictures";

export interface PlayRequest {
  id: string;
  profile: Profile;
  /** The transport that the user has chosen. */
  choice: Choice;
  /** Whether HLS is played with low latency. */
  isLowLatency: boolean;
  /** Whether the tile is one of many. */
  isWall: boolean;
  /**
   * Whether the start request waits until the stream is live. If the stream is still starting after the
   * response, the player polls the stream's state.
   */
  waits: boolean;
}
