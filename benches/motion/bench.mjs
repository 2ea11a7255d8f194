// Measures the cost of motion detection, and the time until motion is reported. README.md describes the method.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { makeDirectory } from "../support/directory.mjs";
import { costTable, measureCost } from "./cost.mjs";
import { delayTable, measureDelay } from "./delay.mjs";
import { readOptions } from "./options.mjs";

const MEASUREMENTS = {
  cost: { measure: measureCost, table: costTable },
  delay: { measure: measureDelay, table: delayTable },
};

const options = readOptions();
const directory = makeDirectory("motion-");
const results = {};
for (const part of options.only) {
  const { measure, table } = MEASUREMENTS[part];
  const own = join(directory, part);
  mkdirSync(own);
  results[part] = await measure(options, own);
  process.stdout.write(`${table(results[part], options)}\n\n`);
}
if (options.json) {
  writeFileSync(options.json, `${JSON.stringify({ at: new Date().toISOString(), options, results }, null, 2)}\n`);
}
