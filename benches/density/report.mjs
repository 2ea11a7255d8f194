// Formats the results as tables.
import { markdown } from "../support/report.mjs";

const MEGABYTE = 1_000_000;
const NONE = "–";

const percent = (share, digits = 1) => `${(share * 100).toFixed(digits)} %`;
const megabytes = (bytes, digits = 1) => (bytes / MEGABYTE).toFixed(digits);
const sum = (values) => values.reduce((total, value) => total + value, 0);

/**
 * Returns whether a group of processes counts towards the cost. nginx does not count, because its usage depends on
 * the viewers, not on the cameras.
 */
const isOwn = ({ name }) => !name.startsWith("nginx");

function total({ parts, files }) {
  const own = parts.filter(isOwn);
  return { cpu: sum(own.map(({ cpu }) => cpu)), bytes: sum(own.map(({ bytes }) => bytes)) + files };
}

/** Returns the rows of a candidate: the total, the kinds of processes, and the HLS files. */
function rows(result) {
  const { cameras } = result;
  const row = (what, { cpu, bytes }) => [
    what,
    cpu === null ? NONE : percent(cpu),
    cpu === null ? NONE : percent(cpu / cameras, 3),
    megabytes(bytes),
    megabytes(bytes / cameras, 2),
  ];
  const parts = result.parts.map((part) => row(`— ${part.name}`, part));
  const files = { cpu: null, bytes: result.files };
  return [
    row(`**${result.title}**`, total(result)),
    ...parts,
    ...(result.files === null ? [] : [row("— HLS files", files)]),
  ];
}

/** Returns a description of the run: interruptions, and the load of the machine. */
function notes({ name, cameras, around, machine, age, isStalled, taken, interruptions, parts }) {
  const elsewhere = machine.busy - sum(parts.map(({ cpu }) => cpu)) - around.source - around.bench;
  const [perCamera, source, bench, busy, other, idle, stolen] = [
    megabytes(taken / cameras, 2),
    ...[around.source, around.bench, machine.busy, elsewhere, machine.idle, machine.stolen].map(
      (share) => percent(share),
    ),
  ];
  const problems = [...interruptions, ...(isStalled ? ["an output stalled"] : [])];
  return [
    `${name}: ${problems.length ? problems.join(", ") : "no restart, no stall"}.`,
    age === null ? "" : `The longest time without a write to an output was ${age.toFixed(2)} s.`,
    `The machine's available memory shrank by ${perCamera} MB per camera.`,
    `CPU of one core: cameras ${source}, this benchmark ${bench}, other processes ${other};`,
    `in total busy ${busy}, idle ${idle}, stolen ${stolen}.`,
  ].filter(Boolean).join(" ");
}

/** Returns a table with the cost of each candidate for the same cameras, and a description of each run. */
export function costTable(results) {
  const head = [
    `${results[0].cameras} cameras`,
    ...["CPU of a core", "per camera", "memory, MB", "per camera"],
  ];
  return [markdown(head, results.flatMap(rows)), "", ...results.map(notes)].join("\n");
}

/**
 * Returns a table for each candidate with the cost of increasing numbers of cameras, until the machine is
 * full.
 */
export function growthTable(results) {
  return results.map(growth).join("\n\n");
}

function growth({ title, steps, full }) {
  const head = ["cameras", "CPU of a core", "per camera", "memory per camera, MB"].concat(
    ...["cameras' CPU", "machine idle", "longest pause, s"],
  );
  const rows = steps.map((step) => {
    const { cpu, bytes } = total(step);
    const { busy, idle } = step.machine;
    return [
      step.cameras,
      ...[percent(cpu), percent(cpu / step.cameras, 3), megabytes(bytes / step.cameras, 2)],
      ...[percent(step.around.source), percent(idle / (idle + busy)), step.age.toFixed(2)],
    ];
  });
  return [
    `${title}:\n`,
    markdown(head, rows),
    `\nfull at ${full.cameras} cameras: ${full.reason}`,
  ].join("\n");
}
