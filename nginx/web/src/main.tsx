// The entry point of the page.
import { render } from "preact";

import { identify } from "./api/caller";
import { App } from "./app";
import { initLanguage } from "./ui/i18n";
import { initTheme } from "./ui/theme";

// Tiles on which other transports fail must not wait for hls.js.
addEventListener("load", () => import("./player/transports/hls").catch(() => undefined));

const root = document.getElementById("app");
if (root) {
  initTheme();
  const identified = identify();
  await initLanguage();
  // Waits at most 300 ms for the caller, so that the page usually does not show an empty frame first.
  await Promise.race([identified, new Promise((resolve) => setTimeout(resolve, 300))]);
  render(<App />, root);
}
