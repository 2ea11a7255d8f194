// Fields for times of the day, on certain days of the week.
import type { ScheduleEntry, Weekday } from "../api/types";
import { Field } from "../ui/fields";
import { language, t } from "../ui/i18n";
import { Icon, IconButton } from "../ui/icons";

const WEEKDAYS: Weekday[] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
/** The nights after working days. */
export const WORKING_NIGHTS: ScheduleEntry = {
  days: WEEKDAYS.slice(0, 5),
  from: "18:00",
  to: "07:00",
};

/** Returns the time zone of the browser. */
export function ownTimeZone(): string {
  return Intl.DateTimeFormat().resolvedOptions().timeZone;
}

interface ScheduleProps {
  entries: ScheduleEntry[];
  /** The entry that the button adds. */
  newEntry: ScheduleEntry;
  /** The time zone; null for UTC. */
  timeZone: string | null;
  onEntries: (entries: ScheduleEntry[]) => void;
  onTimeZone: (zone: string | null) => void;
}

/** A list of times. At least one remains. */
export function Schedule({ entries, newEntry, timeZone, onEntries, onTimeZone }: ScheduleProps) {
  const set = (index: number, part: Partial<ScheduleEntry>) =>
    onEntries(entries.map((entry, n) => (n === index ? { ...entry, ...part } : entry)));
  return (
    <div class="schedule">
      {entries.map((entry, n) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: the entries have no other identity
        <div key={n} class="schedule-entry">
          <div class="weekdays">
            {WEEKDAYS.map((day, index) => (
              <label key={day}>
                <input
                  type="checkbox"
                  checked={hasDay(entry, day)}
                  onChange={() => set(n, { days: toggled(entry, day) })}
                />
                {weekdayName(index)}
              </label>
            ))}
          </div>
          <div class="columns">
            {(["from", "to"] as const).map((edge) => (
              <Field
                key={edge}
                label={t(`events.${edge}`)}
                name={`schedule_${edge}_${n}`}
                type="time"
                required
                value={entry[edge] === "24:00" ? "00:00" : entry[edge]}
                onInput={(time) => set(n, { [edge]: time })}
              />
            ))}
            <IconButton
              icon="trash"
              label={t("form.recording.remove_time")}
              disabled={entries.length === 1}
              onClick={() => onEntries(entries.filter((_, index) => index !== n))}
            />
          </div>
        </div>
      ))}
      <div class="columns">
        <button type="button" onClick={() => onEntries([...entries, newEntry])}>
          <Icon name="plus" />
          {t("form.recording.add_time")}
        </button>
        <Field
          label={t("form.recording.time_zone")}
          name="time_zone"
          value={timeZone ?? ""}
          placeholder="UTC"
          onInput={(zone) => onTimeZone(zone || null)}
        />
      </div>
    </div>
  );
}

/** Returns whether an entry has a day. An entry without days has all of them. */
function hasDay({ days = [] }: ScheduleEntry, day: Weekday): boolean {
  return days.length === 0 || days.includes(day);
}

/** Returns the days of an entry after a day was switched on or off. At least one remains. */
function toggled(entry: ScheduleEntry, day: Weekday): Weekday[] {
  const next = WEEKDAYS.filter((each) => hasDay(entry, each) !== (each === day));
  return next.length > 0 ? next : [day];
}

/** Returns the short name of a weekday, counted from Monday, in the user's language. */
function weekdayName(index: number): string {
  // 5 January 2026 was a Monday.
  return new Date(2026, 0, 5 + index).toLocaleDateString(language.value, { weekday: "short" });
}
