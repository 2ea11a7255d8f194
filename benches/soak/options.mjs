// The command line.
import { number, readOptions as parse } from "../support/options.mjs";

const USAGE = `usage: ./deploy/bench soak [MINUTES] [OPTION]...

  MINUTES        how long (10)
  --cameras N    how many there are (50)
  --viewers N    players at any time (60)
  --seed N       decides what everybody does; another each time, and printed, when left out
  --json FILE    writes all counts
  --log FILE     writes the manager's log

FFMPEG_BIN chooses the FFmpeg. Exit code 1 tells that something leaked, went back or did not come back.
`;

const OPTIONS = {
  cameras: { type: "string", default: "50" },
  viewers: { type: "string", default: "60" },
  seed: { type: "string" },
  json: { type: "string" },
  log: { type: "string" },
};

/** What was asked for. */
export const readOptions = () => parse(USAGE, OPTIONS, understand, 1);

function understand(values, minutes = "10") {
  return {
    minutes: number("MINUTES", minutes),
    cameras: number("--cameras", values.cameras),
    viewers: number("--viewers", values.viewers),
    seed: number("--seed", values.seed ?? String(Math.floor(Math.random() * 1e9))),
    json: values.json,
    log: values.log,
  };
}
