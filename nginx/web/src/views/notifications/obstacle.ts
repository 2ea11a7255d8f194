// The reasons for which a browser cannot show push notifications, as far as they are known before a registration.

export type Obstacle = "insecure" | "home_screen" | "unsupported" | "blocked";

/** Returns the reason for which this browser cannot show notifications; null if no reason is known. */
export function obstacle(): Obstacle | null {
  if (!isSecureContext) {
    return "insecure";
  }
  const isSupported =
    "serviceWorker" in navigator && "PushManager" in window && "Notification" in window;
  if (!isSupported) {
    return isMobileApple() && !isFromHomeScreen() ? "home_screen" : "unsupported";
  }
  return Notification.permission === "denied" ? "blocked" : null;
}

/** Returns whether the browser runs on iOS or iPadOS. An iPad pretends to be a Mac, but no Mac has a touch screen. */
function isMobileApple(): boolean {
  const { userAgent, maxTouchPoints } = navigator;
  return /iPhone|iPad|iPod/.test(userAgent) || (/Macintosh/.test(userAgent) && maxTouchPoints > 1);
}

function isFromHomeScreen(): boolean {
  return matchMedia("(display-mode: standalone)").matches;
}
