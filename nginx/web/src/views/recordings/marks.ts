// Groups events into marks on the time line, so that each mark can be seen and pressed.
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

/** Returns the marks of events in a view of this width in pixels. Events closer than `distance` pixels share a mark. */
export function marksOfEvents(
  events: StoredEvent[],
  view: View,
  width: number,
  distance = 9,
): EventMark[] {
  const marks: EventMark[] = [];
  for (const event of events) {
    const share = shareOf(view, Date.parse(event.at));
    if (share < 0 || share > 1) {
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
