// The camera process: any number of cameras, at rtsp://127.0.0.1:PORT/NUMBER. This is a separate process,
// so that the benchmark can measure the cameras' processor time. The argument is a JSON object with the properties of the
// clip. On SIGUSR2, the process writes the number of frames
// that all cameras together have sent.
import { Clip } from "./clip.mjs";
import { Camera, RtspServer } from "./rtsp.mjs";

const clip = Clip.load(JSON.parse(process.argv[2] ?? "{}"));
const cameras = new Map();

function find(url) {
  const number = Number(/^rtsp:\/\/[^/]+\/(\d+)(?:\/|$)/.exec(url)?.[1]);
  if (Number.isNaN(number)) {
    return undefined;
  }
  if (!cameras.has(number)) {
    cameras.set(number, new Camera(clip, number));
  }
  return cameras.get(number);
}

const server = new RtspServer(clip, find);
const port = await server.listen();
const { duration, fps, gopFrames } = clip;
const bitRate = Math.round(clip.bitRate);
console.log(JSON.stringify({ event: "ready", port, bitRate, clip: { duration, fps, gopFrames } }));

let framesSent = 0;
server.onSent = () => {
  framesSent += 1;
};
let reports = 0;
process.on("SIGUSR2", () => {
  reports += 1;
  console.log(JSON.stringify({ event: "sent", report: reports, frames: framesSent }));
});
process.on("SIGTERM", () => process.exit(0));
