// The command line.
import { available, number, readOptions as parse, selection } from "../support/options.mjs";
import { CANDIDATES } from "./candidates.mjs";

const NAMES = Object.keys(CANDIDATES);

const USAGE = `usage: ./deploy/bench density [CAMERAS] [OPTION]...

  CAMERAS             how many there are (100)
  --only NAME,...     candidates, of ${NAMES.join(", ")}
  --seconds N         time that is measured (60; 20 with --grow)
  --settle N          time before that, with all streams live (30; 15 with --grow)
  --grow              CAMERAS more, again and again, until the machine is full
  --json FILE         writes everything that was measured

The manager's settings come from the environment, as for ./deploy/run; FFMPEG_BIN chooses its
FFmpeg, and the other candidate is always the system's. MediaMTX takes part when MEDIAMTX_BIN names
its program.
`;

const OPTIONS = {
  only: { type: "string", default: NAMES.join(",") },
  seconds: { type: "string" },
  settle: { type: "string" },
  grow: { type: "boolean", default: false },
  json: { type: "string" },
};

/** What was asked for. */
export const readOptions = () => parse(USAGE, OPTIONS, understand, 1);

function understand(values, cameras = "100") {
  const options = {
    cameras: number("CAMERAS", cameras),
    only: available(selection("--only", values.only, NAMES)),
    seconds: number("--seconds", values.seconds ?? (values.grow ? "20" : "60")),
    settle: number("--settle", values.settle ?? (values.grow ? "15" : "30")),
    isGrowing: values.grow,
    json: values.json,
  };
  if (options.cameras < 1 || options.seconds < 1) {
    throw new Error("there has to be a camera, and a second");
  }
  return options;
}
