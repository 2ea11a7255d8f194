// Reads which frames the recorded files contain. This is an implementation of its own of the tables that the manager
// writes (src/media/mp4/frame_table.rs).
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { basename, dirname } from "node:path";

import { files } from "../support/usage.mjs";

/** Size and type of a box, and the beginning of the extended type of a table. */
const HEAD = 8;
const TABLE = Buffer.from("frame-table\0");
/** Size, type, extended type and version of a table. */
const BEFORE_TRACKS = 25;
const VIDEO_TRACK = 1;

/** Reads numbers of variable length. */
class Numbers {
  constructor(bytes, position) {
    Object.assign(this, { bytes, position });
  }

  next() {
    let [value, factor] = [0, 1];
    for (;;) {
      const byte = this.bytes[this.position++];
      value += (byte & 0x7f) * factor;
      factor *= 128;
      if (byte < 0x80) {
        return value;
      }
    }
  }

  /** Returns a number whose lowest bit is its sign. */
  nextSigned() {
    const value = this.next();
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }
}

/** Returns the bytes of the table at the end of a file. Throws if the file has none. */
function readTable(path) {
  const file = openSync(path);
  try {
    const { size } = fstatSync(file);
    const read = (position, length) => {
      const bytes = Buffer.alloc(length);
      readSync(file, bytes, 0, length, position);
      return bytes;
    };
    for (let position = 0; position + HEAD <= size; ) {
      const head = read(position, HEAD);
      const length = head.readUInt32BE(0);
      if (length < HEAD) {
        break;
      }
      if (head.toString("latin1", 4) === "uuid") {
        const table = read(position, length);
        if (table.subarray(HEAD, HEAD + TABLE.length).equals(TABLE) && position + length === size) {
          return table;
        }
      }
      position += length;
    }
  } finally {
    closeSync(file);
  }
  throw new Error(`${path} has no table of frames`);
}

/** Returns size and decode time in ticks of each frame of video in a file. */
function videoFrames(path) {
  const table = readTable(path);
  const tracks = table[BEFORE_TRACKS];
  const numbers = new Numbers(table, BEFORE_TRACKS + 1);
  for (let track = 0; track < tracks; track += 1) {
    const [id, , count, length] = [numbers.next(), numbers.next(), numbers.next(), numbers.next()];
    if (id !== VIDEO_TRACK) {
      numbers.position += length;
      continue;
    }
    const frames = [];
    let [time, duration] = [0, 0];
    for (let index = 0; index < count; index += 1) {
      const head = numbers.next();
      if (head % 2 === 1) {
        const [, timeChange, durationChange] = Array.from({ length: 4 }, () => numbers.nextSigned());
        time += timeChange;
        duration += durationChange;
      }
      frames.push({ size: Math.floor(head / 4), time });
      time += duration;
    }
    return frames;
  }
  throw new Error(`${path} has no video`);
}

/**
 * Compares the frames in all recorded files with those of the cameras. The decode time of a frame shows the number that
 * the camera gave it, and its size shows which frame of the clip it is: the same frames repeat. Returns the number of
 * files, spans and frames, the bytes, the frames that are missing between the first and the last frame, and the frames
 * with another size than in other repetitions of the clip.
 */
export function checkFrames(directory, { ticksPerFrame, clipFrames }) {
  const streams = new Map();
  let bytes = 0;
  for (const { name, stat } of files(directory)) {
    // The files of the index that was there before are empty.
    if (name.endsWith(".mp4") && stat.size > 0) {
      const stream = dirname(dirname(name));
      streams.set(stream, [...(streams.get(stream) ?? []), name]);
      bytes += stat.size;
    }
  }
  const total = { cameras: streams.size, files: 0, spans: 0, frames: 0, bytes, missing: 0, different: 0 };
  let fewest = Infinity;
  for (const names of streams.values()) {
    const frames = names.toSorted().flatMap((name) => videoFrames(`${directory}/${name}`));
    const number = ({ time }) => Math.round((time - frames[0].time) / ticksPerFrame);
    total.files += names.length;
    total.spans += new Set(names.map((name) => /-(\d+)\.mp4$/.exec(basename(name))[1])).size;
    total.frames += frames.length;
    total.missing += number(frames.at(-1)) + 1 - frames.length;
    total.different += frames.filter((frame, index) => {
      const before = frames[index - clipFrames];
      return before && before.size !== frame.size;
    }).length;
    fewest = Math.min(fewest, frames.length);
  }
  return { ...total, fewestFrames: fewest };
}
