// Reads the messages of the live socket in the format `raw`: a header, then one frame.

/** Bytes of the header. */
const HEADER = 24;
const IS_KEYFRAME = 1;
const IS_OLD = 2;

export interface RawFrame {
  isVideo: boolean;
  isKeyframe: boolean;
  /** Whether the frame is decoded only because later frames depend on it. */
  isOld: boolean;
  /** The number of the message on its connection. */
  number: number;
  /** Presentation time in microseconds. */
  timestamp: number;
  /** The Unix time in milliseconds at which the camera took the frame. */
  takenAt: number;
  data: Uint8Array;
}

/** Reads a message; null if it is too short or of an unknown track. */
export function rawFrameOf(message: ArrayBuffer): RawFrame | null {
  if (message.byteLength <= HEADER) {
    return null;
  }
  const header = new DataView(message);
  const track = header.getUint8(0);
  const flags = header.getUint8(1);
  if (track > 1) {
    return null;
  }
  return {
    isVideo: track === 0,
    isKeyframe: (flags & IS_KEYFRAME) !== 0,
    isOld: (flags & IS_OLD) !== 0,
    number: header.getUint32(4),
    timestamp: Number(header.getBigUint64(8)),
    takenAt: Number(header.getBigUint64(16)) / 1000,
    data: new Uint8Array(message, HEADER),
  };
}
