// Chooses the transports that a tile may use, best first, and states why it does not use the others.
import type { Reason, TransportName } from "./transport";

/** What the user can choose: `auto`, or a transport. `hls` includes `native`. */
export type Choice = "auto" | Exclude<TransportName, "native">;

export const CHOICES: Choice[] = ["auto", "webcodecs", "webrtc", "mse", "hls", "mjpeg"];

/** What the browser can do. */
export interface Abilities {
  /** Whether the page has all interfaces of the browser: HTTPS or localhost. */
  isSecure: boolean;
  webCodecs: boolean;
  webRtc: boolean;
  /** Media Source Extensions or ManagedMediaSource, with a codec that cameras send. */
  mse: boolean;
  hlsJs: boolean;
  nativeHls: boolean;
}

export interface Situation {
  abilities: Abilities;
  choice: Choice;
  /** Whether the tile is one of many. */
  isWall: boolean;
  /** Whether the service offers WebRTC. */
  offersWebRtc: boolean;
}

export interface Options {
  /** The transports that the tile may use, best first. */
  usable: TransportName[];
  /** Why the others are not used. */
  others: Map<TransportName, Reason>;
}

/** All transports, by the age of the picture that they reach. */
const ORDER: TransportName[] = ["webcodecs", "webrtc", "mse", "hls", "native", "mjpeg"];

/** Returns the options of a tile. */
export function optionsOf(situation: Situation): Options {
  const usable: TransportName[] = [];
  const others = new Map<TransportName, Reason>();
  for (const name of ORDER) {
    const reason = reasonAgainst(name, situation) ?? unwanted(name, situation);
    if (reason) {
      others.set(name, reason);
    } else {
      usable.push(name);
    }
  }
  if (usable.length < 2 && others.get("webcodecs") === "wall") {
    // Live pictures cost the service, and the connection, even more.
    usable.unshift("webcodecs");
    others.delete("webcodecs");
  }
  return { usable, others };
}

function reasonAgainst(name: TransportName, situation: Situation): Reason | null {
  const { choice } = situation;
  const family = name === "native" ? "hls" : name;
  if (choice !== "auto" && choice !== family) {
    return "not_chosen";
  }
  if (name === "webrtc" && !situation.offersWebRtc) {
    return "not_offered";
  }
  return lack(name, situation.abilities);
}

/** Returns what the browser lacks for a transport. */
function lack(name: TransportName, abilities: Abilities): Reason | null {
  switch (name) {
    case "webcodecs":
      if (!abilities.isSecure) {
        return "insecure";
      }
      return abilities.webCodecs ? null : "browser";
    case "webrtc":
      return abilities.webRtc ? null : "browser";
    case "mse":
      return abilities.mse ? null : "browser";
    case "hls":
      return abilities.hlsJs ? null : "browser";
    case "native":
      // hls.js shows the picture sooner than the browser's own player, and reports errors.
      return abilities.nativeHls && !abilities.hlsJs ? null : "browser";
    default:
      return null;
  }
}

/** Returns why a transport that works is not used without the user's choice. */
function unwanted(name: TransportName, { choice, isWall }: Situation): Reason | null {
  // Without a graphics processor, drawing on canvases costs twice the processor time of video elements.
  return choice === "auto" && name === "webcodecs" && isWall ? "wall" : null;
}
