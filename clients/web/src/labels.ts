// The texts of the element.

import type { Labels } from "../index";

export type { Labels };

export const ENGLISH: Labels = {
  play: "Play",
  stop: "Stop",
  mute: "Turn the sound off",
  unmute: "Turn the sound on",
  fullscreen: "Full screen",
  connecting: "Connecting…",
  waiting: "Reconnecting…",
  ended: "The session has ended",
  failed: "The camera cannot be shown",
};
