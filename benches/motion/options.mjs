// The command line.
import { number as parseNumber, readOptions as parse, selection } from "../support/options.mjs";

export const PARTS = ["cost", "delay"];

const USAGE = `usage: ./deploy/bench motion [OPTION]...

  --only PART,...      run only these parts: ${PARTS.join(", ")} (all)
  --cameras N          number of analysed cameras (4)
  --settle SECONDS     time between a change and the measurement (20)
  --seconds N          duration of each measurement (60)
  --walks N            number of walks in front of each camera (4)
  --json FILE          write all results to a file

The manager's settings come from the environment, as for ./deploy/run.
`;

const OPTIONS = {
  only: { type: "string", default: PARTS.join(",") },
  cameras: { type: "string", default: "4" },
  settle: { type: "string", default: "20" },
  seconds: { type: "string", default: "60" },
  walks: { type: "string", default: "4" },
  json: { type: "string" },
};

/** Reads the options from the command line. */
export const readOptions = () => parse(USAGE, OPTIONS, convert);

function convert(values) {
  const number = (name) => parseNumber(`--${name}`, values[name]);
  return {
    only: selection("--only", values.only, PARTS),
    cameras: number("cameras"),
    settle: number("settle"),
    seconds: number("seconds"),
    walks: number("walks"),
    json: values.json,
  };
}
