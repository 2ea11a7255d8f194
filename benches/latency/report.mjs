// Formats the results as a table.
import { markdown, quantile } from "../support/report.mjs";

function spread(values) {
  const [min, median, p95, max] = [0, 0.5, 0.95, 1].map((fraction) => quantile(values, fraction));
  return { min, median, p95, max };
}

const sum = (values) => values.reduce((total, value) => total + value, 0);

/** Returns the figures of a candidate. Times are in milliseconds. */
export function summary({ cold, steady }) {
  const pictures = cold.filter(({ failure }) => !failure).map(({ picture }) => picture);
  const figures = { cold: spread(pictures), age: spread(steady?.ages ?? []), watched: null };
  if (steady) {
    const settled = steady.stalls.filter(({ isSettled }) => isSettled);
    figures.watched = {
      stallsAtFirst: steady.stalls.length - settled.length,
      stalls: settled.length,
      longestGap: steady.longestGap ?? null,
      pageStalls: steady.pageStalls?.filter(({ isSettled }) => isSettled).length ?? null,
      stalled: sum(steady.stalls.map(({ milliseconds }) => milliseconds)),
      fatal: sum(Object.values(steady.errors.fatal)),
      other: sum(Object.values(steady.errors.other)),
    };
  }
  return figures;
}

const NONE = "–";
const seconds = (value) => (value === null ? NONE : (value / 1000).toFixed(2));
const ratio = (value, base) => (value && base ? `${(value / base).toFixed(2)}×` : NONE);

/**
 * The head of each column, and a function that formats its cells from the figures of a row and of the
 * first row.
 */
const COLUMNS = [
  ["first picture: min", ({ cold }) => seconds(cold.min)],
  ["median", ({ cold }) => seconds(cold.median)],
  ["max", ({ cold }) => seconds(cold.max)],
  ["age: median", ({ age }) => seconds(age.median)],
  ["p95", ({ age }) => seconds(age.p95)],
  ["stalls: initial", ({ watched }) => watched?.stallsAtFirst ?? NONE],
  ["later", ({ watched }) => watched?.stalls ?? NONE],
  ["seconds", ({ watched }) => seconds(watched?.stalled ?? null)],
  ["longest gap", ({ watched }) => seconds(watched?.longestGap ?? null)],
  ["stalls of the page", ({ watched }) => watched?.pageStalls ?? NONE],
  ["errors: fatal", ({ watched }) => watched?.fatal ?? NONE],
  ["other", ({ watched }) => watched?.other ?? NONE],
  ["ratio: first picture", ({ cold }, base) => ratio(cold.median, base.cold.median)],
  ["age", ({ age }, base) => ratio(age.median, base.age.median)],
];

/**
 * Returns a Markdown table with times in seconds. The ratios compare each median with the median of the first
 * row.
 */
export function table(results) {
  const base = summary(results[0]);
  const rows = results.map((result) => {
    const figures = summary(result);
    return [result.title, ...COLUMNS.map(([, cell]) => cell(figures, base))];
  });
  const head = ["", ...COLUMNS.map(([name]) => name)];
  return [markdown(head, rows), ...results.flatMap(failures)].join("\n");
}

/**
 * Describes the failures of a candidate. The figures do not include failed starts and unreadable pictures.
 */
function failures({ name, cold, steady, steadyFailure }) {
  const failed = cold.filter(({ failure }) => failure);
  const unreadable = steady?.unreadable ?? 0;
  return [
    ...(failed.length ? [`${failed.length} of ${cold.length} starts failed: ${failed[0].failure}`] : []),
    ...(steadyFailure ? [`the steady measurement failed: ${steadyFailure}`] : []),
    ...(unreadable ? [`the clock was unreadable in ${unreadable} pictures`] : []),
  ].map((failure) => `\n${name}: ${failure}`);
}
