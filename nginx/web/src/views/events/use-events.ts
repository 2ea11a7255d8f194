// A hook with the list of events.
import { useCallback, useEffect, useRef, useState } from "preact/hooks";

import { type EventFilter, followEvents, listEvents } from "../../api/events";
import type { StoredEvent } from "../../api/types";
import { report } from "../error";
import { matches } from "./filter";
import { type Listed, merge, refreshed } from "./merge";

/** Pause before the list is requested again after an error. */
const RETRY_MS = 5000;

type List = Listed<StoredEvent>;

/** Requests the events that match the filter, and keeps the list up to date. */
export function useEvents(filter: EventFilter) {
  const [list, setList] = useState<List | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [attempt, setAttempt] = useState(0);
  const key = JSON.stringify(filter);
  const latest = useRef("");
  // biome-ignore lint/correctness/useExhaustiveDependencies: a further attempt requests the list again
  useEffect(() => {
    const shown: EventFilter = JSON.parse(key);
    let stop: (() => void) | undefined;
    let isOver = false;
    latest.current = key;
    const again = () => setAttempt((before) => before + 1);
    const begin = async () => {
      try {
        const page = await listEvents(shown, null);
        if (isOver) {
          return;
        }
        setList({ events: page.events, next: page.next ?? null });
        setError(null);
        const onEvent = (event: StoredEvent) =>
          setList((before) => before && withEvent(before, event, shown));
        stop = followEvents(shown, page.last_event_id, { onEvent, onMissed: again });
      } catch (cause) {
        if (!isOver) {
          setError(cause);
          const timer = setTimeout(again, RETRY_MS);
          stop = () => clearTimeout(timer);
        }
      }
    };
    void begin();
    return () => {
      isOver = true;
      stop?.();
    };
  }, [key, attempt]);
  // The service does not report marks that were set elsewhere, for example in another tab.
  useEffect(() => {
    const refresh = async () => {
      if (!document.hidden) {
        const { events, next, last_event_id } = await listEvents(JSON.parse(key), null);
        if (latest.current === key) {
          const page = { events, next: next ?? null };
          setList((before) => before && refreshed(before, page, last_event_id));
        }
      }
    };
    const onVisibility = () => void refresh().catch(setError);
    document.addEventListener("visibilitychange", onVisibility);
    return () => document.removeEventListener("visibilitychange", onVisibility);
  }, [key]);
  const more = useCallback(async () => {
    if (!list?.next) {
      return;
    }
    try {
      const page = await listEvents(JSON.parse(key), list.next);
      if (latest.current === key) {
        setList((before) => ({
          events: [...(before?.events ?? []), ...page.events],
          next: page.next ?? null,
        }));
      }
    } catch (cause) {
      report(cause);
    }
  }, [key, list]);
  const see = useCallback(
    (isSeen: (event: StoredEvent) => boolean) =>
      setList(
        (before) =>
          before && {
            ...before,
            events: before.events.map((event) =>
              isSeen(event) ? { ...event, seen: true } : event,
            ),
          },
      ),
    [],
  );
  return { list, error, more, see };
}

function withEvent(list: List, event: StoredEvent, filter: EventFilter): List {
  if (!matches(event, filter)) {
    return list;
  }
  return { ...list, events: merge(list.events, event, list.next !== null) };
}
