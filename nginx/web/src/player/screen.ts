// The elements of a tile that show its picture. While a player changes to another transport, there are two: the old
// one stays visible until the new one has a picture.
import { signal } from "@preact/signals-core";

export type Picture = HTMLVideoElement | HTMLCanvasElement;

/** Returns the size of an element's picture in pixels; the width is 0 while it has no picture. */
export function sizeOf(element: Picture): { width: number; height: number } {
  if (element instanceof HTMLCanvasElement) {
    const hasPicture = element.dataset.picture !== undefined;
    return { width: hasPicture ? element.width : 0, height: element.height };
  }
  const hasPicture = element.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA;
  return { width: hasPicture ? element.videoWidth : 0, height: element.videoHeight };
}

/** Returns whether an element has what it needs to show more than its present picture. */
export function canContinue(element: Picture): boolean {
  const isVideo = element instanceof HTMLVideoElement;
  return !isVideo || element.readyState >= HTMLMediaElement.HAVE_FUTURE_DATA;
}

export class Screen {
  /** The visible element. */
  readonly shown;
  private readonly used = new Set<Picture>();
  private readonly free: Picture[] = [];

  /** `first` is the video element that the tile itself has. It has the poster. */
  constructor(private readonly first: HTMLVideoElement) {
    this.shown = signal<Picture>(first);
    this.free.push(first);
    first.dataset.shown = "";
  }

  takeVideo(): HTMLVideoElement {
    const found = this.take((element) => element instanceof HTMLVideoElement);
    return this.label((found as HTMLVideoElement | undefined) ?? this.add(this.makeVideo()));
  }

  /** Returns a canvas without a picture. */
  takeCanvas(): HTMLCanvasElement {
    const found = this.take((element) => element instanceof HTMLCanvasElement);
    const canvas =
      (found as HTMLCanvasElement | undefined) ?? this.add(document.createElement("canvas"));
    canvas.role = "img";
    return this.label(canvas);
  }

  /** Gives an element the label of the tile's own video element. Until `show`, assistive technology ignores it. */
  private label<Element extends Picture>(element: Element): Element {
    element.ariaLabel = this.first.ariaLabel;
    element.ariaHidden = element === this.shown.peek() ? null : "true";
    return element;
  }

  /** Makes the element visible instead of the present one. */
  show(element: Picture): void {
    const before = this.shown.peek();
    delete before.dataset.shown;
    before.ariaHidden = "true";
    element.dataset.shown = "";
    element.ariaHidden = null;
    element.ariaLabel = this.first.ariaLabel;
    this.shown.value = element;
  }

  /** Removes the picture from an element that `takeVideo` or `takeCanvas` has returned. The element can be used again. */
  release(element: Picture): void {
    if (!this.used.delete(element)) {
      return;
    }
    if (element === this.shown.peek()) {
      this.show(this.first); // It has the poster.
    }
    this.free.push(element);
    if (element instanceof HTMLCanvasElement) {
      delete element.dataset.picture;
      element.width = 0;
      return;
    }
    element.removeAttribute("src");
    element.srcObject = null;
    element.load();
    element.playbackRate = 1;
  }

  private take(isRight: (element: Picture) => boolean): Picture | undefined {
    const index = this.free.findIndex(isRight);
    const [element] = index < 0 ? [] : this.free.splice(index, 1);
    if (element) {
      this.used.add(element);
    }
    return element;
  }

  private add<Element extends Picture>(element: Element): Element {
    this.first.after(element);
    this.used.add(element);
    return element;
  }

  private makeVideo(): HTMLVideoElement {
    const video = document.createElement("video");
    video.muted = true;
    video.playsInline = true;
    video.autoplay = true;
    video.disableRemotePlayback = true;
    return video;
  }
}
