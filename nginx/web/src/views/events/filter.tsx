// The filter of the view of events, which is kept in the page's address.
import { listCameras } from "../../api/cameras";
import { type EventFilter, hasShownType, listReportedTypes, UNUSUAL } from "../../api/events";
import { nameOf } from "../../api/names";
import { useReading } from "../../api/reading";
import type { StoredEvent } from "../../api/types";
import { Select } from "../../ui/fields";
import { t } from "../../ui/i18n";
import { go, isId, place } from "../../ui/place";
import { userStorage } from "../../ui/storage";
import { TYPES, typeText } from "./texts";

/** Number of cameras in the filter: the API's limit. */
const MAX_CAMERAS = 1000;

/** The type in the page's address that stands for all types. */
const ALL = "all";
/** The type of an event that a back end reports, as the API accepts it. */
const REPORTED_TYPE = /^reported\.[a-z0-9]+([._-][a-z0-9]+)*$/;
/** The key of the choice between all events and unusual ones. */
const STORED = "events";

/** Returns the filter in the page's address. Without a type there, it has the one that was chosen last. */
export function filterOf(query: URLSearchParams): EventFilter {
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

/** Returns the address of the view with the present filter, but only with the events of this camera. */
export function cameraAddress(camera: string): string {
  const query = new URLSearchParams(place.value.query);
  query.set("camera", camera);
  return `#/events?${query}`;
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

/** Returns whether an event matches the filter, apart from the camera. */
export function matches(event: StoredEvent, filter: EventFilter): boolean {
  const { from, to, isUnseenOnly } = filter;
  const at = Date.parse(event.at);
  const isInTime = (!from || at >= Date.parse(from)) && (!to || at < Date.parse(to));
  return isInTime && hasShownType(event, filter) && !(isUnseenOnly && event.seen);
}

const readCameras = () => listCameras({ limit: MAX_CAMERAS });

export function Filter({ filter }: { filter: EventFilter }) {
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
