// The picture of a camera, on which zones are drawn. Corners are moved, added and removed by pointer, touch or keyboard.
import { useRef } from "preact/hooks";

import type { MotionZone } from "../../api/types";
import { t } from "../../ui/i18n";
import {
  middleOf,
  percent,
  withAllMoved,
  withCornerAfter,
  withMovedCorner,
  withoutCorner,
} from "./zones";

/** The movement of a corner by an arrow key, in parts of the picture; with Shift, the second one. */
const STEP = 0.01;
const LARGE_STEP = 0.05;

const DIRECTIONS: Record<string, [number, number]> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

/** A zone, or one of its corners, that follows the pointer. */
interface Drag {
  zone: number;
  /** The corner; null for the whole zone. */
  corner: number | null;
  /** The corners at the beginning. */
  corners: number[][];
  x: number;
  y: number;
}

interface ZonePictureProps {
  zones: MotionZone[];
  /** The zone whose corners are visible; null without a zone. */
  selected: number | null;
  /** The corner that the buttons below the picture change. */
  corner: number;
  /** The URL of the picture; null without a picture. */
  picture: string | null;
  onSelect: (zone: number) => void;
  onCorner: (corner: number) => void;
  onCorners: (zone: number, corners: number[][]) => void;
  onError: () => void;
}

export function ZonePicture(props: ZonePictureProps) {
  const { zones, selected, corner, picture, onSelect, onCorner, onCorners, onError } = props;
  const box = useRef<HTMLDivElement>(null);
  const drag = useRef<Drag | null>(null);
  const zone = selected === null ? undefined : zones[selected];
  const focusCorner = (n: number) =>
    requestAnimationFrame(() =>
      box.current?.querySelector<HTMLElement>(`[data-corner="${n}"]`)?.focus(),
    );

  const onPointerDown = (event: PointerEvent) => {
    const isUsable = event.button === 0 && drag.current === null;
    const begun = isUsable ? dragOf(event, zones) : null;
    if (!begun) {
      return;
    }
    box.current?.setPointerCapture(event.pointerId);
    drag.current = begun;
    onSelect(begun.zone);
    onCorner(begun.corner ?? 0);
    if (begun.corners !== zones[begun.zone]?.corners) {
      onCorners(begun.zone, begun.corners);
    }
    if (begun.corner !== null) {
      focusCorner(begun.corner);
    }
  };
  const onPointerMove = (event: PointerEvent) => {
    const size = box.current?.getBoundingClientRect();
    const from = drag.current;
    if (!from || !size?.width) {
      return;
    }
    const dx = (event.clientX - from.x) / size.width;
    const dy = (event.clientY - from.y) / size.height;
    const moved =
      from.corner === null
        ? withAllMoved(from.corners, dx, dy)
        : withMovedCorner(from.corners, from.corner, dx, dy);
    onCorners(from.zone, moved);
  };
  const onPointerUp = () => {
    drag.current = null;
  };

  const onKey = (event: KeyboardEvent, n: number) => {
    if (selected === null || !zone) {
      return;
    }
    const direction = DIRECTIONS[event.key];
    if (direction) {
      const step = event.shiftKey ? LARGE_STEP : STEP;
      const [dx, dy] = direction.map((part) => part * step) as [number, number];
      onCorners(selected, withMovedCorner(zone.corners, n, dx, dy));
    } else if (event.key === "Delete" || event.key === "Backspace") {
      const left = withoutCorner(zone.corners, n);
      onCorners(selected, left);
      focusCorner(Math.min(n, left.length - 1));
    } else if (event.key === "Insert" || event.key === "+") {
      onCorners(selected, withCornerAfter(zone.corners, n));
      focusCorner(n + 1);
    } else {
      return;
    }
    event.preventDefault();
  };

  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: the corners have keys, and the list below has fields
    <div
      ref={box}
      class={picture ? "zone-picture" : "zone-picture zone-empty"}
      onPointerDown={onPointerDown}
      onPointerMove={onPointerMove}
      onPointerUp={onPointerUp}
      onPointerCancel={onPointerUp}
      onMouseDown={(event) => event.preventDefault()}
    >
      {picture && <img src={picture} alt={t("form.still")} draggable={false} onError={onError} />}
      <Shapes zones={zones} selected={selected} />
      {zone?.corners.map((_, n) => (
        <i
          // biome-ignore lint/suspicious/noArrayIndexKey: edges have no other identity
          key={n}
          class="edge-dot"
          data-zone={selected}
          data-edge={n}
          style={placeOf(middleOf(zone.corners, n))}
          aria-hidden="true"
        />
      ))}
      {zone?.corners.map(([x = 0, y = 0], n) => (
        <button
          // biome-ignore lint/suspicious/noArrayIndexKey: corners have no other identity
          key={n}
          type="button"
          class={n === corner ? "zone-corner zone-chosen" : "zone-corner"}
          data-zone={selected}
          data-corner={n}
          style={placeOf([x, y])}
          aria-label={t("zones.corner", { n: n + 1, x: percent(x), y: percent(y) })}
          onFocus={() => onCorner(n)}
          onKeyDown={(event) => onKey(event, n)}
        />
      ))}
    </div>
  );
}

/** Returns the place of a corner, or of the dot on an edge, in the box of the picture. */
function placeOf([x = 0, y = 0]: number[]): { left: string; top: string } {
  return { left: `${x * 100}%`, top: `${y * 100}%` };
}

/** Returns what a press begins to move, with the corner that it adds; null for a press outside of all zones. */
function dragOf(
  { target, clientX: x, clientY: y }: PointerEvent,
  zones: MotionZone[],
): Drag | null {
  const { zone, corner, edge } = (target as HTMLElement).dataset;
  const begun = { zone: Number(zone ?? Number.NaN), x, y };
  const corners = zones[begun.zone]?.corners;
  if (!corners) {
    return null;
  }
  if (edge !== undefined) {
    const added = withCornerAfter(corners, Number(edge));
    return added === corners ? null : { ...begun, corners: added, corner: Number(edge) + 1 };
  }
  return { ...begun, corners, corner: corner === undefined ? null : Number(corner) };
}

/** The zones as polygons. The selected zone is above the others. */
function Shapes({ zones, selected }: Pick<ZonePictureProps, "zones" | "selected">) {
  const order = zones
    .map((zone, n) => ({ zone, n }))
    .sort((a, b) => Number(a.n === selected) - Number(b.n === selected));
  return (
    <svg class="zone-shapes" viewBox="0 0 1 1" preserveAspectRatio="none" aria-hidden="true">
      {order.map(({ zone, n }) => (
        <polygon
          key={n}
          class={`${zone.effect} ${n === selected ? "zone-selected" : ""}`}
          points={zone.corners.map((each) => each.join(",")).join(" ")}
          data-zone={n}
        />
      ))}
    </svg>
  );
}
