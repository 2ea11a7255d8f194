// The camera process: any number of cameras, at rtsp://127.0.0.1:PORT/NUMBER. This is a separate process,
// so that the benchmark can measure the cameras' processor time.
import { Clip } from "./clip.mjs";
import { Camera, RtspServer } from "./rtsp.mjs";

const clip = Clip.load();
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

const port = await new RtspServer(clip, find).listen();
console.log(JSON.stringify({ event: "ready", port, bitRate: Math.round(clip.bitRate) }));
process.on("SIGTERM", () => process.exit(0));
