// Pointer gestures on the time line: press to seek, drag to search, to select or to move, pinch and wheel to zoom.
import type { RefObject } from "preact";
import { useEffect, useRef } from "preact/hooks";

import { moved, type View, zoomed } from "./scale";

/** A movement of fewer pixels is a press. */
const PRESS_PIXELS = 5;
/** The zoom of a wheel's step. */
const WHEEL_ZOOM = 1.0015;
/** The height of a line in pixels, for wheels that count lines. */
const LINE_PIXELS = 30;
/** The smallest distance of two fingers in pixels with which a zoom is computed. */
const MIN_DISTANCE = 10;

/** What a drag does. */
type Drag = "scrub" | "pan" | "select" | "select-from" | "select-to";

export interface Handlers {
  view: View;
  selection: View | null;
  /** Whether a drag selects a time. */
  isSelecting: boolean;
  onView: (view: View) => void;
  /** Called while the user searches. */
  onScrub: (date: number) => void;
  /** Called when the user has chosen a date. */
  onSeek: (date: number) => void;
  onSelect: (selection: View) => void;
  /** Called with the date and the place below a mouse that is not pressed; null when it leaves. */
  onHover: (date: number | null, x: number) => void;
}

/** A drag or a press with one pointer. */
interface Gesture {
  drag: Drag;
  startX: number;
  /** The view when the gesture began. */
  view: View;
  /** The date at which the gesture began; for an edge of the selection, the other edge. */
  anchor: number;
  hasMoved: boolean;
  /** The date of the event whose mark was pressed; null without a mark. */
  mark: number | null;
}

/** A zoom with two fingers. */
interface Pinch {
  distance: number;
  middle: number;
  view: View;
}

/** Returns what the closest element says in a data attribute; undefined without such an element. */
function dataOf({ target }: Event, name: string): string | undefined {
  return (target as Element).closest<HTMLElement>(`[data-${name}]`)?.dataset[name];
}

/** The gestures on one element. Elements in it with `data-drag` choose what a drag does. */
class Gestures {
  handlers: Handlers;
  readonly #pointers = new Map<number, number>();
  #gesture: Gesture | null = null;
  #pinch: Pinch | null = null;

  constructor(
    private readonly element: HTMLElement,
    handlers: Handlers,
  ) {
    this.handlers = handlers;
  }

  listen(signal: AbortSignal): void {
    const { element } = this;
    element.addEventListener("pointerdown", (event) => this.#onDown(event), { signal });
    element.addEventListener("pointermove", (event) => this.#onMove(event), { signal });
    element.addEventListener("pointerup", (event) => this.#onUp(event), { signal });
    element.addEventListener("pointercancel", (event) => this.#onUp(event), { signal });
    element.addEventListener("pointerleave", () => this.handlers.onHover(null, 0), { signal });
    // Only a listener that is not passive can prevent that the page scrolls.
    const options = { signal, passive: false };
    element.addEventListener("wheel", (event) => this.#onWheel(event), options);
  }

  /** Returns the place of a pointer in the element, from 0 to 1. */
  #shareAt(x: number): number {
    const { left, width } = this.element.getBoundingClientRect();
    return (x - left) / Math.max(1, width);
  }

  #dateAt(x: number, { from, to } = this.handlers.view): number {
    return from + this.#shareAt(x) * (to - from);
  }

  #dragOf(event: PointerEvent): Drag {
    const named = dataOf(event, "drag");
    if (named === "select-from" || named === "select-to" || named === "scrub") {
      return named;
    }
    if (this.handlers.isSelecting || event.shiftKey) {
      return "select";
    }
    return named === "pan" || event.pointerType !== "mouse" ? "pan" : "scrub";
  }

  #onDown(event: PointerEvent): void {
    if (event.button !== 0) {
      return;
    }
    this.#pointers.set(event.pointerId, event.clientX);
    this.element.setPointerCapture(event.pointerId);
    this.handlers.onHover(null, 0);
    const { view } = this.handlers;
    if (this.#pointers.size === 2) {
      this.#gesture = null;
      this.#pinch = { ...this.#fingers(), view };
      return;
    }
    const mark = dataOf(event, "at");
    const drag = this.#dragOf(event);
    this.#gesture = {
      drag,
      startX: event.clientX,
      view,
      anchor: this.#anchorOf(drag) ?? this.#dateAt(event.clientX),
      hasMoved: false,
      mark: mark === undefined ? null : Number(mark),
    };
  }

  /** Returns the edge of the selection that stays while the other one is dragged. */
  #anchorOf(drag: Drag): number | undefined {
    const { selection } = this.handlers;
    if (drag === "select-from") {
      return selection?.to;
    }
    return drag === "select-to" ? selection?.from : undefined;
  }

  #onMove(event: PointerEvent): void {
    const x = event.clientX;
    if (!this.#pointers.has(event.pointerId)) {
      if (event.pointerType === "mouse") {
        this.handlers.onHover(this.#dateAt(x), this.#shareAt(x));
      }
      return;
    }
    this.#pointers.set(event.pointerId, x);
    if (this.#pinch) {
      this.#onPinch(this.#pinch);
    } else if (this.#gesture) {
      this.#onDrag(this.#gesture, x);
    }
  }

  /** Returns the distance of two fingers and the place between them, in pixels. */
  #fingers(): { distance: number; middle: number } {
    const [first = 0, second = 0] = [...this.#pointers.values()];
    const distance = Math.max(MIN_DISTANCE, Math.abs(first - second));
    return { distance, middle: (first + second) / 2 };
  }

  #onPinch({ view, distance, middle }: Pinch): void {
    const now = this.#fingers();
    const next = zoomed(view, distance / now.distance, this.#dateAt(middle, view));
    const shift = this.#shareAt(now.middle) - this.#shareAt(middle);
    this.handlers.onView(moved(next, -shift * (next.to - next.from)));
  }

  #onDrag(gesture: Gesture, x: number): void {
    const { drag, startX, view, anchor } = gesture;
    gesture.hasMoved ||= Math.abs(x - startX) >= PRESS_PIXELS;
    if (!gesture.hasMoved) {
      return;
    }
    const date = this.#dateAt(x, view);
    if (drag === "pan") {
      this.handlers.onView(moved(view, this.#dateAt(startX, view) - date));
    } else if (drag === "scrub") {
      this.handlers.onScrub(date);
    } else {
      this.handlers.onSelect({ from: Math.min(anchor, date), to: Math.max(anchor, date) });
    }
  }

  #onUp(event: PointerEvent): void {
    this.#pointers.delete(event.pointerId);
    if (this.#pinch) {
      this.#pinch = this.#pointers.size < 2 ? null : this.#pinch;
      return;
    }
    const ended = this.#gesture;
    this.#gesture = null;
    if (!ended) {
      return;
    }
    const { drag, hasMoved, mark } = ended;
    const isPress = !hasMoved && !drag.startsWith("select-");
    if (isPress && event.type !== "pointercancel") {
      this.handlers.onSeek(mark ?? this.#dateAt(event.clientX));
    } else if (hasMoved && drag === "scrub") {
      this.handlers.onSeek(this.#dateAt(event.clientX));
    }
  }

  #onWheel(event: WheelEvent): void {
    event.preventDefault();
    const { view, onView } = this.handlers;
    const unit = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? LINE_PIXELS : 1;
    const isAcross = event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY);
    if (isAcross) {
      const pixels = (event.deltaX || event.deltaY) * unit;
      const { width } = this.element.getBoundingClientRect();
      onView(moved(view, (pixels / Math.max(1, width)) * (view.to - view.from)));
    } else {
      onView(zoomed(view, WHEEL_ZOOM ** (event.deltaY * unit), this.#dateAt(event.clientX)));
    }
  }
}

/** Handles the gestures on an element. */
export function useGestures(ref: RefObject<HTMLElement>, handlers: Handlers): void {
  const gestures = useRef<Gestures | null>(null);
  if (gestures.current) {
    gestures.current.handlers = handlers;
  }
  const first = useRef(handlers);
  useEffect(() => {
    if (!ref.current) {
      return;
    }
    const ended = new AbortController();
    gestures.current = new Gestures(ref.current, first.current);
    gestures.current.listen(ended.signal);
    return () => ended.abort();
  }, [ref]);
}
