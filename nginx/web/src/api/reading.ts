// Reads something from the service for as long as a view shows it.
import { useEffect, useRef, useState } from "preact/hooks";

import { cameraChanges } from "./changes";

export interface Reading<T> {
  /** The latest answer, also while the next one is awaited; null before the first. */
  value: T | null;
  /** Why the latest attempt failed; null if it succeeded. */
  error: unknown;
}

interface Timing {
  /** Milliseconds to wait before reading, as while the user types. */
  delay?: number;
  /** Milliseconds after which a failed attempt is repeated; without it, it is not repeated. */
  retry?: number;
  /** Milliseconds after which every attempt is repeated, unless the tab is hidden. */
  every?: number;
}

/**
 * Calls `read` when it is another function than before, after every change of a camera, and when
 * `again` is called. Answers to earlier calls are ignored.
 */
export function useReading<T>(
  read: () => Promise<T>,
  { delay = 0, retry, every }: Timing = {},
): Reading<T> & { again: () => void } {
  const [reading, setReading] = useState<Reading<T>>({ value: null, error: null });
  const again = useRef<() => void>(() => undefined);
  useEffect(() => {
    let latest = 0;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const plan = (call: () => Promise<void>, after: number | undefined) => {
      clearTimeout(timer);
      timer = after === undefined ? undefined : setTimeout(call, after);
    };
    const attempt = async () => {
      if (every !== undefined && document.hidden) {
        plan(attempt, every);
        return;
      }
      latest += 1;
      const call = latest;
      const isLatest = () => call === latest;
      try {
        const value = await read();
        if (isLatest()) {
          setReading({ value, error: null });
          plan(attempt, every);
        }
      } catch (error) {
        if (isLatest()) {
          setReading((before) => ({ ...before, error }));
          plan(attempt, every ?? retry);
        }
      }
    };
    again.current = () => void attempt();
    const stop = cameraChanges.subscribe(() => (delay > 0 ? plan(attempt, delay) : void attempt()));
    return () => {
      latest += 1; // Outdates the call in progress.
      stop();
      clearTimeout(timer);
    };
  }, [read, delay, retry, every]);
  return { ...reading, again: () => again.current() };
}
