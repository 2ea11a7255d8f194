// Measures how fast the API responds with few streams and with many. README.md describes the method.
import { execFile, execFileSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { Child } from "../../tests/browser/support/child.mjs";
import { freePort } from "../../tests/browser/support/port.mjs";
import { until } from "../../tests/browser/support/until.mjs";
import { forAll } from "../support/concurrency.mjs";
import { makeDirectory } from "../support/directory.mjs";
import { number, readOptions as parse } from "../support/options.mjs";
import { buildProgram } from "../support/program.mjs";
import { markdown, progress } from "../support/report.mjs";
import { startNginx } from "../support/servers.mjs";
import { footprint } from "../support/usage.mjs";

const USAGE = `usage: ./deploy/bench api [OPTION]...

  --seconds N            duration of each measurement (5)
  --connections N,...    numbers of connections (1,64,1000)
  --streams N,...        numbers of live streams (1,5000)
  --reaper N             number of streams for the measurement of the reaper (10000)
  --json FILE            write all results to a file
`;
const OPTIONS = {
  seconds: { type: "string", default: "5" },
  connections: { type: "string", default: "1,64,1000" },
  streams: { type: "string", default: "1,5000" },
  reaper: { type: "string", default: "10000" },
  json: { type: "string" },
};
const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const SCRIPT = fileURLToPath(new URL("wrk.lua", import.meta.url));
const RECORDING = join(ROOT, "target/bench/recording.nut");
const KEY = "benchmark-secret-0001";
const WARM_UP_SECONDS = 1;
/** Time limit for the start of a stream, while thousands of others are started. */
const START_SECONDS = 120;

const numbers = (name, text) => text.split(",").map((item) => number(name, item));
const options = parse(USAGE, OPTIONS, (values) => ({
  seconds: number("--seconds", values.seconds),
  connections: numbers("--connections", values.connections),
  streams: numbers("--streams", values.streams),
  reaper: number("--reaper", values.reaper),
  json: values.json,
}));

/**
 * Records one second of video as NUT, the format that the manager reads from FFmpeg. Does nothing if the
 * recording already exists.
 */
function record() {
  if (!existsSync(RECORDING)) {
    mkdirSync(join(ROOT, "target/bench"), { recursive: true });
    const source = ["-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25", "-t", "1"];
    const codec = ["-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "veryfast", "-bf", "0"];
    const output = ["-f", "nut", "-write_index", "0", RECORDING];
    const args = ["-nostdin", "-loglevel", "error", "-y", ...source, ...codec, ...output];
    execFileSync("ffmpeg", args, { stdio: ["ignore", "inherit", "inherit"] });
  }
}

/** A manager whose live streams need no processor time. */
class Manager {
  static async start(program, directory, streams) {
    const port = await freePort();
    const settings = {
      PORT: String(port),
      API_KEYS: `bench:admin:${KEY}`,
      STREAM_DIR: join(directory, `streams-${streams}`),
      DATABASE_URL: `sqlite:${directory}/cameras-${streams}.db`,
      MAX_STREAMS: "100000",
      // The streams stay live without new frames and without viewers.
      STALE_TIMEOUT_SECONDS: "300",
      CLEANUP_DELAY_SECONDS: "86400",
    };
    // The manager writes its log to /dev/null, because reading the log would slow down this program.
    const script = 'exec "$0" serve "$1" 2>/dev/null';
    const child = new Child("sh", ["-c", script, program, RECORDING], settings);
    const manager = new Manager(child, `http://127.0.0.1:${port}`);
    const isUp = () => fetch(`${manager.origin}/livez`).then(({ ok }) => ok, () => child.hasExited);
    await until("the manager", 60, isUp);
    await manager.#startAll(streams);
    return manager;
  }

  constructor(child, origin) {
    Object.assign(this, { child, origin });
  }

  async #startAll(streams) {
    this.ids = Array.from({ length: streams }, (_, number) => `camera-${number}`);
    const headers = { Authorization: `Bearer ${KEY}` };
    await forAll(this.ids, (id) => {
      return until(`the start of ${id}`, START_SECONDS, async () => {
        const response = await fetch(this.origin + start(id), { headers });
        const text = await response.text();
        // The manager reserves disk space for new streams, so it rejects some of these starts. `until`
        // repeats the rejected starts.
        if (!response.ok && JSON.parse(text).code !== "storage_full") {
          throw new Error(`${id} did not start: ${text}`);
        }
        return response.ok;
      });
    });
  }

  paths(operation) {
    return this.ids.map(operation);
  }
}

const start = (id) => {
  const link = encodeURIComponent(`rtsp://192.0.2.1/${id}`);
  return `/api/stream/start?indicator_id=${id}&rtsp_link=${link}`;
};
const OPERATIONS = {
  "start of an active stream": start,
  status: (id) => `/api/stream/status?indicator_id=${id}`,
  health: () => "/api/health",
};

/**
 * Runs wrk with these paths. Returns the results that wrk.lua prints. This function is asynchronous, because
 * this program must read the output of its other children in the meantime.
 */
async function runWrk(directory, origin, paths, connections, seconds) {
  const file = join(directory, "paths");
  writeFileSync(file, `${paths.join("\n")}\n`);
  const args = ["-t1", `-c${connections}`, `-d${seconds}s`, "--timeout", "30s", "-s", SCRIPT];
  const { stdout } = await promisify(execFile)("wrk", [...args, origin, "--", file, KEY]);
  return JSON.parse(stdout.trim().split("\n").at(-1));
}

async function measure(directory, origin, paths, connections) {
  await runWrk(directory, origin, paths, connections, WARM_UP_SECONDS);
  const result = await runWrk(directory, origin, paths, connections, options.seconds);
  if (result.wrong > 0) {
    throw new Error(`${result.wrong} requests like ${paths[0]} failed`);
  }
  return result;
}

const program = buildProgram("api");
record();
const directory = makeDirectory("api-");
const body = '{"status":"healthy","active_streams":5,"uptime_seconds":3600.0,"version":"0.1.0"}';
const nginx = await startNginx(
  directory,
  `location = /ok { default_type application/json; return 200 '${body}'; }`,
);
const results = [];
for (const streams of options.streams) {
  progress(`starting ${streams} streams`);
  const manager = await Manager.start(program, directory, streams);
  const { rss } = footprint(manager.child.process.pid);
  progress(`the manager uses ${(rss / 1e6).toFixed(1)} MB`);
  for (const connections of options.connections) {
    const add = async (what, origin, paths) => {
      progress(`${what}, ${connections} connections, ${streams} streams`);
      const measured = await measure(directory, origin, paths, connections);
      results.push({ what, connections, streams, ...measured });
    };
    for (const [what, operation] of Object.entries(OPERATIONS)) {
      await add(what, manager.origin, manager.paths(operation));
    }
    await add("nginx, `return 200`", nginx.origin.replace("localhost", "127.0.0.1"), ["/ok"]);
  }
  await manager.child.end();
}
await nginx.child.end();
const reaper = JSON.parse(execFileSync(program, ["reaper", options.reaper], { encoding: "utf8" }));

const milliseconds = (microseconds) => (microseconds / 1000).toFixed(2);
const rows = results.map(({ what, connections, streams, perSecond, p50, p99, p999 }) => {
  return [
    what,
    ...[streams, connections, perSecond].map((count) => count.toLocaleString("en")),
    ...[p50, p99, p999].map(milliseconds),
  ];
});
const head = ["", "streams", "connections", "responses/s", "p50, ms", "p99, ms", "p99.9, ms"];
console.log(markdown(head, rows));
const { median, p99 } = reaper;
console.log(`\nreaper, one pass over ${options.reaper} streams: median ${median} µs, p99 ${p99} µs`);
if (options.json) {
  const report = { at: new Date(), options, results, reaper };
  writeFileSync(options.json, `${JSON.stringify(report, null, 2)}\n`);
}
