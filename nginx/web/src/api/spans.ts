// Times in messages of the service.

/** A time, as the API writes it (RFC 3339). */
export interface NamedSpan {
  from: string;
  to: string;
}

const SPAN = /(\d{4}-\d\d-\d\dT[\d:.]+Z) to (\d{4}-\d\d-\d\dT[\d:.]+Z)/g;

/** Returns the times that a message names in the form `2026-11-29T14:03:00Z to 2026-11-29T14:05:00Z`. */
export function spansIn(message: string): NamedSpan[] {
  return [...message.matchAll(SPAN)].map(([, from = "", to = ""]) => ({ from, to }));
}
