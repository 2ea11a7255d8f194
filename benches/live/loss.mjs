// A viewer behind a line that loses packets. The service and its cameras run in one network namespace, and the
// browser in another one; see namespaces.mjs. line.mjs does the measurement in the service's namespace.
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { Child } from "../../tests/browser/support/child.mjs";
import { markdown, progress } from "../support/report.mjs";
import { figuresOf } from "./page.mjs";
import { milliseconds } from "./report.mjs";
import { Namespaces, obstacle } from "./namespaces.mjs";

const PROGRAM = fileURLToPath(new URL("./line.mjs", import.meta.url));
/** Time limit for all measurements: this, and the time of more cases than there are. */
const SECONDS = 600;
const MAX_CASES = 10;

/** Measures each of the cases of line.mjs. Returns the results; none if the user is not root. */
export async function measureLoss(options, directory) {
  const reason = obstacle();
  if (reason) {
    progress(`loss: skipped, because ${reason}`);
    return [];
  }
  const ownDirectory = join(directory, "loss");
  mkdirSync(ownDirectory);
  const namespaces = await Namespaces.create(options);
  const file = join(ownDirectory, "results.json");
  const { settle, seconds } = options;
  const task = { settle, seconds, directory: ownDirectory, viewer: namespaces.viewer, file };
  const inside = ["netns", "exec", namespaces.service, process.execPath, PROGRAM];
  const child = new Child("ip", [...inside, JSON.stringify(task)]);
  child.process.stderr.on("data", (text) => process.stderr.write(text));
  try {
    if ((await child.waitForExit(SECONDS + MAX_CASES * (settle + seconds))) !== 0) {
      throw new Error(`the measurement has failed:\n${child.output}`);
    }
    const results = JSON.parse(readFileSync(file, "utf8"));
    await namespaces.relay.end();
    progress(`loss: ${namespaces.relay.output.trim().split("\n").slice(1).join("; ")}`);
    return results.map((result) => ({ ...result, figures: figuresOf(result.recording) }));
  } finally {
    await child.end();
    await namespaces.end();
  }
}

const HEAD = [
  "behind the bad line",
  ...["first picture, ms", "age: median, ms", "p95", "max"],
  ...["pictures per s", "longest gap, ms", "gaps", "ms in gaps", "while the page stalled"],
  ...["frames skipped", "sub stream after, ms", "transports"],
];

/** Returns the table of the results. */
export function lossTable(results) {
  const rows = results.map(({ title, first, skipped, movedAfter, figures }) => {
    const { age } = figures;
    return [
      title,
      ...[first, age.p50, age.p95, age.max].map(milliseconds),
      figures.rate.toFixed(1),
      ...[milliseconds(figures.longest), figures.gaps, milliseconds(figures.frozen)],
      ...[figures.stalledGaps, skipped, milliseconds(movedAfter), figures.transports],
    ];
  });
  return markdown(HEAD, rows);
}
