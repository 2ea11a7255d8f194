// Output of benchmarks.

/** Prints a progress message to stderr. Only results go to stdout. */
export const progress = (text) => process.stderr.write(`${text}\n`);

/** Returns a Markdown table. The first column is left-aligned, and the others are right-aligned. */
export function markdown(head, rows) {
  const rule = head.map((_, column) => (column ? "--:" : "---"));
  return [head, rule, ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

/**
 * Returns a quantile of the values, such as the median for the fraction 0.5; null if there are no values.
 */
export function quantile(values, fraction) {
  if (values.length === 0) {
    return null;
  }
  const sorted = values.toSorted((a, b) => a - b);
  const position = fraction * (sorted.length - 1);
  const [low, high] = [sorted[Math.floor(position)], sorted[Math.ceil(position)]];
  return low + (high - low) * (position % 1);
}
