// The full screen of an element. Where the browser cannot show the element or its picture in full screen, as on iPhones
// with a canvas, the element fills the page instead.
import type { Picture } from "../../../nginx/web/src/player/screen";
import { enterFullScreenOnPhone } from "../../../nginx/web/src/player/transports/phone";

/** The attribute of an element that fills the page. Its style sheet depends on it. */
const FILLS = "data-fills-page";

export class FullScreen {
  private readonly onKey = (event: KeyboardEvent) => {
    if (event.key === "Escape") {
      event.preventDefault();
      this.leavePage();
    }
  };

  constructor(private readonly element: HTMLElement) {}

  /** Fills the screen or the page. Rejects if the browser does not permit it. */
  async enter(picture: Picture): Promise<void> {
    if (document.fullscreenEnabled) {
      await this.element.requestFullscreen();
    } else if (!enterFullScreenOnPhone(picture)) {
      this.element.setAttribute(FILLS, "");
      addEventListener("keydown", this.onKey, { capture: true });
    }
  }

  /** Enters or leaves the full screen. */
  async toggle(picture: Picture): Promise<void> {
    if (document.fullscreenElement) {
      await document.exitFullscreen();
    } else if (this.element.hasAttribute(FILLS)) {
      this.leavePage();
    } else {
      await this.enter(picture).catch(() => undefined);
    }
  }

  /** No longer fills the page. */
  leavePage(): void {
    this.element.removeAttribute(FILLS);
    removeEventListener("keydown", this.onKey, { capture: true });
  }
}
