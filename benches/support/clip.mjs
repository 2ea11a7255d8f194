// The video that all cameras of a benchmark send. It is encoded and divided into RTP packets only once.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const CACHE = fileURLToPath(new URL("../../target/bench/", import.meta.url));
const SECONDS = 10;
/**
 * A clip with a walker: the picture is still but for noise, and once in each repetition a box crosses it. The pause is long
 * enough for the end of the motion to be reported.
 */
export const WALK = { seconds: 30, beginsAt: 14, endsAt: 17 };
/** Largest size of a payload in bytes. A packet then fits into an Ethernet frame, as with real cameras. */
const MAX_PAYLOAD = 1400;
/** Size of the header of interleaved data in bytes: `$`, channel and length (RFC 2326, section 10.12). */
const INTERLEAVED_HEADER = 4;
const RTP_HEADER = 12;
const RTP_CLOCK = 90_000;
const PAYLOAD_TYPE = 96;
/** The number of a frame is painted into its picture as this many squares, black for 0 and white for 1. */
const NUMBER_BITS = 32;
/** The sound is G.711 A-law: a packet of silence with each frame, and its number, clock rate and byte. */
const SOUND = { payloadType: 8, clock: 8000, silence: 0xd5, channel: 2 };
const NAL = { SLICE: 1, IDR: 5, SPS: 7, PPS: 8, FU_A: 28 };

/**
 * The packets of a frame. The fields that differ between viewers are written into `bytes` before sending.
 */
class Frame {
  /** `soundBytes` is the size of the sound that is sent with the frame; 0 for none. */
  constructor(nals, soundBytes) {
    const packets = nals.flatMap(payloads);
    packets.forEach((payload, index) => (payload.isLast = index === packets.length - 1));
    const buffers = packets.map(packet);
    /** Offsets of the packets in `bytes`. */
    this.offsets = [];
    let offset = 0;
    for (const { length } of buffers) {
      this.offsets.push(offset);
      offset += length;
    }
    /** Offset of the packet with sound in `bytes`; null without sound. */
    this.soundOffset = soundBytes > 0 ? offset : null;
    if (soundBytes > 0) {
      buffers.push(soundPacket(soundBytes));
    }
    this.bytes = Buffer.concat(buffers);
    this.soundBytes = soundBytes;
  }

  /**
   * Returns the bytes for one viewer. These bytes are valid until the next call. `number` is the number of the frame
   * since the camera started.
   */
  patched(sequence, time, source, number) {
    const { bytes } = this;
    let next = sequence;
    for (const offset of this.offsets) {
      const header = offset + INTERLEAVED_HEADER;
      bytes[header + 2] = next >> 8;
      bytes[header + 3] = next;
      bytes.writeUInt32BE(time, header + 4);
      bytes.writeUInt32BE(source, header + 8);
      next = (next + 1) & 0xffff;
    }
    if (this.soundOffset !== null) {
      const header = this.soundOffset + INTERLEAVED_HEADER;
      bytes.writeUInt16BE(number & 0xffff, header + 2);
      bytes.writeUInt32BE((number * this.soundBytes) % 0x1_0000_0000, header + 4);
      bytes.writeUInt32BE((source + 1) % 0x1_0000_0000, header + 8);
    }
    return bytes;
  }

  /** Keeps the bytes of the last call of `patched` valid: the next call changes a copy. */
  release() {
    this.bytes = Buffer.from(this.bytes);
  }
}

/** A video that can be repeated without an interruption, because the first frame is a keyframe. */
export class Clip {
  /**
   * Returns the video with these properties. Encodes it if it is not in the cache. If `isNumbered` is true, each
   * picture shows its number in the clip. If `hasSound` is true, there is sound as well. If `isWalk` is true, the clip
   * shows what `WALK` describes.
   */
  static load({
    width = 1920,
    height = 1080,
    fps = 25,
    gop = 2,
    kbits = 4000,
    isNumbered = false,
    hasSound = false,
    isWalk = false,
  } = {}) {
    const args = encoding({ width, height, fps, gop, kbits, isNumbered, isWalk });
    const name = createHash("sha256").update(args.join(" ")).digest("hex").slice(0, 16);
    const file = join(CACHE, `clip-${name}.h264`);
    if (!existsSync(file)) {
      mkdirSync(CACHE, { recursive: true });
      const unfinished = `${file}.${process.pid}`;
      execFileSync("ffmpeg", [...args, unfinished], { stdio: ["ignore", "inherit", "inherit"] });
      renameSync(unfinished, file);
    }
    return new Clip(readFileSync(file), fps, gop, hasSound);
  }

  constructor(annexB, fps, gop, hasSound) {
    const nals = [...nalUnits(annexB)];
    this.fps = fps;
    this.gopFrames = fps * gop;
    this.ticksPerFrame = RTP_CLOCK / fps;
    const soundBytes = hasSound ? SOUND.clock / fps : 0;
    this.frames = accessUnits(nals).map((unit) => new Frame(unit, soundBytes));
    /** Duration of the clip in milliseconds. */
    this.duration = (this.frames.length * 1000) / fps;
    const bytes = this.frames.reduce((sum, frame) => sum + frame.bytes.length, 0);
    /** Bits per second, including the headers. */
    this.bitRate = (bytes * 8 * fps) / this.frames.length;
    const first = (type) => nals.find((nal) => nalType(nal) === type);
    this.sdp = description(first(NAL.SPS), first(NAL.PPS), hasSound);
  }
}

/**
 * Returns FFmpeg's arguments for encoding. Noise in the picture makes the encoder reach the bit rate. There
 * are no B-frames, because most cameras send none.
 */
function encoding({ width, height, fps, gop, kbits, isNumbered, isWalk }) {
  const seconds = isWalk ? WALK.seconds : SECONDS;
  const scene = isWalk ? walk(width, height, fps) : `testsrc2=size=${width}x${height}:rate=${fps}`;
  const picture = `${scene},noise=alls=12:allf=t`;
  const source = isNumbered ? `${picture},${numberSquares(width, fps * seconds)}` : picture;
  const rate = `${kbits}k`;
  const rates = ["-b:v", rate, "-minrate", rate, "-maxrate", rate, "-bufsize", rate];
  const keyframes = ["-g", fps * gop, "-keyint_min", fps * gop, "-sc_threshold", 0, "-bf", 0];
  return [
    ...["-nostdin", "-loglevel", "error", "-y", "-f", "lavfi", "-i", source, "-t", seconds],
    ...["-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "veryfast", "-profile:v", "high"],
    ...[...rates, ...keyframes, "-x264-params", "nal-hrd=cbr:sliced-threads=0", "-f", "h264"],
  ].map(String);
}

/** Returns a source of pictures with a box that crosses a grey picture, as `WALK` describes. */
function walk(width, height, fps) {
  const { beginsAt, endsAt } = WALK;
  const [boxWidth, boxHeight] = [Math.round(width / 12), Math.round(height / 3)];
  const x = `(t-${beginsAt})/${endsAt - beginsAt}*${width - boxWidth}`;
  const isShown = `between(t\\,${beginsAt}\\,${endsAt})`;
  const box = `color=c=0x404040:size=${boxWidth}x${boxHeight}:rate=${fps}[box]`;
  const overlay = `[scene][box]overlay=x=${x}:y=${Math.round(height / 3)}:enable=${isShown}`;
  return `color=c=0x909090:size=${width}x${height}:rate=${fps}[scene];${box};${overlay}`;
}

/**
 * Returns filters that paint a frame's number into its picture, as the test camera paints its clock: a row of squares at
 * the top, the most significant bit first.
 */
function numberSquares(width, frames) {
  const size = width / NUMBER_BITS;
  const black = `drawbox=x=0:y=0:w=${width}:h=${size}:color=black:t=fill`;
  const usedBits = Math.ceil(Math.log2(frames));
  const squares = Array.from({ length: usedBits }, (_, bit) => {
    const x = width - (bit + 1) * size;
    const isSet = `mod(floor(n/${2 ** bit})\\,2)`;
    return `drawbox=x=${x}:y=0:w=${size}:h=${size}:color=white:t=fill:enable=${isSet}`;
  });
  return [black, ...squares].join(",");
}

const nalType = (nal) => nal[0] & 0x1f;

/** Splits an H.264 byte stream at its start codes. Yields the NAL units. */
function* nalUnits(bytes) {
  const startCode = Buffer.from([0, 0, 1]);
  let begin = bytes.indexOf(startCode);
  while (begin >= 0) {
    const next = bytes.indexOf(startCode, begin + startCode.length);
    let end = next < 0 ? bytes.length : next;
    while (bytes[end - 1] === 0) {
      end -= 1;
    }
    yield bytes.subarray(begin + startCode.length, end);
    begin = next;
  }
}

/** Groups slices and parameter sets by frame. Each frame has one slice, which is its last unit. */
function accessUnits(nals) {
  const units = [[]];
  for (const nal of nals.filter((unit) => Object.values(NAL).includes(nalType(unit)))) {
    units.at(-1).push(nal);
    if ([NAL.SLICE, NAL.IDR].includes(nalType(nal))) {
      units.push([]);
    }
  }
  units.pop();
  return units;
}

/** Returns the RTP payloads of a NAL unit: the unit itself, or its fragments (RFC 6184, section 5.8). */
function payloads(nal) {
  if (nal.length <= MAX_PAYLOAD) {
    return [{ parts: [nal] }];
  }
  const indicator = (nal[0] & 0xe0) | NAL.FU_A;
  const pieces = [];
  for (let at = 1; at < nal.length; at += MAX_PAYLOAD) {
    const end = Math.min(at + MAX_PAYLOAD, nal.length);
    const flags = (at === 1 ? 0x80 : 0) | (end === nal.length ? 0x40 : 0);
    const header = Buffer.from([indicator, flags | nalType(nal)]);
    pieces.push({ parts: [header, nal.subarray(at, end)] });
  }
  return pieces;
}

/** Returns a packet with zeros in the fields that `patched` sets. */
function packet({ parts, isLast }) {
  const headers = Buffer.alloc(INTERLEAVED_HEADER + RTP_HEADER);
  const payload = Buffer.concat(parts);
  headers[0] = 0x24;
  headers.writeUInt16BE(RTP_HEADER + payload.length, 2);
  headers[INTERLEAVED_HEADER] = 0x80;
  headers[INTERLEAVED_HEADER + 1] = PAYLOAD_TYPE | (isLast ? 0x80 : 0);
  return Buffer.concat([headers, payload]);
}

/** Returns a packet with sound, with zeros in the fields that `patched` sets. */
function soundPacket(size) {
  const headers = Buffer.alloc(INTERLEAVED_HEADER + RTP_HEADER);
  headers[0] = 0x24;
  headers[1] = SOUND.channel;
  headers.writeUInt16BE(RTP_HEADER + size, 2);
  headers[INTERLEAVED_HEADER] = 0x80;
  headers[INTERLEAVED_HEADER + 1] = SOUND.payloadType;
  return Buffer.concat([headers, Buffer.alloc(size, SOUND.silence)]);
}

/** Returns the SDP description of the video and the sound. */
function description(sps, pps, hasSound) {
  const sets = [sps, pps].map((set) => set.toString("base64")).join(",");
  const profile = sps.subarray(1, 4).toString("hex");
  return [
    "v=0",
    "o=- 0 0 IN IP4 127.0.0.1",
    "s=camera",
    "c=IN IP4 0.0.0.0",
    "t=0 0",
    "a=control:*",
    `m=video 0 RTP/AVP ${PAYLOAD_TYPE}`,
    `a=rtpmap:${PAYLOAD_TYPE} H264/${RTP_CLOCK}`,
    `a=fmtp:${PAYLOAD_TYPE} packetization-mode=1;profile-level-id=${profile};sprop-parameter-sets=${sets}`,
    "a=control:video",
    ...(hasSound ? [`m=audio 0 RTP/AVP ${SOUND.payloadType}`, "a=control:audio"] : []),
    "",
  ].join("\r\n");
}
