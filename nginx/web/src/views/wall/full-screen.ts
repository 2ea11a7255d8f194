// The full screen of a tile. Apple phones show only videos in full screen, with a method that Safari adds. Where the
// browser cannot show the tile or its picture in full screen, the tile fills the page instead.
import { useLayoutEffect, useState } from "preact/hooks";

import type { Picture } from "../../player/screen";
import { enterFullScreenOnPhone } from "../../player/transports/phone";
import { fillScreen } from "../../ui/browser";

interface FullScreen {
  /** Whether the tile fills the page. */
  isFilling: boolean;
  /** Enters or leaves full screen with the tile, or with its visible picture. */
  toggle(tile: HTMLElement | null, picture: Picture | null): void;
}

export function useFullScreen(): FullScreen {
  const [isFilling, setFilling] = useState(false);
  // Listens from the moment on at which the tile fills the page. `useEffect` would miss a key that follows at once.
  useLayoutEffect(() => {
    if (!isFilling) {
      return;
    }
    const onKey = (event: KeyboardEvent) => {
      if (event.key === "Escape" && !document.querySelector("dialog[open]")) {
        event.preventDefault();
        setFilling(false);
      }
    };
    addEventListener("keydown", onKey, { capture: true });
    return () => removeEventListener("keydown", onKey, { capture: true });
  }, [isFilling]);

  const toggle = (tile: HTMLElement | null, picture: Picture | null) => {
    if (document.fullscreenElement) {
      void document.exitFullscreen();
    } else if (isFilling) {
      setFilling(false);
    } else if (document.fullscreenEnabled) {
      if (tile) {
        fillScreen(tile);
      }
    } else if (!enterFullScreenOnPhone(picture)) {
      setFilling(true);
    }
  };
  return { isFilling, toggle };
}
