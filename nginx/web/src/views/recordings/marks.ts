// Groups events into marks on the time line, so that each mark can be seen and pressed.
import { MOTION } from "../../api/motion";
import type { StoredEvent } from "../../api/types";
import { shareOf, type View } from "./scale";

export type EventKind = "reported" | "bad" | "other";

export interface EventMark {
  /** The place in the view, from 0 to 1. */
  share: number;
  /** The events of the mark, the earliest first. */
  events: StoredEvent[];
  kind: EventKind;
}

/** The types of events that tell that something is wrong. */
const BAD =
  /^(stream\.(failed|stalled|interrupted)|camera\.offline|storage\.(full|failed)|recording\.interrupted)$/;

function kindOf({ type }: StoredEvent): EventKind {
  if (type.startsWith("reported.")) {
    return "reported";
  }
  return BAD.test(type) ? "bad" : "other";
}

/** Returns whether an event has the type, or belongs to this group of types. */
export function hasType({ type }: StoredEvent, wanted: string): boolean {
  return !wanted || type === wanted || type.startsWith(`${wanted}.`);
}

const RANK: Record<EventKind, number> = { reported: 2, bad: 1, other: 0 };

/** Times at which something moved, in the view: the beginning and the length, from 0 to 1. */
export interface MotionMark {
  id: number;
  share: number;
  length: number;
}

/** Returns the times of motion in a view. Motion that continues is shown until `now`, in Unix milliseconds. */
export function marksOfMotion(events: StoredEvent[], view: View, now: number): MotionMark[] {
  return events
    .filter(({ type }) => type === MOTION)
    .map(({ id, at, until }) => {
      const share = Math.max(0, shareOf(view, Date.parse(at)));
      const end = Math.min(1, shareOf(view, until ? Date.parse(until) : now));
      return { id, share, length: end - share };
    })
    .filter(({ length }) => length >= 0);
}

/**
 * Returns the marks of events in a view of this width in pixels. Events closer than `distance` pixels share a mark.
 * Motion has no such marks; see `marksOfMotion`.
 */
export function marksOfEvents(
  events: StoredEvent[],
  view: View,
  width: number,
  distance = 9,
): EventMark[] {
  const marks: EventMark[] = [];
  for (const event of events) {
    const share = shareOf(view, Date.parse(event.at));
    if (share < 0 || share > 1 || event.type === MOTION) {
      continue;
    }
    const last = marks.at(-1);
    const kind = kindOf(event);
    if (last && (share - last.share) * width < distance) {
      last.events.push(event);
      last.kind = RANK[kind] > RANK[last.kind] ? kind : last.kind;
    } else {
      marks.push({ share, events: [event], kind });
    }
  }
  return marks;
}
