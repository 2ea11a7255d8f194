// The conditions of cameras. Each condition has one word, one colour, one icon and one action. All views use this
// module, so that a camera has the same condition wherever it is shown.
import type { Stream, StreamState } from "../api/types";
import type { State as PlayerState } from "../player/request";
import type { IconName } from "../ui/icons";

/** The meaning of a colour: works, in progress, needs the user's help, or not in use. */
type Tone = "good" | "busy" | "bad" | "quiet";

/**
 * The action that a user most probably wants: to stop the stream, to start it, to try again, or to take the
 * missing camera off the wall.
 */
export type Action = "stop" | "start" | "retry" | "remove";

interface Appearance {
  tone: Tone;
  icon: IconName | "spinner";
  /** Null while the user can only wait. */
  action: Action | null;
}

/** The icons of the actions. The word of an action is the text with the key `action.` and the name of the action. */
export const ACTION_ICONS: Record<Action, IconName> = {
  stop: "stop",
  start: "play",
  retry: "refresh",
  remove: "close",
};

/** The appearance of each condition. Its word is the text with the key `condition.` and the name of the condition. */
const TABLE = {
  live: { tone: "good", icon: "dot", action: "stop" },
  pictures: { tone: "busy", icon: "photo", action: "stop" },
  starting: { tone: "busy", icon: "spinner", action: "stop" },
  /** There was video, and the page or the service restores it without the user's help. */
  reconnecting: { tone: "busy", icon: "spinner", action: "stop" },
  /** An attempt has failed before there was video, and another one follows without the user's help. */
  retrying: { tone: "busy", icon: "refresh", action: "stop" },
  stopping: { tone: "busy", icon: "stop", action: null },
  /** Only the user, or a change of the camera, causes another attempt. */
  failed: { tone: "bad", icon: "alert", action: "retry" },
  /** The camera or its stream does not exist. */
  missing: { tone: "bad", icon: "alert", action: "remove" },
  /** No stream runs, and the service's check cannot reach the camera. */
  offline: { tone: "bad", icon: "offline", action: "start" },
  /** The tile is not visible, so it does not play. */
  paused: { tone: "quiet", icon: "pause", action: "stop" },
  /** The user has stopped the tile. */
  stopped: { tone: "quiet", icon: "stop", action: "start" },
  /** No stream runs, because nothing uses the camera. */
  idle: { tone: "quiet", icon: "moon", action: "start" },
} as const satisfies Record<string, Appearance>;

export type Condition = keyof typeof TABLE;
export const APPEARANCES: Record<Condition, Appearance> = TABLE;

/** The facts that determine a condition. */
export interface Facts {
  /**
   * The state of a player or of a stream. `stopped` is a stream that does not run, `halted` a tile that the user
   * has stopped, and `offline` a camera without a stream that the service's check cannot reach.
   */
  state: PlayerState | StreamState | "halted" | "offline";
  /** Whether there has been video. */
  wasLive?: boolean;
  /** Whether an attempt has failed and another one follows, or is in progress, without the user's help. */
  isRetried?: boolean;
  /** The code of the last error; null without an error. */
  code?: string | null;
}

/** Returns the condition that follows from the facts. */
export function conditionOf(facts: Facts): Condition {
  const { state, wasLive = false, isRetried = false, code = null } = facts;
  switch (state) {
    case "live":
    case "pictures":
    case "stopping":
    case "offline":
      return state;
    case "idle":
      return "paused";
    case "halted":
      return "stopped";
    case "stopped":
      return code === null ? "idle" : failure(code);
    case "failed":
      return failure(code);
    case "starting":
      return wasLive || isRetried ? attempt(wasLive) : "starting";
    default:
      return attempt(wasLive || state === "waiting");
  }
}

function failure(code: string | null): Condition {
  return code === "unknown_camera" ? "missing" : "failed";
}

function attempt(wasLive: boolean): Condition {
  return wasLive ? "reconnecting" : "retrying";
}

/** Returns the facts of a stream in the list of streams. `wasLive` is true if the page has seen the stream live. */
export function factsOfStream(stream: Stream, wasLive: boolean): Facts {
  const { state, restarts = 0, last_error } = stream;
  return { state, wasLive, isRetried: restarts > 0, code: last_error?.code ?? null };
}

interface Tile {
  /** The state of the tile's player. */
  player: PlayerState;
  /** False if the user has stopped the tile. */
  isWanted: boolean;
  /** The code of the reason why the player is not live; null without a reason. */
  code: string | null;
  /** The stream that the player uses; undefined if it does not run. */
  stream: Stream | undefined;
  /** Whether the page has seen the stream live. */
  wasLive: boolean;
}

/**
 * Returns the facts of a tile. While the player waits for a stream, the attempts of the service count as well,
 * because the service can make several attempts during the player's first attempt.
 */
export function factsOfTile({ player, isWanted, code, stream, wasLive }: Tile): Facts {
  if (!isWanted) {
    return { state: "halted" };
  }
  if (player !== "starting" || !stream || !["starting", "backoff"].includes(stream.state)) {
    return { state: player, wasLive: player === "retrying" && wasLive, code };
  }
  const { restarts = 0, state } = stream;
  return { state: player, wasLive, isRetried: restarts > 0 || state === "backoff", code };
}
