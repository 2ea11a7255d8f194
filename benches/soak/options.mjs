// The command line.
import { number, readOptions as parse } from "../support/options.mjs";

const USAGE = `usage: ./deploy/bench soak [MINUTES] [OPTION]...

  MINUTES        duration in minutes (10)
  --cameras N    number of cameras (50)
  --viewers N    number of simultaneous viewers (60)
  --seed N       seed of all random decisions (a random number, which is printed)
  --json FILE    write all results to a file
  --log FILE     write the manager's log to a file

FFMPEG_BIN selects the FFmpeg. The exit code is 1 if the benchmark has detected violations, such as leaks,
sequence numbers that decreased, or streams that did not recover.
`;

const OPTIONS = {
  cameras: { type: "string", default: "50" },
  viewers: { type: "string", default: "60" },
  seed: { type: "string" },
  json: { type: "string" },
  log: { type: "string" },
};

/** Reads the options from the command line. */
export const readOptions = () => parse(USAGE, OPTIONS, convert, 1);

function convert(values, minutes = "10") {
  return {
    minutes: number("MINUTES", minutes),
    cameras: number("--cameras", values.cameras),
    viewers: number("--viewers", values.viewers),
    seed: number("--seed", values.seed ?? String(Math.floor(Math.random() * 1e9))),
    json: values.json,
    log: values.log,
  };
}
