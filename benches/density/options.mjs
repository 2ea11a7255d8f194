// The command line.
import { available, number, readOptions as parse, selection } from "../support/options.mjs";
import { CANDIDATES } from "./candidates.mjs";

const NAMES = Object.keys(CANDIDATES);

const USAGE = `usage: ./deploy/bench density [CAMERAS] [OPTION]...

  CAMERAS             number of cameras (100)
  --only NAME,...     run only these candidates: ${NAMES.join(", ")}
  --seconds N         duration of each measurement (60, or 20 with --grow)
  --settle N          seconds between the start and the measurement (30, or 15 with --grow)
  --grow              add CAMERAS cameras repeatedly until the machine is full
  --json FILE         write all results to a file

The manager's settings come from the environment, as for ./deploy/run. FFMPEG_BIN selects the
manager's FFmpeg. The candidate "ffmpeg" always uses the FFmpeg of the system. The candidate "mediamtx"
needs the path of the MediaMTX program in MEDIAMTX_BIN.
`;

const OPTIONS = {
  only: { type: "string", default: NAMES.join(",") },
  seconds: { type: "string" },
  settle: { type: "string" },
  grow: { type: "boolean", default: false },
  json: { type: "string" },
};

/** Reads the options from the command line. */
export const readOptions = () => parse(USAGE, OPTIONS, convert, 1);

function convert(values, cameras = "100") {
  const options = {
    cameras: number("CAMERAS", cameras),
    only: available(selection("--only", values.only, NAMES)),
    seconds: number("--seconds", values.seconds ?? (values.grow ? "20" : "60")),
    settle: number("--settle", values.settle ?? (values.grow ? "15" : "30")),
    isGrowing: values.grow,
    json: values.json,
  };
  if (options.cameras < 1 || options.seconds < 1) {
    throw new Error("CAMERAS and --seconds must be at least 1");
  }
  return options;
}
