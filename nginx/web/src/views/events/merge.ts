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
