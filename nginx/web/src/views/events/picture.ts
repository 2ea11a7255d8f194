// The pictures of events: the picture that the service has stored with the event, or else one of the camera's recordings.
import type { RefObject } from "preact";
import { useCallback, useEffect, useRef, useState } from "preact/hooks";

import { readEventPicture } from "../../api/events";
import type { RecordedStream, StoredEvent } from "../../api/types";
import { ownSource, timeText } from "../../playback/recordings/source";
import { isStored, recordedAt } from "./pictured";

/** Width of a picture of a recording in pixels. */
const WIDTH = 320;
/** The time after the beginning of an event at which something is probably in the middle of the picture, in milliseconds. */
const AFTER_MS = 1500;
/** The time after which a recording can be read, in milliseconds. */
const SETTLED_MS = 6000;
/** The time after which a picture of a recording is requested again, in milliseconds, and the number of requests. */
const AGAIN_MS = 4000;
const ATTEMPTS = 3;
/** Pictures are requested when they are this close to the visible part of the strip. */
const MARGIN = "0px 400px";

export interface Picture {
  /** The element that shows the picture. The picture is requested when this element is about to be visible. */
  box: RefObject<HTMLLIElement>;
  /** The address of the picture; null before it is requested. */
  src: string | null;
  onError: () => void;
  /** Whether there is no picture after all. */
  isMissing: boolean;
}

/** Returns the picture of an event. */
export function usePicture(event: StoredEvent, recorded: RecordedStream[]): Picture {
  const { id, at, until, camera } = event;
  const hasOwn = isStored(event);
  const box = useRef<HTMLLIElement>(null);
  const [src, setSrc] = useState<string | null>(null);
  const [isNear, setNear] = useState(false);
  const [failures, setFailures] = useState(0);
  // While something moves, better pictures replace the first one.
  const version = hasOwn ? `${until} ${event.data.peak}` : "";
  const stream = hasOwn ? undefined : recordedAt(event, recorded)?.id;
  const begin = Date.parse(at);
  const end = until ? Date.parse(until) : Number.POSITIVE_INFINITY;
  const date = Math.min(begin + AFTER_MS, Math.max(begin, end));
  useEffect(() => {
    const observer = new IntersectionObserver(
      (entries) => entries.some(({ isIntersecting }) => isIntersecting) && setNear(true),
      { rootMargin: MARGIN },
    );
    box.current && observer.observe(box.current);
    return () => observer.disconnect();
  }, []);
  const onError = useCallback(() => {
    setSrc(null);
    setFailures((before) => before + 1);
  }, []);
  // biome-ignore lint/correctness/useExhaustiveDependencies: each version is requested
  useEffect(() => {
    if (!isNear || !camera || failures >= ATTEMPTS) {
      return;
    }
    let isOver = false;
    const show = (address: string) => isOver || setSrc(address);
    const release = stream ? ownSource.hold(camera) : undefined;
    const request = () => {
      if (hasOwn) {
        readEventPicture(id).then(show, onError);
      } else if (stream) {
        const query = { at: timeText(date), width: WIDTH };
        const address = () => show(ownSource.addressOf(stream, "thumbnail.jpg", query));
        ownSource.ready(camera).then(address, onError);
      }
    };
    const isTooNew = !hasOwn && date + SETTLED_MS > Date.now();
    const pause = failures > 0 ? AGAIN_MS : 0;
    const timer = setTimeout(request, isTooNew ? date + SETTLED_MS - Date.now() : pause);
    return () => {
      isOver = true;
      release?.();
      clearTimeout(timer);
    };
  }, [isNear, id, camera, stream, hasOwn, version, date, failures, onError]);
  return { box, src, onError, isMissing: failures >= ATTEMPTS };
}
