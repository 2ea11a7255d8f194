// The words for events.
import { explain } from "../../api/explanation";
import { MOTION } from "../../api/motion";
import type { Coded } from "../../api/problem";
import type { StoredEvent } from "../../api/types";
import type { Failure } from "../../ui/failure";
import { isKey, number, t } from "../../ui/i18n";

/** The beginning of the types of events that a back end reports. */
const REPORTED = "reported.";

/** The types and groups of types in the filter. */
export const TYPES = [
  "stream",
  "stream.started",
  "stream.live",
  "stream.stalled",
  "stream.interrupted",
  "stream.failed",
  "stream.stopped",
  "camera",
  "camera.offline",
  "camera.online",
  "recording",
  "recording.started",
  "recording.interrupted",
  "recording.resumed",
  "recording.stopped",
  "storage",
  "storage.full",
  "storage.failed",
  "storage.slow",
  "storage.recovered",
  MOTION,
  "reported",
] as const;

/** Returns the name of an event's type; for an event of a back end, the name that the back end has chosen. */
export function typeText(type: string): string {
  const key = `event.${type}`;
  if (isKey(key)) {
    return t(key);
  }
  return type.startsWith(REPORTED) ? type.slice(REPORTED.length) : type;
}

/** Returns the error that caused the event; null for an event without an error. */
export function failureOfEvent({ data }: StoredEvent): Failure | null {
  const { error } = data as { error?: Coded };
  return typeof error?.code === "string" ? explain(error) : null;
}

/** Returns the stream, the reason, the directory or the size that an event names; null if it names none. */
export function noteOf({ type, data, until }: StoredEvent): string | null {
  const { profile, reason, directory, peak } = data as {
    profile?: string;
    reason?: string;
    directory?: string;
    peak?: number;
  };
  const key = `event.reason.${reason}`;
  const notes = [
    /^(stream|recording)\./.test(type) && profile === "sub" ? t("status.sub") : null,
    type.startsWith("storage.") ? directory : null,
    type === "stream.stopped" && isKey(key) ? t(key) : null,
    type === MOTION && peak ? t("event.motion.peak", { n: number(peak * 100, 1) }) : null,
    type === MOTION && !until ? t("event.motion.continues") : null,
  ];
  return notes.filter(Boolean).join(" · ") || null;
}
