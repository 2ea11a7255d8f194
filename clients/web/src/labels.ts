// The texts of the element.

export interface Labels {
  play: string;
  stop: string;
  mute: string;
  unmute: string;
  fullscreen: string;
  connecting: string;
  waiting: string;
  ended: string;
  /** Begins the message of an error. */
  failed: string;
}

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
