// A hook that requests data from the service while a view shows them.
import { useEffect, useRef, useState } from "preact/hooks";

import { cameraChanges } from "./changes";

export interface Reading<T> {
  /** The latest response, even while the next request is in progress; null before the first response. */
  value: T | null;
  /** The error of the latest attempt; null if that attempt succeeded. */
  error: unknown;
}

interface Timing {
  /** Milliseconds to wait before each request, so that not every typed letter causes one. */
  delay?: number;
  /**
   * Milliseconds after which a failed request is repeated; if omitted, failed requests are not repeated.
   */
  retry?: number;
  /** Milliseconds after which every request is repeated, unless the tab is hidden. */
  every?: number;
}

/**
 * Returns the latest result of `read`. Calls `read` at first, whenever the caller passes a different
 * function, after every change of a camera, and when `again` is called. The result of a call is ignored if
 * a later call has begun.
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
      latest += 1; // The result of a call in progress is ignored.
      stop();
      clearTimeout(timer);
    };
  }, [read, delay, retry, every]);
  return { ...reading, again: () => again.current() };
}
