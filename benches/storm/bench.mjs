// Many starts at once, and how the API answers meanwhile. README.md tells the method.
import { writeFileSync } from "node:fs";
import { setPriority } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";

import { makeDirectory } from "../support/directory.mjs";
import { Manager } from "../support/manager.mjs";
import { number, readOptions } from "../support/options.mjs";
import { markdown, quantile, say } from "../support/report.mjs";
import { Source } from "../support/sources.mjs";

const USAGE = "usage: ./deploy/bench storm [CAMERAS] [--json FILE]\n";
/** Between two questions of one asker. */
const PAUSE_MILLISECONDS = 20;
const QUIET_SECONDS = 5;
/** Callers have machines of their own: what they wait here for a processor is not the API's. Root only. */
const CALLERS_NICE = -10;
const QUESTIONS = ["/api/health", "/api/streams", "/api/stream/status?indicator_id=first"];

const options = readOptions(
  USAGE,
  { json: { type: "string" } },
  (values, cameras = "200") => ({ ...values, cameras: number("CAMERAS", cameras) }),
  1,
);

/** Asks the API; status, body and milliseconds. */
async function ask(path, body) {
  const began = performance.now();
  const answer = await manager.ask(path, body);
  return { ...answer, took: performance.now() - began };
}

/** Asks the same again and again until `isOver`; the times it took. */
async function poll(path, isOver) {
  const times = [];
  while (!isOver()) {
    const { status, took } = await ask(path);
    if (status !== 200) {
      throw new Error(`${path}: ${status}`);
    }
    times.push(took);
    await sleep(PAUSE_MILLISECONDS);
  }
  return times;
}

/** What the API's questions took while `work` ran. */
async function observed(work) {
  let isOver = false;
  const polls = QUESTIONS.map(async (path) => [path, await poll(path, () => isOver)]);
  const result = await work();
  isOver = true;
  return [result, Object.fromEntries(await Promise.all(polls))];
}

const source = await Source.start();
const manager = await Manager.start(makeDirectory("storm-"));
const start = (id, link) => ask("/api/stream/start", { indicator_id: id, rtsp_link: link });
const links = source.links(0, options.cameras);

try {
  setPriority(CALLERS_NICE);
} catch {
  say("without the right to be served first, the callers wait for a processor too");
}
const alone = await start("first", source.links(options.cameras, 1)[0]);
say(`one start alone: ${alone.status}, ${Math.round(alone.took)} ms`);
const [, before] = await observed(() => sleep(QUIET_SECONDS * 1000));
say(`${options.cameras} starts at once`);
const [answers, during] = await observed(() => {
  return Promise.all(links.map((link, index) => start(`camera-${index}`, link)));
});

const failures = answers.filter(({ status }) => status !== 200);
const millis = (values, part) => quantile(values, part).toFixed(1);
const rows = QUESTIONS.map((path) => [
  path,
  millis(before[path], 0.5),
  millis(before[path], 0.99),
  millis(during[path], 0.5),
  millis(during[path], 0.99),
  millis(during[path], 1),
]);
const head = ["milliseconds", "quiet: p50", "p99", "in the storm: p50", "p99", "max"];
console.log(markdown(head, rows));
const took = answers.map((answer) => answer.took / 1000);
const seconds = [0.5, 0.99, 1].map((part) => quantile(took, part).toFixed(1)).join(", ");
console.log(`\n${options.cameras} starts at once: ${failures.length} failed; answered after (p50, p99, max) ${seconds} s.`);
for (const { status, body } of failures.slice(0, 10)) {
  console.log(`- ${status} ${body.code}: ${body.detail}`);
}
if (options.json) {
  writeFileSync(options.json, JSON.stringify({ before, during, took, failures }, null, 2));
}
await manager.end();
await source.child.end();
process.exit(failures.length ? 1 : 0);
