// Measures how long FFmpeg delays a frame: from the last RTP packet of the frame until FFmpeg has written it.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";

import { Camera, RtspServer } from "../support/rtsp.mjs";
import { cpuSeconds } from "../support/usage.mjs";

/** Time in which FFmpeg probes the stream. Frames in this time do not count. */
const WARM_UP_MILLISECONDS = 2000;
/**
 * Number of bytes at the end of a frame that identify the frame. The picture contains noise, so no two frames
 * end with the same bytes.
 */
const TAIL_BYTES = 32;

/** The frames that the camera has sent and FFmpeg has not written yet. */
class PendingFrames {
  #pending = [];
  #received = Buffer.alloc(0);
  delays = [];

  add(frame) {
    // The server reuses the frame's buffer, so these bytes are copied.
    const tail = Buffer.from(frame.bytes.subarray(-TAIL_BYTES));
    this.#pending.push({ tail, sent: performance.now() });
  }

  /** Records the delays of the frames whose last bytes are in this part of FFmpeg's output. */
  receive(bytes) {
    const now = performance.now();
    this.#received = Buffer.concat([this.#received, bytes]);
    for (;;) {
      const place = this.#pending.findIndex(({ tail }) => this.#received.includes(tail));
      if (place < 0) {
        return;
      }
      // Also removes earlier frames: FFmpeg drops the frames before the first keyframe.
      const { tail, sent } = this.#pending.splice(0, place + 1).at(-1);
      this.#received = this.#received.subarray(this.#received.indexOf(tail) + tail.length);
      this.delays.push({ sent, delay: now - sent });
    }
  }
}

/** Returns the arguments that copy a camera's video to stdout. */
function copying(link, format) {
  const probe = ["-analyzeduration", "100000", "-probesize", "5000"];
  const input = ["-rtsp_transport", "tcp", "-i", link, "-map", "0:v:0", "-c:v", "copy"];
  return ["-v", "fatal", "-nostdin", ...probe, ...input, ...format, "-flush_packets", "1", "pipe:1"];
}

/**
 * Lets an FFmpeg copy the clip in this format for some seconds after the warm-up. Returns the delays of the
 * frames in these seconds, in milliseconds, and the processor time as a fraction of one core.
 */
export async function measureDelay(program, clip, format, seconds) {
  const pending = new PendingFrames();
  const camera = new Camera(clip, 0);
  const server = new RtspServer(clip, () => camera);
  server.onSent = (frame) => pending.add(frame);
  const port = await server.listen();
  const args = copying(`rtsp://127.0.0.1:${port}/0`, format);
  const ffmpeg = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"] });
  ffmpeg.stdout.on("data", (bytes) => pending.receive(bytes));
  await sleep(WARM_UP_MILLISECONDS);
  const begin = performance.now();
  const before = cpuSeconds(ffmpeg.pid);
  await sleep(seconds * 1000);
  const cpu = (cpuSeconds(ffmpeg.pid) - before) / seconds;
  const delays = pending.delays.filter(({ sent }) => sent >= begin).map(({ delay }) => delay);
  const ended = once(ffmpeg, "close");
  ffmpeg.kill("SIGKILL");
  await ended;
  await server.die();
  return { delays, cpu };
}
