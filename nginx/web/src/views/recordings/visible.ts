// The visible time of the time line. The page's address has the date that is shown and the length of the visible time.
import { effect } from "@preact/signals";
import {
  type StateUpdater,
  useCallback,
  useEffect,
  useLayoutEffect,
  useRef,
  useState,
} from "preact/hooks";

import { dayView, lengthOf, showing, type View, zoomed } from "./scale";
import type { Session } from "./session";

/** Pause before the length is written to the address, because browsers limit how often the address may change. */
const WRITE_MS = 300;

export interface Place {
  /** The date that is shown first, and whenever it changes. */
  at: number;
  /** The length of the visible time in seconds; null for a day. */
  seconds: number | null;
  /** Called when the user has chosen another date or length, or has paused. */
  onPlace: (at: number, seconds: number | null) => void;
}

/** Returns the visible time of this length that shows a date at the same share as the day does. */
export function viewAt(at: number, seconds: number | null): View {
  const day = dayView(at);
  return seconds === null ? day : zoomed(day, (seconds * 1000) / lengthOf(day), at);
}

/** Returns the length of the visible time in seconds; null for a day. */
export function secondsOf(view: View): number | null {
  const isDay = lengthOf(view) === lengthOf(dayView(view.from));
  return isDay ? null : Math.round(lengthOf(view) / 1000);
}

/** Returns the visible time, which is `limit` at first, or without a limit what the address says. */
export function useVisible(
  session: Session,
  limit: View | null,
  { at, seconds, onPlace }: Place,
): [View, (view: StateUpdater<View>) => void] {
  const { group } = session;
  const [view, setView] = useState<View>(() => limit ?? viewAt(at, seconds));
  /**
   * What the address had at the last rendering, and what this view has written to it. They differ in a shared recording,
   * whose address has no date.
   */
  const read = useRef({ at, seconds });
  const written = useRef({ at, seconds });

  // Shows another date if the address has changed, but not if this view has changed it. An effect that runs after the page
  // has been painted would delay the picture.
  useLayoutEffect(() => {
    const before = read.current;
    const own = written.current;
    read.current = { at, seconds };
    if (before.at !== at || before.seconds !== seconds) {
      written.current = read.current;
    }
    if (seconds !== before.seconds && seconds !== own.seconds && seconds !== null) {
      setView(viewAt(at, seconds));
    }
    if (at !== before.at && at !== own.at) {
      setView((visible) => showing(visible, at));
      void session.seek(at);
    }
  });
  const write = useCallback(
    (date: number, visible: number | null) => {
      written.current = { at: date, seconds: visible };
      onPlace(date, visible);
    },
    [onPlace],
  );
  const note = useCallback(() => {
    const date = Math.round(group?.date.value ?? 0);
    if (date > 0 && date !== written.current.at) {
      write(date, written.current.seconds);
      // If nothing was recorded at the chosen date, another one is shown.
      setView((before) => showing(before, date));
    }
  }, [group, write]);
  useEffect(
    () =>
      group
        ? effect(() => {
            if (!group.isPlaying.value && !group.isSeeking.value) {
              // Not now, because the address must not depend on signals that this effect would then observe.
              queueMicrotask(note);
            }
          })
        : undefined,
    [group, note],
  );
  const length = limit ? null : secondsOf(view);
  useEffect(() => {
    if (length === written.current.seconds) {
      return;
    }
    const timer = setTimeout(() => {
      write(Math.round(group?.date.peek() || written.current.at), length);
    }, WRITE_MS);
    return () => clearTimeout(timer);
  }, [group, length, write]);
  // While recordings play, the view follows.
  useEffect(
    () =>
      group
        ? effect(() => {
            const date = group.date.value;
            if (group.isPlaying.value && date > 0) {
              setView((before) => showing(before, date));
            }
          })
        : undefined,
    [group],
  );
  return [view, setView];
}
