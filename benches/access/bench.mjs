// Measures what authorization costs: the manager's check for playlists, and nginx's request to the manager
// for each segment. README.md describes the method.
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";

import { Camera } from "../../tests/browser/support/camera.mjs";
import { freePort } from "../../tests/browser/support/port.mjs";
import { Service } from "../../tests/browser/support/service.mjs";
import { post } from "../support/api.mjs";
import { makeDirectory } from "../support/directory.mjs";
import { number, readOptions } from "../support/options.mjs";
import { markdown, progress } from "../support/report.mjs";
import { startConfigured } from "../support/servers.mjs";

const KEY = "benchmark-secret-0001";
const ID = "benchmark";
const PLAYLIST = "stream.m3u8";
const SEGMENT = "1.m4s";
const SEGMENT_BYTES = 250_000;
const NGINX_CONNECTIONS = 32;
const MANAGER_CONNECTIONS = 64;

const USAGE = `usage: ./deploy/bench access [OPTION]...

  --rounds N     number of rounds (5)
  --seconds N    duration of each measurement (3)
  --json FILE    write all results to a file
`;
const options = readOptions(
  USAGE,
  {
    rounds: { type: "string", default: "5" },
    seconds: { type: "string", default: "3" },
    json: { type: "string" },
  },
  (values) => ({
    ...values,
    rounds: number("--rounds", values.rounds),
    seconds: number("--seconds", values.seconds),
  }),
);

/**
 * Runs wrk. Returns the requests per second and the 99th percentile of the latency. Throws if a request
 * failed.
 */
function runWrk(url, connections, headers = {}) {
  const lines = Object.entries(headers).flatMap(([name, value]) => ["-H", `${name}: ${value}`]);
  const args = ["-t1", `-c${connections}`, `-d${options.seconds}s`, "--latency", ...lines, url];
  const output = execFileSync("wrk", args, { encoding: "utf8" });
  const errors =
    /Non-2xx or 3xx responses: (\d+)/.exec(output) ?? /Socket errors: (.*)/.exec(output);
  if (errors) {
    throw new Error(`${url}: ${errors[0]}`);
  }
  return {
    perSecond: Number(/Requests\/sec:\s+([\d.]+)/.exec(output)[1]),
    p99: /^\s+99%\s+(\S+)/m.exec(output)[1],
  };
}

/**
 * Starts a second nginx with the service's configuration, but without authorization and with playlists from
 * disk.
 */
async function startPlain(service, directory) {
  const port = await freePort();
  const plain = service
    .nginxConfiguration(`127.0.0.1:${port}`, directory)
    .replace(/^\s*auth_request .*$/m, "")
    .replace("location ~ \\.(m3u8|jpg)$", "location ~ \\.jpg$")
    .replace("location ~ \\.(m4s|mp4)$", "location ~ \\.(m4s|mp4|m3u8)$");
  return startConfigured(directory, port, plain);
}

const camera = await Camera.start();
const directory = makeDirectory("access-");
const settings = { API_KEYS: `bench:admin:${KEY}`, STREAM_DIR: join(directory, "streams") };
const service = await Service.start(settings, ["--no-demo"]);
const plain = await startPlain(service, directory);

const call = (path, body) => post(service.origin + path, body, { Authorization: `Bearer ${KEY}` });
await call("/api/stream/start", { indicator_id: ID, rtsp_link: camera.link });
const session = await call("/api/playback/sessions", { user: "bench", camera: ID });
writeFileSync(join(service.streams, ID, SEGMENT), Buffer.alloc(SEGMENT_BYTES));
const authorized = `${service.origin}${session.hls_url.replace(/[^/]+$/, "")}`;
const playlist = await (await fetch(authorized + PLAYLIST)).text();
writeFileSync(join(service.streams, ID, PLAYLIST), playlist);
const token = session.hls_url.split("/")[2];

const rows = [PLAYLIST, SEGMENT].map((name) => {
  const pairs = [];
  for (let round = 1; round <= options.rounds; round += 1) {
    progress(`${name}, round ${round}`);
    const withAuthorization = runWrk(authorized + name, NGINX_CONNECTIONS);
    const without = runWrk(`${plain.origin}/streams/${ID}/${name}`, NGINX_CONNECTIONS);
    pairs.push({ withAuthorization, without, ratio: withAuthorization.perSecond / without.perSecond });
  }
  pairs.sort((a, b) => a.ratio - b.ratio);
  return { name, pairs };
});
progress("the manager alone");
const headers = { "X-Camera-Id": ID, "X-Playback-Token": token };
const manager = runWrk(`${service.manager}/internal/viewer`, MANAGER_CONNECTIONS, headers);

const perSecond = ({ perSecond: count }) => Math.round(count).toLocaleString("en");
const percent = (ratio) => `${Math.round(ratio * 100)} %`;
const cells = rows.map(({ name, pairs }) => {
  const { withAuthorization, without, ratio } = pairs[Math.floor(pairs.length / 2)];
  const rates = [perSecond(withAuthorization), withAuthorization.p99, perSecond(without), without.p99];
  const range = `${percent(pairs[0].ratio)} to ${percent(pairs.at(-1).ratio)}`;
  return [name, ...rates, percent(ratio), range];
});
const head = ["requests/s", "with authorization", "p99", "without", "p99", "ratio", "all rounds"];
console.log(markdown(head, cells));
console.log(`\nthe manager alone: ${perSecond(manager)} responses/s, p99 ${manager.p99}`);
if (options.json) {
  writeFileSync(options.json, JSON.stringify({ rows, manager }, null, 2));
}
plain.child.kill();
await service.end();
await camera.end();
