// Apple phones show videos in full screen with their own player, which the user can pause.
import type { Picture } from "../screen";

type PhoneVideo = HTMLVideoElement & {
  webkitDisplayingFullscreen?: boolean;
  webkitEnterFullscreen?: () => void;
};

/** Returns whether the native player of an Apple phone shows the video in full screen. */
export function isFullScreenOnPhone(video: PhoneVideo): boolean {
  return video.webkitDisplayingFullscreen ?? false;
}

/** Shows a picture in the full screen of an Apple phone. Returns false if the browser cannot do that. */
export function enterFullScreenOnPhone(picture: Picture | null): boolean {
  const video: PhoneVideo | null = picture instanceof HTMLVideoElement ? picture : null;
  try {
    video?.webkitEnterFullscreen?.();
    return video?.webkitEnterFullscreen !== undefined;
  } catch {
    return false; // The video has no picture yet.
  }
}
