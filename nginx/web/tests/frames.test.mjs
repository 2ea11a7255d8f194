// Tests of the readers of the live socket's frames: fragments of MP4, and the format `raw`.
import assert from "node:assert/strict";
import { test } from "node:test";

import { load } from "./support/load.mjs";

const { fragmentOf, tracksOf } = await load("player/fragments.ts");
const { rawFrameOf } = await load("player/raw-frames.ts");

const u32 = (...values) => {
  const data = Buffer.alloc(4 * values.length);
  values.forEach((value, index) => data.writeUInt32BE(value >>> 0, 4 * index));
  return data;
};
const box = (type, ...content) => {
  const body = Buffer.concat(content);
  return Buffer.concat([u32(8 + body.length), Buffer.from(type), body]);
};
const bytes = (data) => data.buffer.slice(data.byteOffset, data.byteOffset + data.length);

const trak = (id, timescale, header) =>
  box(
    "trak",
    box("tkhd", u32(0, 0, 0, id)),
    box("mdia", box("mdhd", u32(0, 0, 0, timescale)), box("minf", box(header, u32(0)))),
  );
const INIT = bytes(
  Buffer.concat([
    box("ftyp", u32(0)),
    box("moov", trak(1, 90_000, "vmhd"), trak(2, 48_000, "smhd")),
  ]),
);
/** A fragment with one sample, which has the fields duration, size, flags and composition offset. */
const fragment = ({ track = 1, time = 90_000, flags = 0, offset = 0, taken = true } = {}) =>
  bytes(
    Buffer.concat([
      taken ? box("prft", u32(0x1_00_00_00, track, 2_208_988_800 + 100, 2 ** 31, 0, 0)) : u32(),
      box(
        "moof",
        box("mfhd", u32(0, 17)),
        box(
          "traf",
          box("tfhd", u32(0, track)),
          box("tfdt", u32(0x1_00_00_00, 0, time)),
          box("trun", u32(0x1_00_0f_01, 1, 0, 18_000, 10, flags, offset)),
        ),
      ),
      box("mdat", u32(0)),
    ]),
  );

test("the tracks of an init segment have their timescales", () => {
  const tracks = tracksOf(INIT);
  assert.deepEqual(
    [...tracks],
    [
      [1, { timescale: 90_000, isVideo: true }],
      [2, { timescale: 48_000, isVideo: false }],
    ],
  );
});

test("a fragment has a number, times and the time at which the camera took it", () => {
  const found = fragmentOf(fragment({ offset: -9000, flags: 0x1_00_00 }), tracksOf(INIT));
  assert.deepEqual(found, {
    number: 17,
    isVideo: true,
    isKeyframe: false,
    time: 0.9,
    decodeTime: 1,
    duration: 0.2,
    takenAt: 100_500,
  });
});

test("keyframes and audio are recognized", () => {
  assert.ok(fragmentOf(fragment(), tracksOf(INIT)).isKeyframe);
  const audio = fragmentOf(fragment({ track: 2, time: 24_000, taken: false }), tracksOf(INIT));
  assert.equal(audio.isVideo, false);
  assert.equal(audio.isKeyframe, false);
  assert.equal(audio.decodeTime, 0.5);
  assert.equal(audio.takenAt, null);
});

test("data that is cut off or unknown is not a fragment", () => {
  const whole = Buffer.from(fragment());
  const tracks = tracksOf(INIT);
  for (let length = 0; length < whole.length - 12; length += 1) {
    fragmentOf(bytes(whole.subarray(0, length)), tracks);
    tracksOf(bytes(whole.subarray(0, length)));
  }
  assert.equal(fragmentOf(fragment({ track: 9 }), tracks), null);
  assert.equal(tracksOf(fragment()), null);
  assert.equal(fragmentOf(INIT, tracks), null);
});

test("a raw frame has its header", () => {
  const message = Buffer.alloc(26);
  message.writeUInt8(3, 1);
  message.writeUInt32BE(7, 4);
  message.writeBigUInt64BE(2_000_000n, 8);
  message.writeBigUInt64BE(1_700_000_000_123_000n, 16);
  const { data, ...header } = rawFrameOf(bytes(message));
  assert.equal(data.length, 2);
  assert.deepEqual(header, {
    isVideo: true,
    isKeyframe: true,
    isOld: true,
    number: 7,
    timestamp: 2_000_000,
    takenAt: 1_700_000_000_123,
  });
  assert.equal(rawFrameOf(bytes(message.subarray(0, 24))), null);
  message.writeUInt8(2, 0);
  assert.equal(rawFrameOf(bytes(message)), null);
});
