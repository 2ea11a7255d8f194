// Defines the element <stream-camera>.
import { StreamCamera } from "./element";

if (!customElements.get("stream-camera")) {
  customElements.define("stream-camera", StreamCamera);
}

export { StreamCamera };
