// Finds keyframes in fragments of MP4 (ISO/IEC 14496-12), as the service writes them.

/** Bytes of a box's size and type. */
const HEADER = 8;
/** Bytes of a box's version and flags. */
const FLAGS = 4;
/** The flag of a sample that is not a keyframe. */
const IS_NON_SYNC = 0x1_00_00;

/** The flags of a `trun` that state which fields its samples have. */
const RUN = { dataOffset: 0x1, firstFlags: 0x4, duration: 0x1_00, size: 0x2_00, flags: 0x4_00 };
/** The flag of a `trun` whose samples have a composition offset. In each sample, the offset follows the flags. */
const RUN_COMPOSITION = 0x8_00;

/** A box: its type, and the range of its content. */
export interface Box {
  type: string;
  begin: number;
  end: number;
}

/** Returns the boxes in a range of the data. Stops at a box that does not end within the range. */
export function boxes(data: DataView, begin = 0, end = data.byteLength): Box[] {
  const found: Box[] = [];
  for (let at = begin; at + HEADER <= end; at = found.at(-1)?.end ?? end) {
    const size = data.getUint32(at);
    if (size < HEADER || at + size > end) {
      break;
    }
    const letters = [0, 1, 2, 3].map((index) => data.getUint8(at + 4 + index));
    found.push({ type: String.fromCharCode(...letters), begin: at + HEADER, end: at + size });
  }
  return found;
}

/** Returns whether media contains a frame of video at which decoding can begin. */
export function hasKeyframe(media: Uint8Array): boolean {
  const data = new DataView(media.buffer, media.byteOffset, media.byteLength);
  const inside = (parents: Box[], type: string) =>
    parents.flatMap(({ begin, end }) => boxes(data, begin, end)).filter((box) => box.type === type);
  const fragments = boxes(data).filter(({ type }) => type === "moof");
  return inside(inside(fragments, "traf"), "trun").some((run) => runHasKeyframe(data, run));
}

/** Returns whether the flags of any sample of the run mark a keyframe; false if the samples have no flags. */
function runHasKeyframe(data: DataView, run: Box): boolean {
  if (run.end - run.begin < FLAGS + 4) {
    return false;
  }
  const flags = data.getUint32(run.begin) & 0xff_ff_ff;
  const bytes = (...fields: number[]) => 4 * fields.filter((field) => flags & field).length;
  if ((flags & RUN.flags) === 0) {
    return false; // Runs of audio have no flags.
  }
  const flagsAt = bytes(RUN.duration, RUN.size);
  const size = flagsAt + bytes(RUN.flags, RUN_COMPOSITION);
  let sample = run.begin + FLAGS + 4 + bytes(RUN.dataOffset, RUN.firstFlags);
  for (; sample + size <= run.end; sample += size) {
    if ((data.getUint32(sample + flagsAt) & IS_NON_SYNC) === 0) {
      return true;
    }
  }
  return false;
}
