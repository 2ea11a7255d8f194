// Apple phones show videos in full screen with their own player, which the user can pause.

/** Returns whether the native player of an Apple phone shows the video in full screen. */
export function isFullScreenOnPhone(
  video: HTMLVideoElement & { webkitDisplayingFullscreen?: boolean },
) {
  return video.webkitDisplayingFullscreen ?? false;
}
