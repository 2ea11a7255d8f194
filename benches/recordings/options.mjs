// The command line.
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { number, readOptions as parse } from "../support/options.mjs";

const USAGE = `usage: ./deploy/bench recordings [CAMERAS] [OPTION]...

  CAMERAS             number of cameras (100)
  --minutes N         duration of the recording (10)
  --load N            minutes of the recording in which the index is under load (2, or half of the recording)
  --baseline N        seconds in which the cameras are measured without recording, before and afterwards (60)
  --days N            days of all cameras that are in the index before the recording (7)
  --dir DIR           directory on the disk that is measured (target/bench)
  --json FILE         write all results to a file

The manager's settings come from the environment, as for ./deploy/run. FFMPEG_BIN selects the manager's FFmpeg.
The disk needs 30 MB of free space for each camera and minute. The files are deleted at the end.
`;

const OPTIONS = {
  minutes: { type: "string", default: "10" },
  load: { type: "string" },
  baseline: { type: "string", default: "60" },
  days: { type: "string", default: "7" },
  dir: { type: "string", default: join(fileURLToPath(new URL("../../target", import.meta.url)), "bench") },
  json: { type: "string" },
};

/** Reads the options from the command line. */
export const readOptions = () => parse(USAGE, OPTIONS, convert, 1);

function convert(values, cameras = "100") {
  const minutes = number("--minutes", values.minutes);
  const options = {
    cameras: number("CAMERAS", cameras),
    minutes,
    load: values.load === undefined ? Math.min(2, minutes / 2) : number("--load", values.load),
    baseline: number("--baseline", values.baseline),
    days: number("--days", values.days),
    dir: values.dir,
    json: values.json,
  };
  if (options.cameras < 1 || options.baseline < 1 || options.minutes <= options.load) {
    throw new Error("CAMERAS and --baseline must be at least 1, and --minutes must be greater than --load");
  }
  return options;
}
