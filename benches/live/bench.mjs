// Measures the live transports: the cost of viewers, a wall, and a viewer behind a bad line. README.md describes the
// method.
import { writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";

import { makeDirectory } from "../support/directory.mjs";
import { progress } from "../support/report.mjs";
import { lossTable, measureLoss } from "./loss.mjs";
import { readOptions } from "./options.mjs";
import { measureMemory, measureViewers, memoryTable, viewersTable } from "./viewers.mjs";
import { measureWall, wallTable } from "./wall.mjs";

const PARTS = {
  viewers: [measureViewers, viewersTable],
  memory: [measureMemory, memoryTable],
  wall: [measureWall, wallTable],
  loss: [measureLoss, lossTable],
};

const options = readOptions();
const directory = makeDirectory("live-");
const report = { at: new Date(), processors: availableParallelism(), options, results: {} };
let failure = null;
for (const name of options.only) {
  const [measure, table] = PARTS[name];
  try {
    const results = await measure(options, directory);
    report.results[name] = results;
    if (results.length > 0) {
      process.stdout.write(`${table(results)}\n\n`);
    }
  } catch (error) {
    progress(`${name}: ${error.stack}`);
    failure = error;
  }
  if (options.json) {
    writeFileSync(options.json, `${JSON.stringify(report, null, 2)}\n`);
  }
}
process.exit(failure ? 1 : 0);
