// The picture of the time below the pointer.
import { useEffect, useState } from "preact/hooks";
import { timeText } from "../../playback/recordings/source";
import { clock } from "../../ui/i18n";
import type { Footage } from "./footage";
import { isRecorded } from "./gaps";
import { type Session, scrubbedStream } from "./session";

/** Pause before a picture is requested, so that a movement across the time line requests few pictures. */
const DELAY_MS = 80;
const WIDTH = 240;
/** Dates are rounded to this, in milliseconds, so that the service and the browser have fewer different pictures. */
const ROUND_MS = 2000;

interface ThumbnailProps {
  session: Session;
  footage: ReadonlyMap<string, Footage> | null;
  date: number;
  /** The place in the time line, from 0 to 1. */
  x: number;
}

export function Thumbnail({ session, footage, date, x }: ThumbnailProps) {
  const [src, setSrc] = useState<string | null>(null);
  const [isLoaded, setLoaded] = useState(false);
  const { cameras, streams, source } = session;
  const spans = footage?.get(streams[0] ?? "")?.spans ?? [];
  const hasPicture = isRecorded(spans, date);
  const rounded = Math.floor(date / ROUND_MS) * ROUND_MS;
  const span = spans.find(({ from, to }) => from <= date && date < to);
  const at = Math.max(rounded, span?.from ?? 0);
  const stream = cameras[0] ? scrubbedStream(cameras[0]) : "";
  useEffect(() => {
    if (!hasPicture) {
      setSrc(null);
      return;
    }
    const timer = setTimeout(
      () => setSrc(source.addressOf(stream, "thumbnail.jpg", { at: timeText(at), width: WIDTH })),
      DELAY_MS,
    );
    return () => clearTimeout(timer);
  }, [source, stream, at, hasPicture]);
  useEffect(() => {
    if (!src) {
      setLoaded(false);
    }
  }, [src]);
  return (
    <div class="thumbnail" style={{ "--x": x }} aria-hidden="true">
      {hasPicture && src && (
        <img
          class={isLoaded ? "" : "none"}
          src={src}
          alt=""
          onLoad={() => setLoaded(true)}
          onError={() => setLoaded(false)}
        />
      )}
      <span>{clock(date)}</span>
    </div>
  );
}
