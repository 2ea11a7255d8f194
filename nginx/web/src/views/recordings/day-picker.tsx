// The choice of a day. The buttons leave out days without recordings.
import { useState } from "preact/hooks";

import type { RecordedDays } from "../../api/types";
import { readFile } from "../../playback/recordings/source";
import { t } from "../../ui/i18n";
import { IconButton } from "../../ui/icons";
import { report } from "../error";
import { dayAfter, dayOf, dayText, limitsOf, parseDay } from "./days";
import type { Session } from "./session";

/** The number of days in a request. The list of their limits is part of the address. */
const DAYS = 60;

interface DaysProps {
  session: Session;
  /** The beginning of the first recording and the end of the last one; null if they are not known. */
  range: [number, number] | null;
  onDay: (day: number) => void;
}

export function Days({ session, range, onDay }: DaysProps) {
  const [isBusy, setBusy] = useState(false);
  const date = session.group?.date.value || Date.now();
  const day = dayOf(date);
  const [first, last] = range ?? [date, date];
  const move = async (direction: 1 | -1) => {
    setBusy(true);
    try {
      const found = await nextDay(session, day, direction, [first, last]);
      if (found !== null) {
        onDay(found);
      }
    } catch (error) {
      report(error);
    }
    setBusy(false);
  };
  return (
    <div class="days">
      <IconButton
        icon="previous"
        label={t("recordings.previous_day")}
        disabled={isBusy || day <= dayOf(first)}
        onClick={() => void move(-1)}
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
            onDay(chosen);
          }
        }}
      />
      <IconButton
        icon="next"
        label={t("recordings.next_day")}
        disabled={isBusy || dayAfter(day) > last}
        onClick={() => void move(1)}
      />
    </div>
  );
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
