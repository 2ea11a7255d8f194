// Pointer gestures on the time line: press to seek, drag to search, to select or to move, pinch and wheel to zoom.
import type { RefObject } from "preact";
import { useEffect, useRef } from "preact/hooks";

import { moved, type View, zoomed } from "./scale";

/** A movement of fewer pixels is a press. */
const PRESS_PIXELS = 5;
/** The zoom of a wheel's step. */
const WHEEL_ZOOM = 1.0015;

export type Drag = "scrub" | "pan" | "select" | "select-from" | "select-to";

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

interface Gesture {
  drag: Drag;
  startX: number;
  view: View;
  /** The date at which the drag began; the other end for a selection. */
  anchor: number;
  hasMoved: boolean;
  /** The mark that was pressed, as a date. */
  mark: number | null;
}

/** Handles the gestures on an element. Elements in it with `data-drag` choose the kind of a drag. */
export function useGestures(ref: RefObject<HTMLElement>, handlers: Handlers): void {
  const latest = useRef(handlers);
  latest.current = handlers;
  useEffect(() => {
    const element = ref.current;
    if (!element) {
      return;
    }
    const pointers = new Map<number, number>();
    let gesture: Gesture | null = null;
    let pinch: { distance: number; middle: number; view: View } | null = null;

    const shareAt = (x: number) => {
      const { left, width } = element.getBoundingClientRect();
      return (x - left) / Math.max(1, width);
    };
    const dateAt = (x: number, { from, to } = latest.current.view) =>
      from + shareAt(x) * (to - from);

    const dragOf = (event: PointerEvent): Drag => {
      const { isSelecting } = latest.current;
      const named = (event.target as Element).closest<HTMLElement>("[data-drag]")?.dataset.drag;
      if (named === "select-from" || named === "select-to" || named === "scrub") {
        return named;
      }
      if (isSelecting || event.shiftKey) {
        return "select";
      }
      return named === "pan" || event.pointerType !== "mouse" ? "pan" : "scrub";
    };
    const onDown = (event: PointerEvent) => {
      if (event.button !== 0) {
        return;
      }
      pointers.set(event.pointerId, event.clientX);
      element.setPointerCapture(event.pointerId);
      const [first, second] = [...pointers.values()];
      if (pointers.size === 2 && first !== undefined && second !== undefined) {
        gesture = null;
        const distance = Math.max(10, Math.abs(first - second));
        pinch = { distance, middle: (first + second) / 2, view: latest.current.view };
        return;
      }
      const drag = dragOf(event);
      const { selection, view } = latest.current;
      const other = drag === "select-from" ? selection?.to : selection?.from;
      const isEdge = drag === "select-from" || drag === "select-to";
      const anchor = (isEdge ? other : null) ?? dateAt(event.clientX);
      const mark = (event.target as Element).closest<HTMLElement>("[data-at]")?.dataset.at;
      gesture = {
        drag,
        startX: event.clientX,
        view,
        anchor,
        hasMoved: false,
        mark: mark ? Number(mark) : null,
      };
      latest.current.onHover(null, 0);
    };
    const onMove = (event: PointerEvent) => {
      const x = event.clientX;
      if (!pointers.has(event.pointerId)) {
        if (event.pointerType === "mouse") {
          latest.current.onHover(dateAt(x), shareAt(x));
        }
        return;
      }
      pointers.set(event.pointerId, x);
      if (pinch) {
        onPinch();
      } else if (gesture) {
        gesture.hasMoved ||= Math.abs(x - gesture.startX) >= PRESS_PIXELS;
        if (gesture.hasMoved) {
          onDrag(gesture, x);
        }
      }
    };
    const onPinch = () => {
      const [first, second] = [...pointers.values()];
      if (!pinch || first === undefined || second === undefined) {
        return;
      }
      const { view, distance, middle } = pinch;
      const now = Math.max(10, Math.abs(first - second));
      const date = dateAt(middle, view);
      const next = zoomed(view, distance / now, date);
      const shift = shareAt((first + second) / 2) - shareAt(middle);
      latest.current.onView(moved(next, -shift * (next.to - next.from)));
    };
    const onDrag = ({ drag, startX, view, anchor }: Gesture, x: number) => {
      const date = dateAt(x, view);
      if (drag === "pan") {
        latest.current.onView(moved(view, dateAt(startX, view) - date));
      } else if (drag === "scrub") {
        latest.current.onScrub(date);
      } else {
        latest.current.onSelect({ from: Math.min(anchor, date), to: Math.max(anchor, date) });
      }
    };
    const onUp = (event: PointerEvent) => {
      pointers.delete(event.pointerId);
      const ended = gesture;
      if (pinch) {
        pinch = pointers.size < 2 ? null : pinch;
        return;
      }
      gesture = null;
      if (!ended || event.type === "pointercancel") {
        return;
      }
      const { drag, hasMoved, mark } = ended;
      if (!hasMoved && !drag.startsWith("select-")) {
        latest.current.onSeek(mark ?? dateAt(event.clientX));
      } else if (hasMoved && drag === "scrub") {
        latest.current.onSeek(dateAt(event.clientX));
      }
    };
    const onLeave = () => latest.current.onHover(null, 0);
    const onWheel = (event: WheelEvent) => {
      event.preventDefault();
      const { view, onView } = latest.current;
      const isAcross = event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY);
      if (isAcross) {
        const pixels = event.deltaX || event.deltaY;
        const { width } = element.getBoundingClientRect();
        onView(moved(view, (pixels / Math.max(1, width)) * (view.to - view.from)));
      } else {
        const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 30 : 1;
        onView(zoomed(view, WHEEL_ZOOM ** (event.deltaY * lines), dateAt(event.clientX)));
      }
    };
    const listeners: [string, (event: never) => void][] = [
      ["pointerdown", onDown],
      ["pointermove", onMove],
      ["pointerup", onUp],
      ["pointercancel", onUp],
      ["pointerleave", onLeave],
    ];
    for (const [name, listener] of listeners) {
      element.addEventListener(name, listener as EventListener);
    }
    // Only a listener that is not passive can prevent that the page scrolls.
    element.addEventListener("wheel", onWheel, { passive: false });
    return () => {
      for (const [name, listener] of listeners) {
        element.removeEventListener(name, listener as EventListener);
      }
      element.removeEventListener("wheel", onWheel);
    };
  }, [ref]);
}
