// Requests for events: pages of earlier events, and following events as they happen.
import { follow, get, getFile, post } from "./client";
import { EventStreamParser } from "./event-stream";
import { MOTION } from "./motion";
import { Problem } from "./problem";
import type { EventCount, EventsPage, StoredEvent } from "./types";

/** Pause before a connection that has ended is opened again. */
const RETRY_MS = 2000;
/** Pause if the service has refused the last connection, for example because there are too many. */
const SLOW_RETRY_MS = 15_000;
/** A connection is opened again if nothing arrives for this time. The service sends something every 15 s. */
const SILENCE_MS = 40_000;
/** Number of events in a page. */
const PAGE = 50;

/** Number of events that are requested at once if some of them are not shown. */
const LARGE_PAGE = 200;
/** The largest number of requests for one page of which some events are not shown. */
const MAX_REQUESTS = 5;
/** Number of reported events whose types the filter offers. */
const REPORTED_EVENTS = 200;

/** The filter that hides what streams do every day: begin when a viewer opens a camera, and end without viewers. */
export const UNUSUAL = "unusual";
const ORDINARY = new Set(["stream.started", "stream.live", "stream.stopped"]);
/** The types and groups that the filter `UNUSUAL` shows. */
const UNUSUAL_TYPES = [
  "stream.stalled",
  "stream.interrupted",
  "stream.failed",
  "camera",
  "recording",
  "storage",
  MOTION,
  "reported",
];

export interface EventFilter {
  /** The id of a camera; empty for all cameras. */
  camera: string;
  /** A type, a group of types, or `UNUSUAL`; empty for all types. */
  type: string;
  /** The earliest time, as the API takes it; empty for all times. */
  from: string;
  /** The time before which the events happened; empty for all times. */
  to: string;
  isUnseenOnly: boolean;
}

function queryOf({ camera, type }: Pick<EventFilter, "camera" | "type">): URLSearchParams {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries({ camera, type })) {
    if (value && value !== UNUSUAL) {
      query.set(name, value);
    }
  }
  return query;
}

/** Returns whether an event is shown by the type of a filter with which the API cannot select it. */
export function hasShownType(
  event: Pick<StoredEvent, "type">,
  { type }: Pick<EventFilter, "type">,
): boolean {
  return type !== UNUSUAL || !ORDINARY.has(event.type);
}

/** Returns a page of the events that match the filter, the newest first; the first page without a cursor. */
export async function listEvents(filter: EventFilter, cursor: string | null): Promise<EventsPage> {
  if (filter.type !== UNUSUAL) {
    return requestEvents(filter, cursor, PAGE);
  }
  const first = await requestEvents(filter, cursor, LARGE_PAGE);
  const isShown = (event: StoredEvent) => hasShownType(event, filter);
  const events = first.events.filter(isShown);
  let { next } = first;
  for (let count = 1; count < MAX_REQUESTS && next && events.length < PAGE; count += 1) {
    const page = await requestEvents(filter, next, LARGE_PAGE);
    events.push(...page.events.filter(isShown));
    next = page.next;
  }
  return { ...first, events, next: next ?? null };
}

/** Returns the types of the latest reported events. */
export async function listReportedTypes(): Promise<string[]> {
  const { events } = await get<EventsPage>(`events?type=reported&limit=${REPORTED_EVENTS}`);
  return [...new Set(events.map(({ type }) => type))].sort();
}

function requestEvents(
  filter: EventFilter,
  cursor: string | null,
  limit: number,
): Promise<EventsPage> {
  const query = queryOf(filter);
  const { from, to, isUnseenOnly } = filter;
  for (const [name, value] of Object.entries({ from, to, cursor, limit: String(limit) })) {
    if (value) {
      query.set(name, value);
    }
  }
  if (isUnseenOnly) {
    query.set("seen", "false");
  }
  return get(`events?${query}`);
}

/** Returns the numbers of events from `from` on by hour, camera and type. Without `to`, also those of the present. */
export async function countEvents(
  filter: Pick<EventFilter, "camera" | "type">,
  from: string,
  to: string,
): Promise<EventCount[]> {
  const query = queryOf(filter);
  query.set("from", from);
  if (to) {
    query.set("to", to);
  }
  const { hours } = await get<{ hours: EventCount[] }>(`events/counts?${query}`);
  return hours.filter((count) => hasShownType(count, filter));
}

/** Returns the address of the picture that is stored with an event. The address contains the picture itself. */
export async function readEventPicture(id: number): Promise<string> {
  const picture = await getFile(`events/${id}/thumbnail`);
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(picture);
  });
}

export async function markSeen(id: number): Promise<void> {
  await post("events/seen", { id });
}

/** Marks all events up to an id that match the filter as seen. */
export async function markAllSeen(filter: EventFilter, upTo: number): Promise<void> {
  const { camera, type: chosen, from, to } = filter;
  for (const type of chosen === UNUSUAL ? UNUSUAL_TYPES : [chosen]) {
    await post("events/seen", {
      up_to: upTo,
      ...(camera && { camera }),
      ...(type && { type }),
      ...(from && { from }),
      ...(to && { to }),
    });
  }
}

export interface Follower {
  /** Called for each event that happens or changes. */
  onEvent: (event: StoredEvent) => void;
  /** Called if events were missed, so that the list must be requested again. */
  onMissed: () => void;
}

/**
 * Follows the events that match the camera and the type of the filter, after the event with the id `lastId`, until the
 * returned function is called. Connects again when the connection ends.
 */
export function followEvents(filter: EventFilter, lastId: number, follower: Follower): () => void {
  const ended = new AbortController();
  void keepFollowing(filter, String(lastId), follower, ended.signal);
  return () => ended.abort();
}

async function keepFollowing(
  filter: EventFilter,
  firstId: string,
  follower: Follower,
  ended: AbortSignal,
): Promise<void> {
  let lastId = firstId;
  while (!ended.aborted) {
    let pause = RETRY_MS;
    try {
      const response = await follow(`events/stream?${queryOf(filter)}`, lastId, ended);
      lastId = await readMessages(response, lastId, follower, ended);
    } catch (error) {
      if (error instanceof Problem && error.status === 401) {
        return;
      }
      pause = error instanceof Problem && error.status > 0 ? SLOW_RETRY_MS : RETRY_MS;
    }
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

/** Passes the messages of a response on to the follower until the response ends. Returns the id of the last message. */
async function readMessages(
  response: Response,
  firstId: string,
  { onEvent, onMissed }: Follower,
  ended: AbortSignal,
): Promise<string> {
  const parser = new EventStreamParser();
  const decoder = new TextDecoder();
  const reader = response.body?.getReader();
  let silence: ReturnType<typeof setTimeout> | undefined;
  try {
    while (reader && !ended.aborted) {
      clearTimeout(silence);
      silence = setTimeout(() => void reader.cancel(), SILENCE_MS);
      const { done, value } = await reader.read();
      if (done || ended.aborted) {
        break;
      }
      for (const { type, data } of parser.push(decoder.decode(value, { stream: true }))) {
        if (type === "reset") {
          onMissed();
        } else {
          onEvent(JSON.parse(data));
        }
      }
    }
  } catch {
    // The connection was interrupted. The next one continues after the last message.
  } finally {
    clearTimeout(silence);
  }
  return parser.lastId ?? firstId;
}
