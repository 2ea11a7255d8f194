// Defines the element <stream-camera>, in a browser.
import { StreamCamera } from "./element";

if (globalThis.customElements && !customElements.get("stream-camera")) {
  customElements.define("stream-camera", StreamCamera);
}

export { StreamCamera };
