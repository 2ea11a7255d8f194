// What the soak tells in the end.
import { markdown } from "../support/report.mjs";

const MEMORY = "memory, MB";
/** Allocators keep a little of what was free when something was freed. */
const ALLOWED_MEGABYTES = 8;

const show = (value) => (Number.isInteger(value) ? String(value) : value.toFixed(1));

/** What there is more of than before, in words. */
export function leaks(before, after) {
  return Object.keys(before).flatMap((what) => {
    const allowed = what === MEMORY ? ALLOWED_MEGABYTES : 0;
    const more = after[what] - before[what];
    return more > allowed ? [`${what}: ${show(before[what])} before, ${show(after[what])} after`] : [];
  });
}

/** Everything that was counted, as text. */
export function totals(record, before, peak, after) {
  const traces = Object.keys(before).map((what) => {
    return [what, ...[before, peak, after].map((all) => show(all[what]))];
  });
  const counts = [...record.counts].toSorted(([a], [b]) => a.localeCompare(b));
  const returns = [...record.returns].map(([after, seconds]) => {
    const sorted = seconds.toSorted((a, b) => a - b);
    const median = sorted[Math.floor(sorted.length / 2)];
    return [after, sorted.length, show(median), show(sorted.at(-1))];
  });
  return [
    markdown(["the manager has", "before", "all live", "after"], traces),
    "",
    markdown(["what happened", "times"], counts),
    "",
    markdown(["back after", "times", "median, s", "longest, s"], returns),
    "",
    `${record.faults.length} faults`,
    ...record.faults.map((fault) => `- ${fault}`),
  ].join("\n");
}
