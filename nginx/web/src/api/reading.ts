// A hook that requests data from the service while a view shows the data.
import { useCallback, useEffect, useRef, useState } from "preact/hooks";

import { cameraChanges } from "./changes";

export interface Reading<T> {
  /** The latest response, even while the next request is in progress; null before the first response. */
  value: T | null;
  /** The error of the latest attempt; null if that attempt succeeded. */
  error: unknown;
}

interface Timing {
  /**
   * Milliseconds to wait before the first request, and before each request that a new function or a change
   * of a camera causes. So a search does not send a request for every letter that the user types.
   */
  delay?: number;
  /**
   * Milliseconds after which a failed request is repeated, unless `every` is set. Without `retry` and
   * `every`, failed requests are not repeated.
   */
  retry?: number;
  /** Milliseconds between the end of a request and the next request. A hidden tab sends no requests. */
  every?: number;
}

/**
 * Returns the latest result of `read`, and a function `again` that calls `read` at once. The hook itself
 * calls `read` when the component is first shown, when the caller passes a different function, after every
 * change of a camera, and at the times that `Timing` describes. The result of a call is
 * ignored if a later call has begun.
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
  return { ...reading, again: useCallback(() => again.current(), []) };
}
