// Tests what the view of events shows above its list: charts by hour, and pictures of events.
import assert from "node:assert/strict";
import { test } from "node:test";

import { load } from "./support/load.mjs";

const { chartsOf, hoursUntil } = await load("views/events/charts.ts");
const { hasPicture, recordedAt } = await load("views/events/pictured.ts");

const HOUR = 3_600_000;
const count = (camera, hour, number) => ({ camera, hour, type: "motion", count: number });

test("charts have the sums of all types by camera, the largest first", () => {
  const [ten, eleven] = ["2026-11-21T10:00:00Z", "2026-11-21T11:00:00Z"];
  const charts = chartsOf([
    count("gate", ten, 2),
    count("yard", ten, 1),
    count("yard", eleven, 2),
    { ...count("yard", eleven, 4), type: "reported.door" },
    count(null, ten, 9),
  ]);
  assert.deepEqual(
    charts.map(({ camera, total }) => [camera, total]),
    [
      ["yard", 7],
      ["gate", 2],
    ],
  );
  assert.deepEqual(
    [...charts[0].hours],
    [
      [Date.parse(ten), 1],
      [Date.parse(eleven), 6],
    ],
  );
});

test("the last hour is the present one", () => {
  const hours = hoursUntil(Date.parse("2026-11-21T10:59:59.999Z"));
  assert.equal(hours.length, 24);
  assert.equal(new Date(hours.at(-1)).toISOString(), "2026-11-21T10:00:00.000Z");
  assert.equal(hours.at(-1) - hours[0], 23 * HOUR);
});

test("events about what happened in front of a camera have pictures if the camera was recorded", () => {
  const recorded = [
    { id: "gate", camera: "gate", from: "2026-11-21T10:00:00Z", to: "2026-11-21T11:00:00Z" },
    { id: "gate~sub", camera: "gate", from: "2026-11-21T10:30:00Z", to: "2026-11-21T11:00:00Z" },
  ];
  const event = (type, at, camera = "gate") => ({ id: 1, type, at, camera });
  const stream = (...of) => recordedAt(event(...of), recorded)?.id;
  assert.equal(stream("motion", "2026-11-21T10:10:00Z"), "gate");
  assert.equal(stream("motion", "2026-11-21T10:40:00Z"), "gate~sub", "smaller pictures cost less");
  assert.equal(
    stream("reported.door", "2026-11-21T12:00:00Z"),
    "gate~sub",
    "perhaps recorded since",
  );
  assert.equal(stream("motion", "2026-11-21T09:59:59Z"), undefined);
  assert.equal(stream("motion", "2026-11-21T10:10:00Z", "yard"), undefined);
  assert.equal(stream("stream.stopped", "2026-11-21T10:10:00Z"), undefined);
  const early = event("motion", "2026-11-21T09:00:00Z");
  assert.deepEqual(
    [early, { ...early, thumbnail: true }].map((each) => hasPicture(each, recorded)),
    [false, true],
  );
});
