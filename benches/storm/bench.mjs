// Measures how fast the API responds while many streams are started at once. README.md describes the
// method.
import { writeFileSync } from "node:fs";
import { setPriority } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";

import { makeDirectory } from "../support/directory.mjs";
import { Manager } from "../support/manager.mjs";
import { number, readOptions } from "../support/options.mjs";
import { markdown, progress, quantile } from "../support/report.mjs";
import { Source } from "../support/sources.mjs";

const USAGE = `usage: ./deploy/bench storm [CAMERAS] [OPTION]...

  CAMERAS        number of simultaneous starts (200)
  --json FILE    write all results to a file
`;
/** Time between a response and the client's next request. */
const PAUSE_MILLISECONDS = 20;
const QUIET_SECONDS = 5;
/**
 * The clients run with high priority, so that they do not wait for a processor, because real clients run on
 * other machines. High priority needs root.
 */
const CLIENT_NICE = -10;
const PATHS = ["/api/health", "/api/streams", "/api/stream/status?indicator_id=first"];

const options = readOptions(
  USAGE,
  { json: { type: "string" } },
  (values, cameras = "200") => ({ ...values, cameras: number("CAMERAS", cameras) }),
  1,
);

/** Sends a request to the API. Returns the response, and the request's duration in milliseconds. */
async function call(path, body) {
  const start = performance.now();
  const response = await manager.call(path, body);
  return { ...response, took: performance.now() - start };
}

/** Repeats a request until `isOver`. Returns the durations in milliseconds. */
async function poll(path, isOver) {
  const durations = [];
  while (!isOver()) {
    const { status, took } = await call(path);
    if (status !== 200) {
      throw new Error(`${path}: ${status}`);
    }
    durations.push(took);
    await sleep(PAUSE_MILLISECONDS);
  }
  return durations;
}

/** Sends requests to the API during `work`. Returns the result of `work`, and the durations by path. */
async function measureDuring(work) {
  let isOver = false;
  const polls = PATHS.map(async (path) => [path, await poll(path, () => isOver)]);
  const result = await work();
  isOver = true;
  return [result, Object.fromEntries(await Promise.all(polls))];
}

const source = await Source.start();
const manager = await Manager.start(makeDirectory("storm-"));
const start = (id, link) => call("/api/stream/start", { indicator_id: id, rtsp_link: link });
const links = source.links(0, options.cameras);

try {
  setPriority(CLIENT_NICE);
} catch {
  progress("cannot raise the priority, which needs root; the results include the time that clients wait for a processor");
}
const first = await start("first", source.links(options.cameras, 1)[0]);
progress(`a single start: ${first.status}, ${Math.round(first.took)} ms`);
const [, before] = await measureDuring(() => sleep(QUIET_SECONDS * 1000));
progress(`${options.cameras} simultaneous starts`);
const [responses, during] = await measureDuring(() => {
  return Promise.all(links.map((link, index) => start(`camera-${index}`, link)));
});

const failures = responses.filter(({ status }) => status !== 200);
const millis = (values, fraction) => quantile(values, fraction).toFixed(1);
const rows = PATHS.map((path) => [
  path,
  millis(before[path], 0.5),
  millis(before[path], 0.99),
  millis(during[path], 0.5),
  millis(during[path], 0.99),
  millis(during[path], 1),
]);
const head = ["milliseconds", "idle: p50", "p99", "during the starts: p50", "p99", "max"];
console.log(markdown(head, rows));
const took = responses.map((response) => response.took / 1000);
const seconds = [0.5, 0.99, 1].map((fraction) => quantile(took, fraction).toFixed(1)).join(", ");
console.log(`\n${options.cameras} simultaneous starts: ${failures.length} failed; response times (p50, p99, max): ${seconds} s`);
for (const { status, body } of failures.slice(0, 10)) {
  console.log(`- ${status} ${body.code}: ${body.detail}`);
}
if (options.json) {
  writeFileSync(options.json, JSON.stringify({ before, during, took, failures }, null, 2));
}
await manager.end();
await source.child.end();
process.exit(failures.length ? 1 : 0);
