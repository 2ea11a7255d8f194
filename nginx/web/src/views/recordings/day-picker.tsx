// The choice of a day and a time. The buttons leave out days without recordings.
import { useState } from "preact/hooks";

import type { RecordedDays, Timeline } from "../../api/types";
import { queryFor, readFile } from "../../playback/recordings/source";
import { t } from "../../ui/i18n";
import { IconButton } from "../../ui/icons";
import { report } from "../error";
import { dayAfter, dayOf, dayText, limitsOf, parseDay, timeOn, timeText } from "./days";
import { nearestIn } from "./gaps";
import type { Session } from "./session";

/** The number of days in a request. The list of their limits is part of the address. */
const DAYS = 60;
/** The time of day is kept on another day if there is a recording this close to it, in milliseconds. */
const NEAR_MS = 30 * 60_000;

interface DaysProps {
  session: Session;
  /** The beginning of the first recording and the end of the last one; null if they are not known. */
  range: [number, number] | null;
  /** Called with a date on another day. */
  onDay: (date: number) => void;
  /** Called with another time of the same day. */
  onTime: (date: number) => void;
}

export function Days({ session, range, onDay, onTime }: DaysProps) {
  const [isBusy, setBusy] = useState(false);
  const date = session.group?.date.value || Date.now();
  const day = dayOf(date);
  const [first, last] = range ?? [date, date];
  const change = async (find: () => Promise<number | null>) => {
    setBusy(true);
    try {
      const found = await find();
      if (found !== null) {
        onDay((await sameTime(session, found, date)) ?? found);
      }
    } catch (error) {
      report(error);
    }
    setBusy(false);
  };
  const move = (direction: 1 | -1) =>
    void change(() => nextDay(session, day, direction, [first, last]));
  return (
    <div class="days">
      <IconButton
        icon="previous"
        label={t("recordings.previous_day")}
        disabled={isBusy || day <= dayOf(first)}
        onClick={() => move(-1)}
      />
      <input
        type="date"
        aria-label={t("recordings.choose_day")}
        min={dayText(first)}
        max={dayText(last)}
        value={dayText(day)}
        onChange={(event) => {
          const chosen = parseDay(event.currentTarget.value);
          if (chosen !== null) {
            void change(async () => chosen);
          }
        }}
      />
      <IconButton
        icon="next"
        label={t("recordings.next_day")}
        disabled={isBusy || dayAfter(day) > last}
        onClick={() => move(1)}
      />
      <TimeField date={date} onTime={onTime} />
    </div>
  );
}

/** The time of day of the picture. What is entered is shown when the field is left. */
function TimeField({ date, onTime }: { date: number; onTime: (date: number) => void }) {
  const [entered, setEntered] = useState<string | null>(null);
  const leave = () => {
    const time = entered ? timeOn(date, entered) : null;
    setEntered(null);
    if (time !== null && entered !== timeText(date)) {
      onTime(time);
    }
  };
  return (
    <input
      type="time"
      step={1}
      aria-label={t("recordings.choose_time")}
      value={entered ?? timeText(date)}
      // While recordings play, the time must not change below the cursor.
      onFocus={(event) => setEntered(event.currentTarget.value)}
      onInput={(event) => setEntered(event.currentTarget.value)}
      onBlur={leave}
      onKeyDown={(event) => {
        if (event.key === "Enter") {
          event.currentTarget.blur();
        }
      }}
    />
  );
}

/** Returns the date with the time of day of `date` on another day; null if nothing was recorded near it. */
async function sameTime(
  { source, streams }: Session,
  day: number,
  date: number,
): Promise<number | null> {
  const wanted = timeOn(day, timeText(date));
  if (wanted === null) {
    return null;
  }
  const query = queryFor(source, wanted - NEAR_MS, wanted + NEAR_MS);
  const found = await Promise.all(
    streams.map((stream) => readFile<Timeline>(source, stream, "timeline.json", query)),
  );
  const spans = found.flatMap(({ spans: each }) =>
    each.map(({ from, to }) => ({ from: Date.parse(from), to: Date.parse(to) })),
  );
  return nearestIn(spans, wanted);
}

/** Returns the next day with recordings, or the previous one; null without such a day. */
async function nextDay(
  { source, streams }: Session,
  day: number,
  direction: 1 | -1,
  [first, last]: [number, number],
): Promise<number | null> {
  let from = direction > 0 ? dayAfter(day) : dayAfter(day, -DAYS);
  while (direction > 0 ? from <= last : dayAfter(from, DAYS) > first) {
    const limits = limitsOf(from, dayAfter(from, DAYS) - 1);
    const query = { limits: limits.map((limit) => new Date(limit).toISOString()).join() };
    const found = await Promise.all(
      streams.map((stream) => readFile<RecordedDays>(source, stream, "days.json", query)),
    );
    const recorded = limits.filter((_, n) => found.some(({ days }) => days[n]));
    const next = direction > 0 ? recorded[0] : recorded.at(-1);
    if (next !== undefined) {
      return next;
    }
    from = dayAfter(from, direction * DAYS);
  }
  return null;
}
