// Requests what is known about recordings in the visible time: when there are any, how much happens, and events.
import { useEffect, useRef, useState } from "preact/hooks";

import type { ActivityPart, RecordedActivity, StoredEvent, Timeline } from "../../api/types";
import { queryFor, readFile, type Source } from "../../playback/recordings/source";
import { lengthOf, type View } from "./scale";

const HOUR = 3600 * 1000;
/** The API's limits of the time of a request. */
const LONGEST = 31 * 24 * HOUR;
const LONGEST_ACTIVITY = 48 * HOUR;
/** Pause before a request, so that a zoom sends few requests. */
const DELAY_MS = 150;
/** Pause between requests for a time that is still being recorded. */
const REFRESH_MS = 5000;
const RETRY_MS = 3000;

export interface RecordedSpan {
  from: number;
  to: number;
  isLocked: boolean;
  hasEvent: boolean;
}

export interface Footage {
  spans: RecordedSpan[];
  events: StoredEvent[];
  /** Whether the service has left out later events, because there are too many. */
  hasMoreEvents: boolean;
  activity: ActivityPart[];
  /** The beginning of the first recording and the end of the last one; null without recordings. */
  range: [number, number] | null;
}

export interface FootageOf {
  /** The footage by stream; null before the first response. */
  streams: ReadonlyMap<string, Footage> | null;
  error: unknown;
}

async function read(source: Source, stream: string, { from, to }: View): Promise<Footage> {
  const query = queryFor(source, from, to);
  const hasActivity = to - from <= LONGEST_ACTIVITY;
  const [timeline, activity] = await Promise.all([
    readFile<Timeline>(source, stream, "timeline.json", query),
    hasActivity
      ? readFile<RecordedActivity>(source, stream, "activity.json", query)
      : { parts: [] },
  ]);
  const { first, last } = timeline;
  return {
    spans: timeline.spans.map((span) => ({
      from: Date.parse(span.from),
      to: Date.parse(span.to),
      isLocked: span.locked,
      hasEvent: span.event,
    })),
    events: timeline.events,
    hasMoreEvents: timeline.has_more_events,
    activity: activity.parts,
    range: first && last ? [Date.parse(first), Date.parse(last)] : null,
  };
}

/** Returns the time to request for a view, so that small movements need no further request. */
function requestFor(view: View): View {
  const margin = Math.min(lengthOf(view) / 2, (LONGEST - lengthOf(view)) / 2);
  return { from: Math.floor(view.from - margin), to: Math.ceil(view.to + margin) };
}

/**
 * Returns the footage around the visible time. `change` is a number that changes when the recordings were changed, for
 * example deleted.
 */
export function useFootage(
  source: Source,
  streams: string[],
  view: View,
  change: number,
): FootageOf & { requested: View } {
  const [state, setState] = useState<FootageOf>({ streams: null, error: null });
  const [requested, setRequested] = useState(() => requestFor(view));
  const isFirst = useRef(true);
  const { from, to } = view;
  // A new request is needed if the view leaves the requested time, or shows much more or less.
  useEffect(() => {
    setRequested((before) => {
      const isInside = from >= before.from && to <= before.to;
      const isFine = lengthOf(before) <= 4 * (to - from);
      return isInside && isFine ? before : requestFor({ from, to });
    });
  }, [from, to]);
  const ids = streams.join();
  // biome-ignore lint/correctness/useExhaustiveDependencies: a change requests the footage again
  useEffect(() => {
    let isOver = false;
    let timer: ReturnType<typeof setTimeout>;
    const attempt = async () => {
      let after = REFRESH_MS;
      try {
        const list = ids.split(",").filter(Boolean);
        const found = await Promise.all(list.map((id) => read(source, id, requested)));
        if (!isOver) {
          setState({
            streams: new Map(list.map((id, n) => [id, found[n] as Footage])),
            error: null,
          });
        }
      } catch (error) {
        after = RETRY_MS;
        if (!isOver) {
          setState((before) => ({ ...before, error }));
        }
      }
      if (!isOver && (requested.to > Date.now() - HOUR || after === RETRY_MS)) {
        timer = setTimeout(attempt, after);
      }
    };
    timer = setTimeout(attempt, isFirst.current ? 0 : DELAY_MS);
    isFirst.current = false;
    return () => {
      isOver = true;
      clearTimeout(timer);
    };
  }, [source, ids, requested, change]);
  return { ...state, requested };
}
