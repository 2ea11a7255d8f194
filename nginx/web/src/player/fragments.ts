// Reads times, numbers and keyframes from init segments and fragments of MP4 (ISO/IEC 14496-12), as the service sends
// them over the live socket: one frame in each fragment.
import { type Box, boxes, hasKeyframe } from "./boxes";

/** Seconds between the NTP epoch (1900) and the Unix epoch. */
const NTP_TO_UNIX = 2_208_988_800;

/** A track of an init segment. */
interface Track {
  /** Ticks per second. */
  timescale: number;
  isVideo: boolean;
}

export type Tracks = Map<number, Track>;

/** One frame. */
export interface Fragment {
  /** The number of the message on its connection. */
  number: number;
  isVideo: boolean;
  isKeyframe: boolean;
  /** Presentation time in seconds. */
  time: number;
  /** Decode time in seconds. It grows from frame to frame, unless the stream begins again. */
  decodeTime: number;
  /** Duration in seconds, as the service states it; the next frame usually follows after it. */
  duration: number;
  /** The Unix time in milliseconds at which the camera took the frame; null if it is not stated. */
  takenAt: number | null;
}

/** Finds the first box on a path of box types, such as `moof/traf/tfdt`, below `parent`, or at the top level. */
function find(data: DataView, path: string, parent?: Box): Box | undefined {
  let box = parent;
  for (const type of path.split("/")) {
    const within: Box[] = box ? boxes(data, box.begin, box.end) : boxes(data);
    box = within.find((each) => each.type === type);
    if (!box) {
      return undefined;
    }
  }
  return box;
}

/** Reads a number of 4 bytes, or of 8 bytes if `isLong`; null if the box is too short. */
function read(data: DataView, box: Box | undefined, at: number, isLong = false): number | null {
  if (!box || box.begin + at + (isLong ? 8 : 4) > box.end) {
    return null;
  }
  const high = data.getUint32(box.begin + at);
  return isLong ? high * 2 ** 32 + data.getUint32(box.begin + at + 4) : high;
}

function versionOf(data: DataView, box: Box | undefined): number {
  return box && box.begin < box.end ? data.getUint8(box.begin) : 0;
}

/** Returns the tracks of an init segment; null if the data is not an init segment. */
export function tracksOf(init: ArrayBuffer): Tracks | null {
  const data = new DataView(init);
  const moov = find(data, "moov");
  if (!moov) {
    return null;
  }
  const tracks: Tracks = new Map();
  for (const trak of boxes(data, moov.begin, moov.end).filter(({ type }) => type === "trak")) {
    const tkhd = find(data, "tkhd", trak);
    const mdhd = find(data, "mdia/mdhd", trak);
    // After version and flags come the times of creation and modification, which have 8 bytes in version 1.
    const id = read(data, tkhd, versionOf(data, tkhd) === 1 ? 20 : 12);
    const timescale = read(data, mdhd, versionOf(data, mdhd) === 1 ? 20 : 12);
    if (id && timescale) {
      const isVideo = find(data, "mdia/minf/vmhd", trak) !== undefined;
      tracks.set(id, { timescale, isVideo });
    }
  }
  return tracks.size > 0 ? tracks : null;
}

/** Reads a fragment; null if the data is not a fragment of one of the tracks. */
export function fragmentOf(bytes: ArrayBuffer, tracks: Tracks): Fragment | null {
  const data = new DataView(bytes);
  const moof = find(data, "moof");
  const traf = moof && find(data, "traf", moof);
  const track = tracks.get(read(data, traf && find(data, "tfhd", traf), 4) ?? 0);
  const tfdt = traf && find(data, "tfdt", traf);
  const ticks = read(data, tfdt, 4, versionOf(data, tfdt) === 1);
  if (!moof || !traf || !track || ticks === null) {
    return null;
  }
  const { duration, offset } = sampleOf(data, find(data, "trun", traf));
  return {
    number: read(data, find(data, "mfhd", moof), 4) ?? 0,
    isVideo: track.isVideo,
    isKeyframe: track.isVideo && hasKeyframe(new Uint8Array(bytes)),
    time: (ticks + offset) / track.timescale,
    decodeTime: ticks / track.timescale,
    duration: duration / track.timescale,
    takenAt: takenAt(data),
  };
}

/** Returns the duration and the composition offset of the first sample of a `trun`, in ticks; 0 if they are missing. */
function sampleOf(data: DataView, trun: Box | undefined): { duration: number; offset: number } {
  const flags = (read(data, trun, 0) ?? 0) & 0xff_ff_ff;
  /** Returns the value of the field with this flag, which follows the fields with the flags in `before`. */
  const field = (flag: number, before: number[]) => {
    const at = 8 + 4 * before.filter((other) => flags & other).length;
    return flags & flag ? (read(data, trun, at) ?? 0) : 0;
  };
  return {
    duration: field(0x1_00, [0x1, 0x4]),
    offset: field(0x8_00, [0x1, 0x4, 0x1_00, 0x2_00, 0x4_00]) | 0,
  };
}

/** Returns the Unix time in milliseconds that a `prft` states. */
function takenAt(data: DataView): number | null {
  const prft = find(data, "prft");
  const seconds = read(data, prft, 8);
  const fraction = read(data, prft, 12);
  if (seconds === null || fraction === null) {
    return null;
  }
  return (seconds - NTP_TO_UNIX) * 1000 + (fraction / 2 ** 32) * 1000;
}
