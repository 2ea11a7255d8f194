// What it costs that the manager is asked before anything is served. README.md tells the method.
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";

import { Camera } from "../../tests/browser/support/camera.mjs";
import { freePort } from "../../tests/browser/support/port.mjs";
import { Service } from "../../tests/browser/support/service.mjs";
import { makeDirectory } from "../support/directory.mjs";
import { startConfigured } from "../support/servers.mjs";

const KEY = "benchmark-secret-0001";
const ID = "benchmark";
const PLAYLIST = "stream.m3u8";
const SEGMENT = "1.m4s";
const SEGMENT_BYTES = 250_000;
const NGINX_CONNECTIONS = 32;
const MANAGER_CONNECTIONS = 64;

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    seconds: { type: "string", default: "3" },
    json: { type: "string" },
  },
});
const say = (text) => process.stderr.write(`${text}\n`);

/** Requests a second and the 99th percentile of the latency, of one address asked all the time. */
function ask(url, connections, headers = {}) {
  const lines = Object.entries(headers).flatMap(([name, value]) => ["-H", `${name}: ${value}`]);
  const args = ["-t1", `-c${connections}`, `-d${values.seconds}s`, "--latency", ...lines, url];
  const said = execFileSync("wrk", args, { encoding: "utf8" });
  const faults = /Non-2xx or 3xx responses: (\d+)/.exec(said) ?? /Socket errors: (.*)/.exec(said);
  if (faults) {
    throw new Error(`${url}: ${faults[0]}`);
  }
  return {
    perSecond: Number(/Requests\/sec:\s+([\d.]+)/.exec(said)[1]),
    p99: /^\s+99%\s+(\S+)/m.exec(said)[1],
  };
}

/** The nginx of the service once more, which asks nobody and has playlists from disk too. */
async function startPlain(service, directory) {
  const port = await freePort();
  const plain = service
    .nginxConfiguration(`127.0.0.1:${port}`, directory)
    .replace(/^\s*auth_request .*$/m, "")
    .replace("(stream|index)\\.m3u8)$", "nothing)$")
    .replace("\\.(m4s|mp4))$", "\\.(m4s|mp4|m3u8))$");
  return startConfigured(directory, port, plain);
}

const camera = await Camera.start();
const directory = makeDirectory("access-");
const settings = { API_KEYS: `bench:admin:${KEY}`, STREAM_DIR: join(directory, "streams") };
const service = await Service.start(settings, ["--no-demo"]);
const plain = await startPlain(service, directory);

async function call(path, body) {
  const answer = await fetch(service.origin + path, {
    method: "POST",
    headers: { "Content-Type": "application/json", Authorization: `Bearer ${KEY}` },
    body: JSON.stringify(body),
  });
  if (!answer.ok) {
    throw new Error(`${path}: ${await answer.text()}`);
  }
  return answer.json();
}

await call("/api/stream/start", { indicator_id: ID, rtsp_link: camera.link });
const session = await call("/api/playback/sessions", { user: "bench", camera: ID });
writeFileSync(join(service.streams, ID, SEGMENT), Buffer.alloc(SEGMENT_BYTES));
const asked = `${service.origin}${session.hls_url.replace(/[^/]+$/, "")}`;
writeFileSync(join(service.streams, ID, PLAYLIST), await (await fetch(asked + PLAYLIST)).text());
const token = session.hls_url.split("/")[2];

const rows = [PLAYLIST, SEGMENT].map((name) => {
  const pairs = [];
  for (let round = 1; round <= values.rounds; round += 1) {
    say(`${name}, round ${round}`);
    const withQuestion = ask(asked + name, NGINX_CONNECTIONS);
    const without = ask(`${plain.origin}/streams/${ID}/${name}`, NGINX_CONNECTIONS);
    pairs.push({ withQuestion, without, share: withQuestion.perSecond / without.perSecond });
  }
  pairs.sort((a, b) => a.share - b.share);
  return { name, pairs };
});
say("the manager");
const headers = { "X-Camera-Id": ID, "X-Playback-Token": token };
const manager = ask(`${service.manager}/internal/viewer`, MANAGER_CONNECTIONS, headers);

const perSecond = ({ perSecond: count }) => Math.round(count).toLocaleString("en");
const percent = (share) => `${Math.round(share * 100)} %`;
const lines = [
  "| | with the question | p99 | without | p99 | share | in other rounds |",
  "| --- | --: | --: | --: | --: | --: | --- |",
  ...rows.map(({ name, pairs }) => {
    const { withQuestion, without, share } = pairs[Math.floor(pairs.length / 2)];
    const cells = [name, perSecond(withQuestion), withQuestion.p99, perSecond(without), without.p99];
    const range = `${percent(pairs[0].share)} to ${percent(pairs.at(-1).share)}`;
    return `| ${[...cells, percent(share), range].join(" | ")} |`;
  }),
];
console.log(lines.join("\n"));
console.log(`\nthe manager alone: ${perSecond(manager)} answers a second, p99 ${manager.p99}`);
if (values.json) {
  writeFileSync(values.json, JSON.stringify({ rows, manager }, null, 2));
}
plain.child.kill();
await service.end();
await camera.end();
