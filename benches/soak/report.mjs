// The report at the end of the benchmark.
import { markdown } from "../support/report.mjs";

const MEMORY = "memory, MB";
/**
 * Growth of the memory, in megabytes, that does not count as a leak, because allocators do not return all
 * freed memory to the system.
 */
const ALLOWED_MEGABYTES = 8;

const format = (value) => (Number.isInteger(value) ? String(value) : value.toFixed(1));

/** Describes each resource whose usage has grown by more than is allowed. */
export function leaks(before, after) {
  return Object.keys(before).flatMap((what) => {
    const allowed = what === MEMORY ? ALLOWED_MEGABYTES : 0;
    const growth = after[what] - before[what];
    const values = `${format(before[what])} before, ${format(after[what])} after`;
    return growth > allowed ? [`${what}: ${values}`] : [];
  });
}

/** Returns the usage, counts, recoveries and violations as Markdown. */
export function report(record, before, peak, after) {
  const usage = Object.keys(before).map((what) => {
    return [what, ...[before, peak, after].map((values) => format(values[what]))];
  });
  const counts = [...record.counts].toSorted(([a], [b]) => a.localeCompare(b));
  const recoveries = [...record.recoveries].map(([disturbance, seconds]) => {
    const sorted = seconds.toSorted((a, b) => a - b);
    const median = sorted[Math.floor(sorted.length / 2)];
    return [disturbance, sorted.length, format(median), format(sorted.at(-1))];
  });
  return [
    markdown(["usage", "before", "all live", "after"], usage),
    "",
    markdown(["event", "count"], counts),
    "",
    markdown(["recovery after", "count", "median, s", "longest, s"], recoveries),
    "",
    `${record.violations.length} violations`,
    ...record.violations.map((violation) => `- ${violation}`),
  ].join("\n");
}
