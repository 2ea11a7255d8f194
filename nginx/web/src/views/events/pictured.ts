// Which events have pictures.
import type { RecordedStream, StoredEvent } from "../../api/types";

/** The types of events about what happened in front of a camera, of which a picture says something. */
const SEEN = /^(motion$|detected\.|reported\.)/;

/** Returns the recorded stream with a picture of the event; undefined if no stream has one. */
export function recordedAt(
  { camera, at, type }: StoredEvent,
  recorded: RecordedStream[],
): RecordedStream | undefined {
  // The newest recordings were perhaps made after the list was read.
  const streams = recorded.filter(
    (stream) => stream.camera === camera && Date.parse(stream.from) <= Date.parse(at),
  );
  return SEEN.test(type) ? (streams.find(({ id }) => id !== camera) ?? streams[0]) : undefined;
}

/** Returns whether a picture is stored with the event. */
export function isStored(event: StoredEvent & { thumbnail?: boolean }): boolean {
  return event.thumbnail === true;
}

export function hasPicture(event: StoredEvent, recorded: RecordedStream[]): boolean {
  return isStored(event) || recordedAt(event, recorded) !== undefined;
}
