// Converts between positions in a playlist of recordings and dates. A player's time line leaves out gaps, so only the
// dates of the playlist are the same for all cameras.

/** A segment of a playlist. */
export interface Segment {
  /** The position of the beginning in seconds. */
  start: number;
  /** The length in seconds. */
  duration: number;
  /** The date of the beginning in Unix milliseconds; null if it is not known. */
  programDateTime: number | null;
}

function endOf({ duration, programDateTime }: Segment): number {
  return (programDateTime ?? 0) + duration * 1000;
}

/** Returns the last element for which `isBefore` is true. The elements for which it is true come first. */
function lastIndex<T>(list: readonly T[], isBefore: (element: T) => boolean): number {
  let [low, high] = [0, list.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (isBefore(list[middle] as T)) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low - 1;
}

/** Returns the date of the picture at a position; null if the playlist has no segments. */
export function dateAt(segments: readonly Segment[], position: number): number | null {
  const index = lastIndex(segments, ({ start }) => start <= position);
  const segment = segments[Math.max(0, index)];
  if (segment?.programDateTime == null) {
    return null;
  }
  const offset = Math.min(Math.max(0, position - segment.start), segment.duration);
  return segment.programDateTime + offset * 1000;
}

/** Returns the beginning of the segment that contains a position. In a playlist of keyframes, each segment is one. */
export function keyframeOf(segments: readonly Segment[], position: number): number {
  const index = lastIndex(segments, ({ start }) => start <= position);
  return segments[Math.max(0, index)]?.start ?? position;
}

export interface Place {
  /** The position in seconds. */
  position: number;
  /** The date of the picture at the position, which is later than the requested date if that is in a gap. */
  date: number;
}

/**
 * Returns the position of the picture that was shown at a date, or of the first one after it if the date is in a gap;
 * null if the date is before the first segment or after the last one.
 */
export function placeOf(segments: readonly Segment[], date: number): Place | null {
  const first = segments[0];
  if (!first || (first.programDateTime ?? 0) > date) {
    return null;
  }
  const index = lastIndex(segments, ({ programDateTime: at }) => (at ?? 0) <= date);
  const segment = segments[index] as Segment;
  const begin = segment.programDateTime ?? 0;
  if (date < endOf(segment)) {
    return { position: segment.start + (date - begin) / 1000, date };
  }
  const next = segments[index + 1];
  return next ? { position: next.start, date: next.programDateTime ?? 0 } : null;
}

/** Returns the date of the end of a playlist; null if it has no segments. */
export function endDate(segments: readonly Segment[]): number | null {
  const last = segments.at(-1);
  return last?.programDateTime == null ? null : endOf(last);
}
