// What benchmarks print.

/** Progress, which is none of the result. */
export const say = (text) => process.stderr.write(`${text}\n`);

/** A table in Markdown; the first column is text, the others are numbers. */
export function markdown(head, rows) {
  const rule = head.map((_, column) => (column ? "--:" : "---"));
  return [head, rule, ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

/** The value that this part of all values lies below; null without any. */
export function quantile(values, part) {
  if (values.length === 0) {
    return null;
  }
  const sorted = values.toSorted((a, b) => a - b);
  const place = part * (sorted.length - 1);
  const [low, high] = [sorted[Math.floor(place)], sorted[Math.ceil(place)]];
  return low + (high - low) * (place % 1);
}
