// The view of events: a list with filters, which shows further events as they happen.
import { useCallback, useEffect, useRef, useState } from "preact/hooks";

import { hasRight, hasRole } from "../../api/caller";
import { listCameras } from "../../api/cameras";
import {
  type EventFilter,
  followEvents,
  hasShownType,
  listEvents,
  listReportedTypes,
  markAllSeen,
  markSeen,
  UNUSUAL,
} from "../../api/events";
import { nameOf, useNames } from "../../api/names";
import { useReading } from "../../api/reading";
import type { StoredEvent } from "../../api/types";
import { FailureText } from "../../ui/failure";
import { Select } from "../../ui/fields";
import { dateTimeSeconds, plural, t } from "../../ui/i18n";
import { Icon, IconButton } from "../../ui/icons";
import { notify } from "../../ui/notice";
import { Empty } from "../../ui/parts";
import { go, isId, place, recordingsAddress, watchAddress } from "../../ui/place";
import { userStorage } from "../../ui/storage";
import { ErrorAlert, report } from "../error";
import { type Listed, merge, refreshed } from "./merge";
import { failureOfEvent, noteOf, TYPES, typeText } from "./texts";

/** Number of cameras in the filter: the API's limit. */
const MAX_CAMERAS = 1000;

/** The type in the page's address that stands for all types. */
const ALL = "all";
/** The type of an event that a back end reports, as the API accepts it. */
const REPORTED_TYPE = /^reported\.[a-z0-9]+([._-][a-z0-9]+)*$/;
/** The key of the choice between all events and unusual ones. */
const STORED = "events";
/** The time before an event with which its recording begins, in milliseconds. */
const BEFORE_MS = 5000;
/** The length of the time that is visible around the recording of an event, in seconds. */
const VISIBLE_SECONDS = 600;

/** Returns the filter in the page's address. Without a type there, it has the one that was chosen last. */
function filterOf(query: URLSearchParams): EventFilter {
  const camera = query.get("camera") ?? "";
  return {
    camera: isId(camera) ? camera : "",
    type: typeOf(query.get("type") ?? userStorage.getItem(STORED)),
    from: timeOf(query.get("from")),
    to: timeOf(query.get("to")),
    isUnseenOnly: query.has("unseen"),
  };
}

/** Returns the type of a filter in the form of `EventFilter`. */
function typeOf(chosen: string | null): string {
  if (chosen === ALL) {
    return "";
  }
  const isKnown = TYPES.some((type) => type === chosen) || REPORTED_TYPE.test(chosen ?? "");
  return isKnown && chosen ? chosen : UNUSUAL;
}

/** Changes the type of the filter. The choice between all events and unusual events is kept for later visits. */
function changeType(type: string): void {
  const chosen = type || ALL;
  if (chosen === ALL || chosen === UNUSUAL) {
    userStorage.setItem(STORED, chosen);
  }
  change("type", chosen);
}

/** Returns a local time of a form as the API takes it; an empty text if it is invalid. */
function timeOf(local: string | null): string {
  const time = new Date(local ?? "");
  return Number.isNaN(time.getTime()) ? "" : time.toISOString();
}

/** Changes one field of the filter in the page's address. */
function change(name: string, value: string): void {
  const query = new URLSearchParams(place.value.query);
  if (value) {
    query.set(name, value);
  } else {
    query.delete(name);
  }
  const text = query.toString();
  go(text ? `#/events?${text}` : "#/events", true);
}

function matches(event: StoredEvent, filter: EventFilter): boolean {
  const { from, to, isUnseenOnly } = filter;
  const at = Date.parse(event.at);
  const isInTime = (!from || at >= Date.parse(from)) && (!to || at < Date.parse(to));
  return isInTime && hasShownType(event, filter) && !(isUnseenOnly && event.seen);
}

type List = Listed<StoredEvent>;

/** Requests the events that match the filter, and keeps the list up to date. */
function useEvents(filter: EventFilter) {
  const [list, setList] = useState<List | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [attempt, setAttempt] = useState(0);
  const key = JSON.stringify(filter);
  const latest = useRef("");
  // biome-ignore lint/correctness/useExhaustiveDependencies: a further attempt requests the list again
  useEffect(() => {
    const shown: EventFilter = JSON.parse(key);
    let stop: (() => void) | undefined;
    let isOver = false;
    latest.current = key;
    const again = () => setAttempt((before) => before + 1);
    const begin = async () => {
      try {
        const page = await listEvents(shown, null);
        if (isOver) {
          return;
        }
        setList({ events: page.events, next: page.next ?? null });
        setError(null);
        const onEvent = (event: StoredEvent) =>
          setList((before) => before && withEvent(before, event, shown));
        stop = followEvents(shown, page.last_event_id, { onEvent, onMissed: again });
      } catch (cause) {
        if (!isOver) {
          setError(cause);
          const timer = setTimeout(again, RETRY_MS);
          stop = () => clearTimeout(timer);
        }
      }
    };
    void begin();
    return () => {
      isOver = true;
      stop?.();
    };
  }, [key, attempt]);
  // The service does not report marks that were set elsewhere, for example in another tab.
  useEffect(() => {
    const refresh = async () => {
      if (!document.hidden) {
        const { events, next, last_event_id } = await listEvents(JSON.parse(key), null);
        if (latest.current === key) {
          const page = { events, next: next ?? null };
          setList((before) => before && refreshed(before, page, last_event_id));
        }
      }
    };
    const onVisibility = () => void refresh().catch(setError);
    document.addEventListener("visibilitychange", onVisibility);
    return () => document.removeEventListener("visibilitychange", onVisibility);
  }, [key]);
  const more = useCallback(async () => {
    if (!list?.next) {
      return;
    }
    try {
      const page = await listEvents(JSON.parse(key), list.next);
      if (latest.current === key) {
        setList((before) => ({
          events: [...(before?.events ?? []), ...page.events],
          next: page.next ?? null,
        }));
      }
    } catch (cause) {
      report(cause);
    }
  }, [key, list]);
  const see = useCallback(
    (isSeen: (event: StoredEvent) => boolean) =>
      setList(
        (before) =>
          before && {
            ...before,
            events: before.events.map((event) =>
              isSeen(event) ? { ...event, seen: true } : event,
            ),
          },
      ),
    [],
  );
  return { list, error, more, see };
}

/** Pause before the list is requested again after an error. */
const RETRY_MS = 5000;

function withEvent(list: List, event: StoredEvent, filter: EventFilter): List {
  if (!matches(event, filter)) {
    return list;
  }
  return { ...list, events: merge(list.events, event, list.next !== null) };
}

export function Events() {
  const filter = filterOf(place.value.query);
  const { list, error, more, see } = useEvents(filter);
  useNames(list?.events.flatMap(({ camera }) => camera ?? []) ?? []);
  const canMark = hasRole("user");
  const unseen = list?.events.filter(({ seen }) => !seen) ?? [];
  const mark = async (event: StoredEvent) => {
    try {
      await markSeen(event.id);
      see(({ id }) => id === event.id);
    } catch (cause) {
      report(cause);
    }
  };
  const markAll = async () => {
    const upTo = Math.max(...(list?.events ?? []).map(({ id }) => id));
    try {
      await markAllSeen(filter, upTo);
      see(({ id }) => id <= upTo);
      notify(t("events.all_seen"));
    } catch (cause) {
      report(cause);
    }
  };
  return (
    <div class="page">
      <div class="bar">
        <h1>{t("nav.events")}</h1>
        {unseen.length > 0 && <span class="quiet">{plural("events.unseen", unseen.length)}</span>}
        <span class="gap" />
        {canMark && unseen.length > 0 && (
          <button type="button" onClick={() => void markAll()}>
            <Icon name="check" />
            {t("events.mark_all")}
          </button>
        )}
      </div>
      <Filter filter={filter} />
      <ErrorAlert error={error} />
      {!list && <div class="list waiting" aria-busy="true" />}
      {list?.events.length === 0 && (
        <Empty icon="bell" title={t("events.none_title")}>
          <p>{t("events.none")}</p>
        </Empty>
      )}
      {list && list.events.length > 0 && (
        <ul class="list">
          {list.events.map((event) => (
            <Row key={event.id} event={event} onSeen={canMark ? mark : null} />
          ))}
        </ul>
      )}
      {list?.next && (
        <button type="button" class="more" onClick={() => void more()}>
          {t("events.more")}
        </button>
      )}
    </div>
  );
}

const readCameras = () => listCameras({ limit: MAX_CAMERAS });

function Filter({ filter }: { filter: EventFilter }) {
  const cameras = useReading(readCameras).value?.cameras ?? [];
  const { query } = place.value;
  const { camera, type, isUnseenOnly } = filter;
  const isListed = !camera || cameras.some(({ id }) => id === camera);
  const options: [string, string][] = [
    ["", t("events.all_cameras")],
    ...cameras.map(({ id, name }): [string, string] => [id, name]),
    ...(isListed ? [] : [[camera, nameOf(camera)] as [string, string]]),
  ];
  const reported = useReading(listReportedTypes).value ?? [];
  const names = new Set([...reported, type].filter((each) => REPORTED_TYPE.test(each)));
  const types: [string, string][] = [
    [UNUSUAL, t("events.unusual")],
    ["", t("events.all_types")],
    // The group of reported events is the last one, so their names follow it.
    ...[...TYPES, ...names].map((each): [string, string] => [each, typeOption(each)]),
  ];
  return (
    <form class="filter" onSubmit={(event) => event.preventDefault()}>
      <Select
        label={t("events.camera")}
        value={camera}
        options={options}
        onChange={(value) => change("camera", value)}
      />
      <Select label={t("events.type")} value={type} options={types} onChange={changeType} />
      {(["from", "to"] as const).map((name) => (
        <label class="field" key={name}>
          <span>{t(`events.${name}`)}</span>
          <input
            type="datetime-local"
            value={query.get(name) ?? ""}
            onChange={(event) => change(name, event.currentTarget.value)}
          />
        </label>
      ))}
      <label class="check">
        <input
          type="checkbox"
          checked={isUnseenOnly}
          onChange={(event) => change("unseen", event.currentTarget.checked ? "1" : "")}
        />
        <span>{t("events.unseen_only")}</span>
      </label>
    </form>
  );
}

/** Returns the text of a type in the filter, in which the types of a group are indented. */
function typeOption(type: string): string {
  return type.includes(".") ? `\u2003${typeText(type)}` : typeText(type);
}

function Row({
  event,
  onSeen,
}: {
  event: StoredEvent;
  onSeen: ((event: StoredEvent) => void) | null;
}) {
  const { id, camera, type, at, until, label, repeats, seen } = event;
  const failure = failureOfEvent(event);
  const note = noteOf(event);
  const title = label ?? typeText(type);
  return (
    <li class={seen ? "row event" : "row event unseen-event"} data-event={id} data-type={type}>
      <div class="row-main">
        <strong class="event-title">
          <bdi>{title}</bdi>
        </strong>
        <span class="quiet">
          {camera && (
            <a href={watchAddress(camera)}>
              <bdi>{nameOf(camera)}</bdi>
            </a>
          )}
          {[
            label && typeText(type),
            note,
            repeats > 0 && plural("events.repeats", repeats),
            until && t("events.until", { time: dateTimeSeconds(until) }),
          ]
            .filter(Boolean)
            .map((text) => ` · ${text}`)}
        </span>
        {failure && (
          <span class="why">
            <FailureText failure={failure} />
          </span>
        )}
      </div>
      <time class="nowrap quiet" dateTime={at}>
        {dateTimeSeconds(at)}
      </time>
      {camera && hasRight("recordings") && (
        <a
          class="icon-button"
          href={recordingsAddress([camera], Date.parse(at) - BEFORE_MS, VISIBLE_SECONDS)}
          aria-label={t("recordings.open_event", { title })}
          title={t("recordings.open_event", { title })}
        >
          <Icon name="history" />
        </a>
      )}
      {!seen && onSeen && (
        <IconButton
          icon="check"
          label={t("events.mark_label", { title })}
          onClick={() => onSeen(event)}
        />
      )}
    </li>
  );
}
