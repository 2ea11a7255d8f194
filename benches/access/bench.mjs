// What it costs that nginx asks the manager before it serves a file. README.md tells the method.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";

import { Camera } from "../../tests/browser/support/camera.mjs";
import { Child } from "../../tests/browser/support/child.mjs";
import { freePort } from "../../tests/browser/support/port.mjs";
import { Service } from "../../tests/browser/support/service.mjs";
import { until } from "../../tests/browser/support/until.mjs";

const KEY = "benchmark-secret-0001";
const ID = "benchmark";
const SEGMENT = "1.m4s";
const SEGMENT_BYTES = 250_000;
const NGINX_CONNECTIONS = 32;
const MANAGER_CONNECTIONS = 64;

const { values } = parseArgs({
  options: { seconds: { type: "string", default: "8" }, json: { type: "string" } },
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
    p99: /99%\s+(\S+)/.exec(said)[1],
  };
}

/** The nginx of the service once more, without its question. */
class PlainNginx {
  static async start(service) {
    const shipped = readFileSync(service.nginxConfiguration(), "utf8");
    const directory = mkdtempSync(join(tmpdir(), "plain-nginx-"));
    process.on("exit", () => rmSync(directory, { recursive: true, force: true }));
    const port = await freePort();
    const plain = shipped
      .replace(/^\s*auth_request .*$/m, "")
      .replace("access_log /dev/stdout", "access_log /dev/null")
      .replace(/^\s*listen .*$/m, `listen 127.0.0.1:${port};`)
      .replace(/^(\s*(?:pid|\w+_temp_path)\s+)".*\/(\w[\w.]*)";$/gm, `$1"${directory}/$2";`);
    const file = join(directory, "nginx.conf");
    writeFileSync(file, plain);
    const child = new Child("nginx", ["-e", "stderr", "-g", "daemon off;", "-c", file]);
    const origin = `http://127.0.0.1:${port}`;
    const isUp = async () => (await fetch(origin).catch(() => {}))?.ok;
    await until("nginx", 10, isUp).catch((error) => {
      throw new Error(`${error.message}; it said: ${child.output}`);
    });
    return { child, origin };
  }
}

const camera = await Camera.start();
const service = await Service.start({ API_KEYS: `bench:admin:${KEY}` }, ["--no-demo"]);
const plain = await PlainNginx.start(service);

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
const token = session.hls_url.split("/")[2];

const rows = ["stream.m3u8", SEGMENT].map((name) => {
  say(name);
  const asked = ask(`${service.origin}/play/${token}/${ID}/${name}`, NGINX_CONNECTIONS);
  const unasked = ask(`${plain.origin}/streams/${ID}/${name}`, NGINX_CONNECTIONS);
  return { name, asked, unasked, share: asked.perSecond / unasked.perSecond };
});
say("the manager");
const headers = { "X-Camera-Id": ID, "X-Playback-Token": token };
const manager = ask(`${service.manager}/internal/viewer`, MANAGER_CONNECTIONS, headers);

const perSecond = ({ perSecond: count }) => Math.round(count).toLocaleString("en");
const lines = [
  "| | with the question | p99 | without | p99 | share |",
  "| --- | --: | --: | --: | --: | --: |",
  ...rows.map(({ name, asked, unasked, share }) => {
    const cells = [name, perSecond(asked), asked.p99, perSecond(unasked), unasked.p99];
    return `| ${cells.join(" | ")} | ${Math.round(share * 100)} % |`;
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
