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
