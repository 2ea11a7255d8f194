// The times without recordings.
import type { View } from "./scale";

/** Returns the times between the spans within a time. */
export function gapsIn(spans: View[], { from, to }: View): View[] {
  const gaps: View[] = [];
  let at = from;
  for (const span of spans) {
    if (span.to <= from || span.from >= to) {
      continue;
    }
    if (span.from > at) {
      gaps.push({ from: at, to: span.from });
    }
    at = Math.max(at, span.to);
  }
  if (at < to) {
    gaps.push({ from: at, to });
  }
  return gaps;
}

/** Returns whether there is a recording at a date. */
export function isRecorded(spans: View[], date: number): boolean {
  return spans.some(({ from, to }) => from <= date && date < to);
}

/** Returns the date closest to `date` at which there is a recording; null without recordings. */
export function nearestIn(spans: View[], date: number): number | null {
  const dates = spans.map(({ from, to }) => Math.min(Math.max(date, from), to - 1));
  return dates.reduce<number | null>(
    (best, each) => (best === null || Math.abs(each - date) < Math.abs(best - date) ? each : best),
    null,
  );
}
