// The time line: when there are recordings, how much happens, events, the date that is shown, and a selected time.
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";

import type { ActivityPart, StoredEvent } from "../../api/types";
import { clock, dateTimeSeconds, language, t } from "../../ui/i18n";
import { typeText } from "../events/texts";
import type { Footage } from "./footage";
import { useGestures } from "./gestures";
import { marksOfEvents, marksOfMotion } from "./marks";
import { marksOf, shareOf, type View } from "./scale";
import type { Session } from "./session";
import { Thumbnail } from "./thumbnail";

/** A mark of the scale that is closer to the right edge has no room for its line. */
const EDGE_PIXELS = 12;
/** Pixels between two marks of the scale. */
const MARK_PIXELS = 75;

interface TrackProps {
  session: Session;
  view: View;
  footage: ReadonlyMap<string, Footage> | null;
  events: (stream: string) => StoredEvent[];
  selection: View | null;
  isSelecting: boolean;
  onView: (view: View) => void;
  onSelect: (selection: View) => void;
}

export function Track(props: TrackProps) {
  const { session, view, footage, events, selection, isSelecting, onView, onSelect } = props;
  const ref = useRef<HTMLDivElement>(null);
  const width = useWidth(ref);
  const [hover, setHover] = useState<{ date: number; x: number } | null>(null);
  useGestures(ref, {
    view,
    selection,
    isSelecting,
    onView,
    onSelect,
    onScrub: session.scrub,
    onSeek: (date) => void session.seek(date),
    onHover: (date, x) => setHover(date === null ? null : { date, x }),
  });
  return (
    <div
      ref={ref}
      class={`track ${isSelecting ? "selecting" : ""} ${session.cameras.length > 3 ? "many" : ""}`}
      data-from={Math.round(view.from)}
      data-to={Math.round(view.to)}
    >
      <Scale view={view} width={width} />
      {session.cameras.map(({ id, name }, n) => (
        <Lane
          key={id}
          name={session.cameras.length > 1 ? name : null}
          view={view}
          width={width}
          footage={footage?.get(session.streams[n] ?? "") ?? null}
          events={events(session.streams[n] ?? "")}
        />
      ))}
      {selection && <Selected view={view} selection={selection} />}
      <Now view={view} />
      <Playhead session={session} view={view} />
      {hover && <Thumbnail session={session} footage={footage} date={hover.date} x={hover.x} />}
    </div>
  );
}

/** Returns the width of an element in pixels. */
function useWidth(ref: { current: HTMLElement | null }): number {
  const [width, setWidth] = useState(800);
  useLayoutEffect(() => {
    const element = ref.current;
    if (!element) {
      return;
    }
    const observer = new ResizeObserver(() => setWidth(element.clientWidth || 800));
    observer.observe(element);
    return () => observer.disconnect();
  }, [ref]);
  return width;
}

const percent = (share: number) => `${share * 100}%`;

function Scale({ view, width }: { view: View; width: number }) {
  const isFine = view.to - view.from < 10 * 60_000;
  const text = (date: number, isDay: boolean) =>
    isDay
      ? new Date(date).toLocaleDateString(language.value, { day: "numeric", month: "short" })
      : clock(date, isFine);
  const marks = marksOf(view, Math.max(2, width / MARK_PIXELS)).filter(
    ({ date }) => (1 - shareOf(view, date)) * width > EDGE_PIXELS,
  );
  return (
    <div class="scale" data-drag="pan" aria-hidden="true">
      {marks.map(({ date, isDay }) => (
        <span key={date} class={isDay ? "day" : ""} style={{ left: percent(shareOf(view, date)) }}>
          {(1 - shareOf(view, date)) * width > MARK_PIXELS && text(date, isDay)}
        </span>
      ))}
    </div>
  );
}

interface LaneProps {
  /** The name of the camera; null if there is only one. */
  name: string | null;
  view: View;
  width: number;
  footage: Footage | null;
  events: StoredEvent[];
}

/** The recordings and events of one camera. The list of events has the same events for screen readers. */
function Lane({ name, view, width, footage, events }: LaneProps) {
  return (
    <div class={footage ? "lane" : "lane waiting"} aria-hidden="true">
      {footage?.spans
        .filter(({ from, to }) => to > view.from && from < view.to)
        .map(({ from, to, isLocked, hasEvent }) => (
          <i
            key={from}
            class={`span ${hasEvent ? "of-event" : ""} ${isLocked ? "locked" : ""}`}
            style={{
              left: percent(Math.max(-0.01, shareOf(view, from))),
              width: percent(
                Math.min(1.01, shareOf(view, to)) - Math.max(-0.01, shareOf(view, from)),
              ),
            }}
          />
        ))}
      {footage && <Activity parts={footage.activity} view={view} />}
      {marksOfMotion(events, view, Date.now()).map(({ id, share, length }) => (
        <i
          key={id}
          class="motion-mark"
          style={{ left: percent(share), width: percent(length) }}
          data-event={id}
        />
      ))}
      {marksOfEvents(events, view, width).map(({ share, events: [first, ...others], kind }) =>
        first ? (
          <b
            key={first.id}
            class={`event-mark ${kind}`}
            style={{ left: percent(share) }}
            data-at={Date.parse(first.at)}
            data-event={first.id}
            title={markTitle(first, others.length)}
          />
        ) : null,
      )}
      {name && (
        <span class="lane-name">
          <span dir="auto" title={name}>
            {name}
          </span>
        </span>
      )}
    </div>
  );
}

function markTitle({ label, type, at }: StoredEvent, others: number): string {
  const title = `${label ?? typeText(type)}, ${dateTimeSeconds(at)}`;
  return others > 0 ? t("recordings.and_more", { title, n: others }) : title;
}

/** How much happens, as the bit rate relative to the largest one. */
function Activity({ parts, view }: { parts: ActivityPart[]; view: View }) {
  const top = Math.max(1, ...parts.map(({ bits_per_second: rate }) => rate));
  // SVG has too few digits for Unix milliseconds.
  const zero = parts[0] ? Date.parse(parts[0].from) : 0;
  const path = parts
    .map(({ from, to, bits_per_second: rate }) => {
      const [begin, end] = [Date.parse(from) - zero, Date.parse(to) - zero];
      return `M${begin} 1V${(1 - rate / top).toFixed(3)}H${end}V1Z`;
    })
    .join("");
  return (
    <svg
      class="activity"
      viewBox={`${view.from - zero} 0 ${view.to - view.from} 1`}
      preserveAspectRatio="none"
    >
      <title>{t("recordings.activity")}</title>
      <path d={path} />
    </svg>
  );
}

function Selected({ view, selection: { from, to } }: { view: View; selection: View }) {
  const [left, right] = [shareOf(view, from), shareOf(view, to)];
  return (
    <>
      <div class="selected" style={{ left: percent(left), width: percent(right - left) }} />
      <div class="edge" data-drag="select-from" style={{ left: percent(left) }} />
      <div class="edge" data-drag="select-to" style={{ left: percent(right) }} />
    </>
  );
}

/** The present: nothing was recorded after it. */
function Now({ view }: { view: View }) {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  const share = shareOf(view, now);
  return share < 1 ? (
    <div class="future" style={{ left: percent(Math.max(0, share)) }} aria-hidden="true" />
  ) : null;
}

/** The date that is shown. This is a separate component, because it changes often. */
function Playhead({ session: { group, scrubbed }, view }: { session: Session; view: View }) {
  const date = scrubbed.value ?? group?.date.value;
  if (!date) {
    return null;
  }
  const share = shareOf(view, date);
  const isVisible = share >= 0 && share <= 1;
  const shown = Math.min(1, Math.max(0, share));
  return (
    <div
      class={isVisible ? "playhead" : "playhead outside"}
      data-drag="scrub"
      style={{ left: percent(shown), "--share": shown }}
      role="slider"
      tabIndex={0}
      aria-label={t("recordings.position")}
      aria-valuemin={Math.round(view.from / 1000)}
      aria-valuemax={Math.round(view.to / 1000)}
      aria-valuenow={Math.round(date / 1000)}
      aria-valuetext={dateTimeSeconds(new Date(date).toISOString())}
    >
      <span>{clock(date)}</span>
    </div>
  );
}
