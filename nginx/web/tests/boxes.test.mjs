// Tests that keyframes are found in fragments of MP4.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { transformWithEsbuild } from "vite";

const FILE = new URL("../src/player/boxes.ts", import.meta.url);
const { code } = await transformWithEsbuild(readFileSync(FILE, "utf8"), FILE.pathname);
const { hasKeyframe } = await import(`data:text/javascript,${encodeURIComponent(code)}`);

const KEYFRAME = 0x02_00_00_00;
const OTHER = 0x01_01_00_00;

const number = (value) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};
const box = (type, ...content) => {
  const body = Buffer.concat(content);
  return Buffer.concat([number(body.length + 8), Buffer.from(type), body]);
};
/** Samples with a duration, a size, flags and a composition offset. */
const video = (...flags) => {
  const samples = flags.map((flag) => Buffer.concat([1, 1, flag, 0].map(number)));
  return box("trun", number(0xf_01), number(flags.length), number(0), ...samples);
};
const AUDIO = box("trun", number(0x3_01), number(1), number(0), number(1), number(1));
const media = (...flags) =>
  Buffer.concat([
    box(
      "moof",
      box("traf", box("tfhd", number(0), number(1)), video(...flags)),
      box("traf", box("tfhd", number(0), number(2)), AUDIO),
    ),
    box("mdat", Buffer.from("data")),
  ]);

test("a keyframe is found in any sample of any fragment", () => {
  assert.ok(hasKeyframe(media(KEYFRAME, OTHER)));
  assert.ok(hasKeyframe(media(OTHER, KEYFRAME)));
  assert.ok(hasKeyframe(Buffer.concat([media(OTHER), media(KEYFRAME)])));
});

test("audio and other frames are not keyframes", () => {
  assert.ok(!hasKeyframe(media(OTHER, OTHER)));
  assert.ok(!hasKeyframe(media()));
});

test("incomplete data is not read beyond its end", () => {
  const whole = media(OTHER, KEYFRAME);
  for (let length = 0; length < whole.length; length += 1) {
    const part = new Uint8Array(whole.subarray(0, length));
    assert.doesNotThrow(() => hasKeyframe(part), `${length} bytes`);
  }
});

test("a sample that does not end within its run is not read", () => {
  const cut = box("trun", number(0xf_01), number(1), number(0), number(1));
  const whole = box("moof", box("traf", cut), box("free", Buffer.alloc(16)));
  assert.ok(!hasKeyframe(whole));
});

test("a box without a valid size ends the search", () => {
  assert.ok(!hasKeyframe(Buffer.concat([Buffer.alloc(64), media(KEYFRAME)])));
});

test("an empty run has no keyframe, and separate flags for the first sample are ignored", () => {
  assert.ok(!hasKeyframe(box("moof", box("traf", box("trun")))));
  // The fields are the count, the data offset, the flags of the first sample, and one sample.
  const fields = [1, 0, KEYFRAME, 1, 1, OTHER, 0].map(number);
  assert.ok(!hasKeyframe(box("moof", box("traf", box("trun", number(0xf_05), ...fields)))));
});
