// The command line.
import { number as parseNumber, readOptions as parse, selection } from "../support/options.mjs";
import { CANDIDATES, TRANSPORTS } from "./candidates.mjs";

const NAMES = Object.keys(CANDIDATES);
/** The transports of the service's page are not compared by default. */
const DEFAULT_NAMES = NAMES.filter((name) => !(name in TRANSPORTS));

const USAGE = `usage: ./deploy/bench latency [OPTION]...

  --only NAME,...     run only these candidates: ${NAMES.join(", ")} (${DEFAULT_NAMES.join(", ")})
  --tries N           number of cold starts per candidate (10)
  --running           measure the first picture while the stream is running; only for this service's transports
  --steady SECONDS    duration of the measurement of the picture's age (30); 0: no such measurement
  --settle SECONDS    time between the first picture and that measurement (10)
  --hls JSON          settings of hls.js that override those of every candidate; null removes a setting
  --gop SECONDS       time between the camera's keyframes (2)
  --size WIDTHxHEIGHT size of the camera's picture (640x360)
  --fps N             frames per second of the camera (25)
  --bitrate KBITS     bit rate of the camera (depends on the size and the frame rate)
  --json FILE         write all results to a file

The manager's settings come from the environment, as for ./deploy/run. The candidates "mediamtx" and
"mediamtx-webrtc" need the path of the MediaMTX program in MEDIAMTX_BIN, and "go2rtc-webrtc" needs that of
go2rtc in GO2RTC_BIN.
`;

const OPTIONS = {
  only: { type: "string", default: DEFAULT_NAMES.join(",") },
  tries: { type: "string", default: "10" },
  running: { type: "boolean", default: false },
  steady: { type: "string", default: "30" },
  settle: { type: "string", default: "10" },
  hls: { type: "string", default: "{}" },
  gop: { type: "string", default: "2" },
  size: { type: "string", default: "640x360" },
  fps: { type: "string", default: "25" },
  bitrate: { type: "string" },
  json: { type: "string" },
};

/** Reads the options from the command line. */
export const readOptions = () => parse(USAGE, OPTIONS, convert);

function convert(values) {
  const only = selection("--only", values.only, NAMES);
  const other = values.running && only.find((name) => !(name in TRANSPORTS));
  if (other) {
    throw new Error(`--running: "${other}" is not a transport of the service's page`);
  }
  const number = (name) => parseNumber(`--${name}`, values[name]);
  const size = /^(\d+)x(\d+)$/.exec(values.size);
  if (!size) {
    throw new Error(`--size: "${values.size}" is not a size such as 640x360`);
  }
  return {
    only,
    tries: number("tries"),
    running: values.running,
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
    throw new Error(`--${name}: "${values[name]}" is not a JSON object`);
  }
  return value;
}
