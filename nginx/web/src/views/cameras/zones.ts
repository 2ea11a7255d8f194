// Zones of motion: changes of their corners, and corners as text. Corners are parts of the picture's width and height,
// from 0 to 1.
import type { MotionZone } from "../../api/types";

/** A corner: its parts of the picture's width and height. */
type Corner = number[];

/** The API's limits. */
export const MAX_ZONES = 16;
export const MIN_CORNERS = 3;
export const MAX_CORNERS = 32;
/** Corners are rounded to a thousandth of the picture. The service compares pictures of 160×90 pixels. */
const STEPS = 1000;

/** The shapes of new zones: left, top, right and bottom. */
const SHAPES = {
  centre: [0.25, 0.25, 0.75, 0.75],
  whole: [0, 0, 1, 1],
  upper: [0, 0, 1, 0.5],
  lower: [0, 0.5, 1, 1],
  left: [0, 0, 0.5, 1],
  right: [0.5, 0, 1, 1],
} as const;

export type Shape = keyof typeof SHAPES;
export const SHAPE_NAMES = Object.keys(SHAPES) as Shape[];

export function newZone(effect: MotionZone["effect"], shape: Shape): MotionZone {
  const [left, top, right, bottom] = SHAPES[shape];
  const corners = [
    [left, top],
    [right, top],
    [right, bottom],
    [left, bottom],
  ];
  return { effect, corners };
}

/** Returns the nearest position that a corner can have. */
function placed(value: number): number {
  return Math.round(Math.min(1, Math.max(0, value)) * STEPS) / STEPS;
}

/** Returns the corners after one of them was moved. */
export function withMovedCorner(corners: Corner[], n: number, dx: number, dy: number): Corner[] {
  return corners.map((corner, index) => {
    const [x = 0, y = 0] = corner;
    return index === n ? [placed(x + dx), placed(y + dy)] : corner;
  });
}

/** Returns the corners after all of them were moved. The zone keeps its shape, and stays inside of the picture. */
export function withAllMoved(corners: Corner[], dx: number, dy: number): Corner[] {
  const inside = (axis: number, by: number) => {
    const values = corners.map((corner) => corner[axis] ?? 0);
    return Math.min(1 - Math.max(...values), Math.max(-Math.min(...values), by));
  };
  const [right, down] = [inside(0, dx), inside(1, dy)];
  return corners.map(([x = 0, y = 0]) => [placed(x + right), placed(y + down)]);
}

/** Returns the middle of the edge that begins at a corner. */
export function middleOf(corners: Corner[], n: number): Corner {
  const [x = 0, y = 0] = corners[n] ?? [];
  const [nextX = 0, nextY = 0] = corners[(n + 1) % corners.length] ?? [];
  return [placed((x + nextX) / 2), placed((y + nextY) / 2)];
}

/** Returns the corners with a further one in the middle of the edge that begins at corner `n`. */
export function withCornerAfter(corners: Corner[], n: number): Corner[] {
  const withMiddle = (corner: Corner, index: number) =>
    index === n ? [corner, middleOf(corners, n)] : [corner];
  return corners.length < MAX_CORNERS ? corners.flatMap(withMiddle) : corners;
}

export function withoutCorner(corners: Corner[], n: number): Corner[] {
  return corners.length > MIN_CORNERS ? corners.filter((_, index) => index !== n) : corners;
}

/** Returns corners in percent, such as `0 40; 100 40; 50 99.5`. */
export function textOf(corners: Corner[]): string {
  return corners.map((corner) => corner.map(percent).join(" ")).join("; ");
}

/** Returns a part of the picture in percent, with at most one digit after the point. */
export function percent(part: number): string {
  return String(Math.round(part * STEPS) / (STEPS / 100));
}

/** Returns the corners in a text in the form of `textOf`, also with decimal commas; null if the text is invalid. */
export function parseCorners(text: string): Corner[] | null {
  const corners = text
    .replaceAll(",", ".")
    .split(";")
    .map((pair) => pair.trim())
    .filter(Boolean)
    .map((pair) => pair.split(/\s+/).map((value) => Number(value) / 100));
  const isCorner = (corner: Corner) =>
    corner.length === 2 && corner.every((value) => value >= 0 && value <= 1);
  const isRight = corners.length >= MIN_CORNERS && corners.length <= MAX_CORNERS;
  return isRight && corners.every(isCorner) ? corners.map((corner) => corner.map(placed)) : null;
}
