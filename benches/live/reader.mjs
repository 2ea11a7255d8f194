// A process with viewers that only read. The argument is a JSON object: the number of viewers, the URL, and either
// `watch`, the first message on a live socket, or `isHls`. The process writes its counters to stdout once a second.
import { watchHls } from "./hls.mjs";
import { watchSocket } from "./socket.mjs";

const REPORT_EVERY_MS = 1000;

const { count, url, watch, isHls } = JSON.parse(process.argv[2]);
const counters = { bytes: 0, frames: 0, missed: 0, ended: 0 };

for (let viewer = 0; viewer < count; viewer += 1) {
  if (isHls) {
    watchHls(url, counters);
  } else {
    watchSocket(url, watch, counters);
  }
}
setInterval(
  () => process.stdout.write(`${JSON.stringify({ at: performance.now(), ...counters })}\n`),
  REPORT_EVERY_MS,
);
process.on("SIGTERM", () => process.exit(0));
