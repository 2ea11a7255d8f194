// The types of events of a subscription. A group, such as `camera`, stands for all types whose names begin with it.

/** The types that a new subscription has: what people should look at. */
export const USUAL_TYPES = [
  "motion",
  "camera.offline",
  "recording.interrupted",
  "storage",
  "reported",
];

export interface TypeGroup {
  name: string;
  /** The types of the group; empty if the group is a type itself, or if back ends choose its types. */
  types: string[];
}

/** Returns the groups of the known types, and of types that were chosen by other means. */
export function groupsFor(known: readonly string[], chosen: string[]): TypeGroup[] {
  const names = [...new Set(["motion", ...known, ...chosen])];
  const groups = new Set(names.map(groupOf));
  return [...groups].map((name) => ({
    name,
    types: names.filter((type) => type !== name && groupOf(type) === name),
  }));
}

function groupOf(type: string): string {
  return type.split(".")[0] ?? type;
}

/** Returns whether a type or group is chosen, itself or by its group. */
export function isChosen(chosen: string[], type: string): boolean {
  return chosen.includes(type) || chosen.includes(groupOf(type));
}

/** Returns the chosen types after a group was switched on or off. */
export function toggledGroup(chosen: string[], group: string): string[] {
  const others = chosen.filter((type) => groupOf(type) !== group);
  return chosen.includes(group) ? others : [...others, group];
}

/** Returns the chosen types after one type of a group was switched on or off. */
export function toggledType(chosen: string[], { name, types }: TypeGroup, type: string): string[] {
  const others = chosen.filter((each) => groupOf(each) !== name);
  const next = types.filter((each) => isChosen(chosen, each) !== (each === type));
  return [...others, ...next];
}
