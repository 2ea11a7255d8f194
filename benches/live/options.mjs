// The command line.
import { number as parseNumber, readOptions as parse, selection } from "../support/options.mjs";
import { KINDS } from "./viewers.mjs";
import { WEBRTC } from "./wall.mjs";

export const PARTS = ["viewers", "memory", "wall", "loss"];

const USAGE = `usage: ./deploy/bench live [OPTION]...

  --only PART,...      run only these parts: ${PARTS.join(", ")} (all)
  --settle SECONDS     time between a change and the measurement (10)
  --seconds N          duration of each measurement (60)
  --json FILE          write all results to a file

viewers: the cost of each further viewer of a camera with 1920x1080 and 4 Mbit/s
  --kinds KIND,...     ${Object.keys(KINDS).join(", ")} (all)
  --viewers N          number of further viewers (20); a quarter of it for WebRTC
  --rounds N           number of measurements with and without them (3)
memory: the memory of each socket of one camera
  --sockets N          number of sockets (200)
wall: 16 sub streams on one page
  --tries N            number of times that the page is opened (3)
  --fps N              frames per second of the cameras (25)
  --webrtc CASE,...    ${Object.keys(WEBRTC).join(", ")} (all)
loss: a viewer behind a line that loses packets; needs root
  --loss PERCENT       packets that are lost, in each direction (2)
  --delay MS           round trip (50)
  --rate MBITS         rate of the line in each direction (0: no limit)
  --queue MS           longest wait in the line's queue, if it has a rate (200)
  --congestion NAME    congestion control of the service's TCP (reno)

The manager's settings come from the environment, as for ./deploy/run.
`;

const OPTIONS = {
  only: { type: "string", default: PARTS.join(",") },
  settle: { type: "string", default: "10" },
  seconds: { type: "string", default: "60" },
  kinds: { type: "string", default: Object.keys(KINDS).join(",") },
  viewers: { type: "string", default: "20" },
  rounds: { type: "string", default: "3" },
  sockets: { type: "string", default: "200" },
  tries: { type: "string", default: "3" },
  fps: { type: "string", default: "25" },
  webrtc: { type: "string", default: Object.keys(WEBRTC).join(",") },
  loss: { type: "string", default: "2" },
  delay: { type: "string", default: "50" },
  rate: { type: "string", default: "0" },
  queue: { type: "string", default: "200" },
  congestion: { type: "string", default: "reno" },
  json: { type: "string" },
};

/** Reads the options from the command line. */
export const readOptions = () => parse(USAGE, OPTIONS, convert);

function convert(values) {
  const number = (name) => parseNumber(`--${name}`, values[name]);
  const positive = (name) => {
    const value = number(name);
    if (!(Number.isInteger(value) && value > 0)) {
      throw new Error(`--${name}: "${values[name]}" is not a positive integer`);
    }
    return value;
  };
  return {
    only: selection("--only", values.only, PARTS),
    settle: number("settle"),
    seconds: positive("seconds"),
    kinds: selection("--kinds", values.kinds, Object.keys(KINDS)),
    viewers: positive("viewers"),
    rounds: positive("rounds"),
    sockets: positive("sockets"),
    tries: positive("tries"),
    fps: positive("fps"),
    webrtc: selection("--webrtc", values.webrtc, Object.keys(WEBRTC)),
    loss: number("loss"),
    delay: number("delay"),
    rate: number("rate"),
    queue: number("queue"),
    congestion: values.congestion,
    json: values.json,
  };
}
