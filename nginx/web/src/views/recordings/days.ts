// Local days. A day on which clocks change has 23 or 25 hours.

/** Returns the beginning of the local day of a date, in Unix milliseconds. */
export function dayOf(date: number): number {
  const day = new Date(date);
  return new Date(day.getFullYear(), day.getMonth(), day.getDate()).getTime();
}

/** Returns the beginning of the day that is `count` days after the day of a date. */
export function dayAfter(date: number, count = 1): number {
  const day = new Date(date);
  return new Date(day.getFullYear(), day.getMonth(), day.getDate() + count).getTime();
}

/** Returns the limits of the days from `first` to `last`: the beginning of each day, and the end of the last one. */
export function limitsOf(first: number, last: number): number[] {
  const limits = [dayOf(first)];
  while ((limits.at(-1) ?? 0) <= last) {
    limits.push(dayAfter(limits.at(-1) ?? 0));
  }
  return limits;
}

/** Returns the local day of a date in the form of `<input type="date">`, such as 2026-03-29. */
export function dayText(date: number): string {
  const day = new Date(date);
  const two = (value: number) => String(value).padStart(2, "0");
  return `${day.getFullYear()}-${two(day.getMonth() + 1)}-${two(day.getDate())}`;
}

/** Parses a day in this form; null if it is invalid. */
export function parseDay(text: string): number | null {
  const [, year, month, day] = /^(\d{4})-(\d\d)-(\d\d)$/.exec(text) ?? [];
  return year ? new Date(Number(year), Number(month) - 1, Number(day)).getTime() : null;
}

/** Returns the local time of day of a date in the form of `<input type="time">`, with seconds. */
export function timeText(date: number): string {
  const time = new Date(date);
  const two = (value: number) => String(value).padStart(2, "0");
  return [time.getHours(), time.getMinutes(), time.getSeconds()].map(two).join(":");
}

/** Returns the date with a time of day in this form on the local day of `day`; null if the text is invalid. */
export function timeOn(day: number, text: string): number | null {
  return new Date(`${dayText(day)}T${text}`).getTime() || null;
}

/** Returns the local time of a date in the form of `<input type="datetime-local">`, with seconds. */
export function localText(date: number): string {
  return `${dayText(date)}T${timeText(date)}`;
}
