// An event in the list.
import { hasRight } from "../../api/caller";
import { MOTION } from "../../api/motion";
import { nameOf } from "../../api/names";
import type { StoredEvent } from "../../api/types";
import { FailureText } from "../../ui/failure";
import { dateTimeSeconds, duration, plural, t } from "../../ui/i18n";
import { Icon, IconButton } from "../../ui/icons";
import { recordingsAddress, watchAddress } from "../../ui/place";
import { failureOfEvent, noteOf, typeText } from "./texts";

/** The time before an event with which its recording begins, in milliseconds. */
const BEFORE_MS = 5000;
/** The length of the time that is visible around the recording of an event, in seconds. */
const VISIBLE_SECONDS = 600;

/** Returns the address of the recording of an event. */
export function recordingAddress(camera: string, at: string): string {
  return recordingsAddress([camera], Date.parse(at) - BEFORE_MS, VISIBLE_SECONDS);
}

export function Row({
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
            until && untilText(event, until),
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
          href={recordingAddress(camera, at)}
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

/** Returns how long motion has lasted, or the end of another event. */
function untilText({ type, at }: StoredEvent, until: string): string {
  if (type !== MOTION) {
    return t("events.until", { time: dateTimeSeconds(until) });
  }
  const seconds = (Date.parse(until) - Date.parse(at)) / 1000;
  return t("event.lasted", { duration: duration(Math.max(1, seconds)) });
}
