// Tests the zones of motion: moved, added and removed corners, corners as text, and the times of motion on the time line.
import assert from "node:assert/strict";
import { test } from "node:test";

import { load } from "./support/load.mjs";

const zones = await load("views/cameras/zones.ts");
const { marksOfEvents, marksOfMotion } = await load("views/recordings/marks.ts");

const TRIANGLE = [
  [0.1, 0.2],
  [0.5, 0.2],
  [0.3, 0.8],
];

test("a moved corner stays inside of the picture", () => {
  assert.deepEqual(zones.withMovedCorner(TRIANGLE, 1, 0.1234, -0.05)[1], [0.623, 0.15]);
  const outside = zones.withMovedCorner(TRIANGLE, 0, -2, 2);
  assert.deepEqual(outside, [[0, 1], TRIANGLE[1], TRIANGLE[2]]);
});

test("a moved zone keeps its shape at the border of the picture", () => {
  assert.deepEqual(zones.withAllMoved(TRIANGLE, 0.1, 0.1), [
    [0.2, 0.3],
    [0.6, 0.3],
    [0.4, 0.9],
  ]);
  const atBorder = [
    [0, 0.4],
    [0.4, 0.4],
    [0.2, 1],
  ];
  assert.deepEqual(zones.withAllMoved(TRIANGLE, -1, 1), atBorder);
});

test("a zone has 3 to 32 corners", () => {
  let corners = zones.withCornerAfter(TRIANGLE, 2);
  assert.deepEqual(corners, [...TRIANGLE, [0.2, 0.5]]);
  assert.deepEqual(zones.withCornerAfter(TRIANGLE, 0)[1], [0.3, 0.2]);
  assert.deepEqual(zones.withoutCorner(corners, 3), TRIANGLE);
  assert.equal(zones.withoutCorner(TRIANGLE, 0), TRIANGLE);
  for (let n = 0; n < 40; n += 1) {
    corners = zones.withCornerAfter(corners, 0);
  }
  assert.equal(corners.length, 32);
});

test("every shape of a new zone is inside of the picture", () => {
  for (const shape of zones.SHAPE_NAMES) {
    const { effect, corners } = zones.newZone("ignore", shape);
    assert.equal(effect, "ignore");
    assert.deepEqual(zones.parseCorners(zones.textOf(corners)), corners, shape);
  }
});

test("corners can be entered as text", () => {
  assert.equal(zones.textOf(TRIANGLE), "10 20; 50 20; 30 80");
  assert.equal(zones.textOf([[0.123_456, 0.9999]]), "12.3 100");
  assert.deepEqual(zones.parseCorners(" 10 20 ;50  20; 30,5 80;"), [
    [0.1, 0.2],
    [0.5, 0.2],
    [0.305, 0.8],
  ]);
  const many = Array(33).fill("1 1").join(";");
  for (const text of ["", "0 0; 1 1", "0 0; 1; 2 2", "0 0; 1 1; 2 x", "0 0; 1 1; 2 101", many]) {
    assert.equal(zones.parseCorners(text), null, text);
  }
});

const event = (id, type, at, until = null) => ({
  id,
  type,
  at: new Date(at).toISOString(),
  until: until === null ? null : new Date(until).toISOString(),
});

test("motion has a length on the time line, and other events have marks", () => {
  const view = { from: 100_000, to: 200_000 };
  const events = [
    event(1, "motion", 50_000, 90_000),
    event(2, "motion", 90_000, 110_000),
    event(3, "motion", 150_000, 160_000),
    event(4, "reported.door", 155_000),
    event(5, "motion", 180_000),
    event(6, "motion", 210_000, 220_000),
  ];
  const rounded = ({ id, share, length }) => ({
    id,
    share: Number(share.toFixed(6)),
    length: Number(length.toFixed(6)),
  });
  assert.deepEqual(marksOfMotion(events, view, 190_000).map(rounded), [
    { id: 2, share: 0, length: 0.1 },
    { id: 3, share: 0.5, length: 0.1 },
    { id: 5, share: 0.8, length: 0.1 },
  ]);
  assert.deepEqual(
    marksOfEvents(events, view, 800).map((mark) => mark.events.map(({ id }) => id)),
    [[4]],
  );
});
