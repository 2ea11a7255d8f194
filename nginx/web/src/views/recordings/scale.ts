// The scale of the time line: the visible time, zoom, and marks of hours, minutes or seconds.
import { dayAfter, dayOf } from "./days";

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
/** The shortest and the longest visible time. The longest one is the API's limit. */
const SHORTEST = 30 * SECOND;
const LONGEST = 31 * 24 * HOUR;
/** Steps between two marks. */
const STEPS = [
  ...[1, 5, 10, 30].map((count) => count * SECOND),
  ...[1, 5, 10, 30].map((count) => count * MINUTE),
  ...[1, 2, 3, 6, 12].map((count) => count * HOUR),
];
/** All time zones differ from UTC by a multiple of this. */
const ZONE_STEP = 15 * MINUTE;

/** The visible time, in Unix milliseconds. */
export interface View {
  from: number;
  to: number;
}

export function lengthOf({ from, to }: View): number {
  return to - from;
}

/** Returns the time between two edges, in any order; a minute if only one edge is chosen. */
export function spanOf({ from, to }: Partial<View>): View {
  const begin = from ?? (to ?? 0) - MINUTE;
  const end = to ?? begin + MINUTE;
  return begin === end
    ? { from: begin, to: begin + MINUTE }
    : { from: Math.min(begin, end), to: Math.max(begin, end) };
}

/** Returns the view of the local day of a date. */
export function dayView(date: number): View {
  return { from: dayOf(date), to: dayAfter(date) };
}

/** Zooms by a factor: below 1 to see more details. `at` keeps its place. */
export function zoomed({ from, to }: View, factor: number, at: number): View {
  const length = Math.min(LONGEST, Math.max(SHORTEST, (to - from) * factor));
  const share = (at - from) / (to - from);
  const begin = Math.round(at - share * length);
  return { from: begin, to: Math.round(begin + length) };
}

export function moved({ from, to }: View, by: number): View {
  return { from: Math.round(from + by), to: Math.round(to + by) };
}

/** Returns the view, moved as far as necessary to show a date. */
export function showing(view: View, date: number): View {
  const { from, to } = view;
  if (date >= from && date <= to) {
    return view;
  }
  const length = lengthOf(view);
  // While recordings play, the view moves on by most of its length.
  return date > to && date < to + length
    ? { from: date - length * 0.1, to: date + length * 0.9 }
    : { from: date - length / 2, to: date + length / 2 };
}

/** Returns the place of a date in the view, from 0 to 1; less or more outside. */
export function shareOf({ from, to }: View, date: number): number {
  return (date - from) / (to - from);
}

export interface Mark {
  date: number;
  /** Whether the mark is the beginning of a day. */
  isDay: boolean;
}

/** Returns the marks of the scale, of which there are at most about `count`. */
export function marksOf(view: View, count: number): Mark[] {
  const step = STEPS.find((each) => lengthOf(view) / each <= count);
  return step ? timeMarks(view, step) : dayMarks(view, count);
}

/** Returns marks at the local times that are multiples of a step of at most half a day. */
function timeMarks({ from, to }: View, step: number): Mark[] {
  const marks: Mark[] = [];
  const fine = Math.min(step, ZONE_STEP);
  for (let date = Math.ceil(from / fine) * fine; date <= to; date += fine) {
    const time = new Date(date);
    const ofDay = time.getHours() * HOUR + time.getMinutes() * MINUTE + time.getSeconds() * SECOND;
    if (ofDay % step === 0) {
      marks.push({ date, isDay: ofDay === 0 });
    }
  }
  return marks;
}

function dayMarks({ from, to }: View, count: number): Mark[] {
  const days = Math.max(1, Math.ceil((to - from) / (24 * HOUR) / count));
  const marks: Mark[] = [];
  for (let date = dayOf(from); date <= to; date = dayAfter(date, days)) {
    if (date >= from) {
      marks.push({ date, isDay: true });
    }
  }
  return marks;
}
