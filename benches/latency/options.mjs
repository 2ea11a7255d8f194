// The command line.
import { number as parseNumber, readOptions as parse, selection } from "../support/options.mjs";
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
};

/** What was asked for. */
export const readOptions = () => parse(USAGE, OPTIONS, understand);

function understand(values) {
  const only = selection("--only", values.only, NAMES);
  const number = (name) => parseNumber(`--${name}`, values[name]);
  const size = /^(\d+)x(\d+)$/.exec(values.size);
  if (!size) {
    throw new Error("--size: not like 640x360");
  }
  return {
    only,
    tries: number("tries"),
    steady: number("steady"),
    settle: number("settle"),
    hls: object(values, "hls"),
    camera: {
      width: Number(size[1]),
      height: Number(size[2]),
      fps: number("fps"),
      gop: number("gop"),
      bitrate: values.bitrate === undefined ? undefined : number("bitrate"),
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
