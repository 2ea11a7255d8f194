// Many starts at once, and how the API answers meanwhile. README.md tells the method.
import { writeFileSync } from "node:fs";
import { Agent, request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

import { makeDirectory } from "../support/directory.mjs";
import { Manager } from "../support/manager.mjs";
import { number, readOptions } from "../support/options.mjs";
import { markdown, say } from "../support/report.mjs";
import { Source } from "../support/sources.mjs";

const USAGE = "usage: ./deploy/bench storm [CAMERAS] [--json FILE]\n";
/** Between two questions of one asker. */
const PAUSE_MILLISECONDS = 20;
const QUIET_SECONDS = 5;

const options = readOptions(
  USAGE,
  { json: { type: "string" } },
  (values, cameras = "200") => ({ ...values, cameras: number("CAMERAS", cameras) }),
  1,
);

const agent = new Agent({ keepAlive: true, maxSockets: Infinity });

/** Asks the API; status, body and milliseconds. */
function ask(url, body) {
  const began = performance.now();
  const text = body && JSON.stringify(body);
  const headers = text ? { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(text) } : {};
  return new Promise((resolve, reject) => {
    const asked = request(url, { agent, method: text ? "POST" : "GET", headers }, (answer) => {
      const chunks = [];
      answer.on("data", (chunk) => chunks.push(chunk)).on("error", reject);
      answer.on("end", () => {
        const took = performance.now() - began;
        resolve({ status: answer.statusCode, body: JSON.parse(Buffer.concat(chunks)), took });
      });
    });
    asked.on("error", reject).end(text);
  });
}

/** Asks the same again and again until `isOver`; the times it took. */
async function poll(url, isOver) {
  const times = [];
  while (!isOver()) {
    const { status, took } = await ask(url);
    if (status !== 200) {
      throw new Error(`${url}: ${status}`);
    }
    times.push(took);
    await sleep(PAUSE_MILLISECONDS);
  }
  return times;
}

const quantile = (values, part) => {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))];
};

/** What the API's questions took while `work` ran. */
async function observed(api, work) {
  let isOver = false;
  const names = ["health", "streams", "stream/status?indicator_id=first"];
  const polls = names.map((name) => poll(`${api}/api/${name}`, () => isOver));
  const result = await work();
  isOver = true;
  return [result, Object.fromEntries((await Promise.all(polls)).map((times, index) => [names[index], times]))];
}

const source = await Source.start();
const manager = await Manager.start(makeDirectory("storm-"));
const start = (id, link) => {
  return ask(`${manager.api}/api/stream/start`, { indicator_id: id, rtsp_link: link });
};
const links = source.links(0, options.cameras);

const alone = await start("first", source.links(options.cameras, 1)[0]);
say(`one start alone: ${alone.status}, ${Math.round(alone.took)} ms`);
const [, before] = await observed(manager.api, () => sleep(QUIET_SECONDS * 1000));
say(`${options.cameras} starts at once`);
const [answers, during] = await observed(manager.api, () => {
  return Promise.all(links.map((link, index) => start(`camera-${index}`, link)));
});

const failures = answers.filter(({ status }) => status !== 200);
const millis = (values, part) => quantile(values, part).toFixed(1);
const rows = Object.keys(during).map((name) => [
  `/api/${name}`,
  millis(before[name], 0.5),
  millis(before[name], 0.99),
  millis(during[name], 0.5),
  millis(during[name], 0.99),
  Math.max(...during[name]).toFixed(1),
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
