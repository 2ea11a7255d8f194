// The command line.
import { parseArgs } from "node:util";

import { CANDIDATES } from "./candidates.mjs";

const NAMES = Object.keys(CANDIDATES);

const USAGE = `usage: ./deploy/bench latency [OPTION]...

  --only NAME,...     candidates, of ${NAMES.join(", ")}
  --tries N           cold starts for each candidate (10)
  --steady SECONDS    time the picture's age is measured over (30; 0 leaves it out)
  --settle SECONDS    time before that (10)
  --hls JSON          settings for hls.js, for all candidates, over all others; null removes one
  --gop SECONDS       the camera's distance between keyframes (2)
  --size WIDTHxHEIGHT the camera's picture (640x360)
  --fps N             its frames a second (25)
  --bitrate KBITS     its bit rate (by size)
  --json FILE         writes everything that was measured

The manager's settings come from the environment, as for ./deploy/run. MediaMTX takes part when
MEDIAMTX_BIN names its program.
`;

const OPTIONS = {
  only: { type: "string", default: NAMES.join(",") },
  tries: { type: "string", default: "10" },
  steady: { type: "string", default: "30" },
  settle: { type: "string", default: "10" },
  hls: { type: "string", default: "{}" },
  gop: { type: "string", default: "2" },
  size: { type: "string", default: "640x360" },
  fps: { type: "string", default: "25" },
  bitrate: { type: "string" },
  json: { type: "string" },
  help: { type: "boolean", short: "h", default: false },
};

/** What was asked for; ends the program when that is help, or nothing that can be done. */
export function readOptions() {
  try {
    const { values } = parseArgs({ options: OPTIONS });
    if (values.help) {
      process.stdout.write(USAGE);
      process.exit(0);
    }
    return understand(values);
  } catch (error) {
    process.stderr.write(`error: ${error.message}\n\n${USAGE}`);
    process.exit(64);
  }
}

function understand(values) {
  const only = values.only.split(",");
  const stranger = only.find((name) => !NAMES.includes(name));
  if (stranger !== undefined) {
    throw new Error(`--only: no candidate is called "${stranger}"`);
  }
  const size = /^(\d+)x(\d+)$/.exec(values.size);
  if (!size) {
    throw new Error("--size: not like 640x360");
  }
  return {
    only,
    tries: number(values, "tries"),
    steady: number(values, "steady"),
    settle: number(values, "settle"),
    hls: object(values, "hls"),
    camera: {
      width: Number(size[1]),
      height: Number(size[2]),
      fps: number(values, "fps"),
      gop: number(values, "gop"),
      bitrate: values.bitrate === undefined ? undefined : number(values, "bitrate"),
    },
    json: values.json,
  };
}

function object(values, name) {
  let value;
  try {
    value = JSON.parse(values[name]);
  } catch (error) {
    throw new Error(`--${name}: ${error.message}`);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new Error(`--${name}: not a JSON object`);
  }
  return value;
}

function number(values, name) {
  const value = Number(values[name]);
  if (!(value >= 0) || values[name] === "") {
    throw new Error(`--${name}: not a number from 0 on`);
  }
  return value;
}
