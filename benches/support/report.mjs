// What benchmarks print.

/** Progress, which is none of the result. */
export const say = (text) => process.stderr.write(`${text}\n`);

/** A table in Markdown; the first column is text, the others are numbers. */
export function markdown(head, rows) {
  const rule = head.map((_, column) => (column ? "--:" : "---"));
  return [head, rule, ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}
