// Adds events to a list that shows the newest ones first.

/** What the order of the list depends on. */
interface Ordered {
  id: number;
  at: string;
}

/** Returns a negative number if `a` comes before `b`: events that happened later, and later ids, come first. */
function compare(a: Ordered, b: Ordered): number {
  return Date.parse(b.at) - Date.parse(a.at) || b.id - a.id;
}

/**
 * Returns the list with the event, which replaces an event with the same id. If there are more events than the list has,
 * an event after its last one is left out, because it appears with the next page.
 */
export function merge<E extends Ordered>(list: E[], event: E, hasMore: boolean): E[] {
  const others = list.filter(({ id }) => id !== event.id);
  const last = list.at(-1);
  if (hasMore && last && compare(event, last) > 0) {
    return others;
  }
  return [...others, event].sort(compare);
}

/** The beginning of a list, and the cursor of what follows it; null if nothing does. */
export interface Listed<E> {
  events: E[];
  next: string | null;
}

/**
 * Returns the list with the state of its first page that was read again. Keeps the events of later pages, and those that
 * happened after the event with the id `lastId`, which the page does not contain.
 */
export function refreshed<E extends Ordered>(
  list: Listed<E>,
  page: Listed<E>,
  lastId: number,
): Listed<E> {
  const last = page.events.at(-1);
  const isLater = (event: E) => page.next !== null && last && compare(event, last) > 0;
  const later = list.events.filter(isLater);
  const further = list.events.filter((event) => event.id > lastId && !isLater(event));
  return {
    events: [...further, ...page.events, ...later].sort(compare),
    next: later.length > 0 ? list.next : page.next,
  };
}
