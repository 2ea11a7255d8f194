// The recordings of some cameras: videos, buttons and the time line.
import type { ComponentChildren } from "preact";
import { useRef, useState } from "preact/hooks";

import type { StoredEvent } from "../../api/types";
import type { Source } from "../../playback/recordings/source";
import { Select } from "../../ui/fields";
import { number, t } from "../../ui/i18n";
import { Icon, IconButton } from "../../ui/icons";
import { ErrorAlert } from "../error";
import { TYPES, typeText } from "../events/texts";
import { useFullScreen } from "../wall/full-screen";
import { type Actions, Controls, JUMP_MS } from "./controls";
import { Days } from "./day-picker";
import { dayAfter, dayOf } from "./days";
import { LONGEST_SELECTION } from "./edges";
import { type Footage, useFootage } from "./footage";
import { useKeys } from "./keys";
import { hasType } from "./marks";
import { dayView, lengthOf, moved, showing, spanOf, type View, zoomed } from "./scale";
import { Selection } from "./selection";
import { type RecordedCamera, useSession } from "./session";
import { Stage } from "./stage";
import { Track } from "./track";
import { type Place, useVisible } from "./visible";

/** The factor of a zoom button. */
const ZOOM = 2;
/** The length of a time that is selected with a button, as a share of the visible time. */
const SELECTED_SHARE = 0.1;
const MINUTE_MS = 60_000;

interface ViewerProps extends Place {
  source: Source;
  cameras: RecordedCamera[];
  /** Chosen cameras without recordings. */
  empty?: RecordedCamera[];
  /** The time that a share link permits; null without a limit. */
  limit: View | null;
  /** Elements before and after the choice of the day. `now` returns the date of the picture. */
  head?: ComponentChildren;
  tail?: (now: () => number) => ComponentChildren;
}

export function Viewer(props: ViewerProps) {
  const { source, cameras, empty = [], at, limit, head, tail } = props;
  const session = useSession(source, cameras, at);
  const { group, streams } = session;
  const [view, setView] = useVisible(session, limit, props);
  const [selection, setSelection] = useState<View | null>(null);
  /** The edges of the selection that the user has chosen. */
  const marks = useRef<Partial<View>>({});
  const [isSelecting, setSelecting] = useState(false);
  const [type, setType] = useState("");
  const [change, setChange] = useState(0);
  const { streams: footage, error } = useFootage(source, streams, view, change);
  const range = limit ? ([limit.from, limit.to] as [number, number]) : rangeOf(footage);

  const seek = (date: number) => {
    setView((before) => showing(before, date));
    void session.seek(date);
  };
  const now = () => group?.date.peek() || at;
  const actions: Actions = {
    toggle: () => (group?.isPlaying.value ? group.pause() : group?.play()),
    jump: (by) => seek(now() + by),
    step: (direction) => void group?.step(direction),
  };
  const stage = useRef<HTMLDivElement>(null);
  const [open, setOpen] = useState<string | null>(null);
  const { isFilling, toggle } = useFullScreen();
  const fullScreen = () => {
    const shown = Math.max(
      0,
      cameras.findIndex(({ id }) => id === open),
    );
    toggle(stage.current, group?.players[shown]?.video.value ?? null);
  };
  const eventsOf = (stream: string) =>
    (footage?.get(stream)?.events ?? []).filter((event) => hasType(event, type));
  const allEvents = streams.flatMap(eventsOf).sort((a, b) => a.at.localeCompare(b.at));
  const toEvent = (direction: 1 | -1) => {
    const found = nextEvent(allEvents, now(), direction);
    if (found !== null) {
      seek(found);
    }
  };
  const select = (next: View) => {
    marks.current = {
      from: Math.round(next.from),
      to: Math.round(Math.min(next.to, next.from + LONGEST_SELECTION)),
    };
    setSelection(marks.current as View);
  };
  const endSelection = () => {
    marks.current = {};
    setSelecting(false);
    setSelection(null);
  };
  const toggleSelecting = () => {
    const half = (lengthOf(view) * SELECTED_SHARE) / 2;
    const middle = Math.min(Math.max(now(), view.from + half), view.to - half);
    if (isSelecting) {
      endSelection();
      return;
    }
    setSelecting(true);
    if (!selection) {
      select({ from: middle - half, to: middle + half });
    }
  };
  const setEdge = (edge: "from" | "to") => {
    const next = { ...marks.current, [edge]: now() };
    const hasBoth = next.from !== undefined && next.to !== undefined;
    setSelecting(true);
    select(spanOf(next));
    // The other edge is not chosen yet.
    marks.current = hasBoth ? marks.current : next;
  };
  const zoom = (factor: number) => {
    const date = now();
    // Keys can be pressed faster than the view is rendered.
    setView((before) => {
      const isVisible = date >= before.from && date <= before.to;
      return zoomed(before, factor, isVisible ? date : (before.from + before.to) / 2);
    });
  };
  const end = () => range && seek(Math.max(range[0], range[1] - 2000));
  useKeys({
    " ": actions.toggle,
    k: actions.toggle,
    j: () => actions.jump(-JUMP_MS),
    l: () => actions.jump(JUMP_MS),
    arrowleft: () => actions.jump(-JUMP_MS / 10),
    arrowright: () => actions.jump(JUMP_MS / 10),
    "shift+arrowleft": () => actions.jump(-MINUTE_MS),
    "shift+arrowright": () => actions.jump(MINUTE_MS),
    ",": () => actions.step(-1),
    ".": () => actions.step(1),
    home: () => seek(limit?.from ?? dayOf(now())),
    end: () => (now() < dayOf(range?.[1] ?? 0) ? seek(dayAfter(now()) - 2000) : end()),
    "+": () => zoom(1 / ZOOM),
    "-": () => zoom(ZOOM),
    i: () => setEdge("from"),
    o: () => setEdge("to"),
    "[": () => toEvent(-1),
    "]": () => toEvent(1),
    f: fullScreen,
    escape: () => (open ? setOpen(null) : endSelection()),
  });

  const types: [string, string][] = [
    ["", t("recordings.all_events")],
    ...TYPES.map((each): [string, string] => [each, typeText(each)]),
  ];
  return (
    <div class="recordings">
      <div class="bar">
        {head}
        {!limit && (
          <Days
            session={session}
            range={range}
            onDay={(date) => {
              setView(dayView(date));
              void session.seek(date);
            }}
            onTime={seek}
          />
        )}
        <span class="gap" />
        {tail?.(now)}
      </div>
      <Stage
        session={session}
        footage={footage}
        empty={empty}
        box={stage}
        open={open}
        onOpen={setOpen}
        isFilling={isFilling}
        onFullScreen={fullScreen}
      />
      <Controls session={session} actions={actions} onFullScreen={fullScreen} />
      <ErrorAlert error={error} />
      <Track
        session={session}
        view={view}
        footage={footage}
        events={eventsOf}
        selection={selection}
        isSelecting={isSelecting}
        onView={setView}
        onSelect={select}
      />
      <div class="bar">
        <IconButton
          icon="previous"
          label={t("recordings.earlier")}
          onClick={() => setView(moved(view, -lengthOf(view) / 2))}
        />
        <IconButton icon="minus" label={t("recordings.zoom_out")} onClick={() => zoom(ZOOM)} />
        <IconButton icon="plus" label={t("recordings.zoom_in")} onClick={() => zoom(1 / ZOOM)} />
        <IconButton
          icon="next"
          label={t("recordings.later")}
          onClick={() => setView(moved(view, lengthOf(view) / 2))}
        />
        <button type="button" onClick={() => setView(limit ?? dayView(now()))}>
          {t(limit ? "recordings.whole" : "recordings.day")}
        </button>
        <button type="button" disabled={!range} onClick={end}>
          {t(limit ? "recordings.to_end" : "recordings.latest")}
        </button>
        <span class="gap" />
        <div class="events-bar">
          <IconButton
            icon="first"
            label={t("recordings.previous_event")}
            onClick={() => toEvent(-1)}
            disabled={allEvents.length === 0}
          />
          <Select
            label={t("recordings.events")}
            isLabelHidden
            value={type}
            options={types}
            onChange={setType}
          />
          <IconButton
            icon="last"
            label={t("recordings.next_event")}
            onClick={() => toEvent(1)}
            disabled={allEvents.length === 0}
          />
          <button type="button" aria-pressed={isSelecting} class="toggle" onClick={toggleSelecting}>
            <Icon name="span" />
            {t("recordings.select")}
          </button>
        </div>
      </div>
      <MoreEvents footage={footage} />
      {selection && (
        <Selection
          session={session}
          selection={selection}
          limit={limit}
          footage={footage}
          onSelect={select}
          onChanged={() => setChange((before) => before + 1)}
          onClose={endSelection}
        />
      )}
    </div>
  );
}

/** Says that there are more events than the time line shows. */
function MoreEvents({ footage }: { footage: ReadonlyMap<string, Footage> | null }) {
  const cut = [...(footage?.values() ?? [])].filter(({ hasMoreEvents }) => hasMoreEvents);
  const count = Math.max(0, ...cut.map(({ events }) => events.length));
  return cut.length > 0 ? (
    <p class="hint" role="status">
      {t("recordings.more_events", { n: number(count) })}
    </p>
  ) : null;
}

/** Returns the time from the first recording to the last one; null without recordings. */
function rangeOf(footage: ReadonlyMap<string, Footage> | null): [number, number] | null {
  const ranges = [...(footage?.values() ?? [])].flatMap(({ range }) => (range ? [range] : []));
  return ranges.length === 0
    ? null
    : [Math.min(...ranges.map(([from]) => from)), Math.max(...ranges.map(([, to]) => to))];
}

/** Returns the date of the next event or of the previous one; null without such an event. */
function nextEvent(events: StoredEvent[], date: number, direction: 1 | -1): number | null {
  const dates = events.map(({ at }) => Date.parse(at));
  // After a jump to an event, the picture is up to a frame earlier or later.
  const found =
    direction > 0
      ? dates.find((each) => each > date + 500)
      : dates.findLast((each) => each < date - 1500);
  return found ?? null;
}
