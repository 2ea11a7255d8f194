// Tests the time line of recordings: dates and positions, days on which clocks change, the scale, and marks of events.
import assert from "node:assert/strict";
import { describe, test } from "node:test";

process.env.TZ = "Europe/Berlin";

const { load } = await import("./support/load.mjs");
const clock = await load("playback/recordings/wall-clock.ts");
const { correction } = await load("playback/recordings/correction.ts");
const days = await load("views/recordings/days.ts");
const scale = await load("views/recordings/scale.ts");
const { gapsIn, isRecorded, nearestIn } = await load("views/recordings/gaps.ts");

const { byEnd } = await load("views/recordings/by-end.ts");

const HOUR = 3_600_000;

describe("dates and positions", () => {
  /** Two segments of 2 s, a gap of a minute, and one more. */
  const segments = [
    { start: 0, duration: 2, programDateTime: 100_000 },
    { start: 2, duration: 2, programDateTime: 102_000 },
    { start: 4, duration: 2, programDateTime: 164_000 },
  ];

  test("a position has the date of its picture", () => {
    assert.equal(clock.dateAt(segments, 0.5), 100_500);
    assert.equal(clock.dateAt(segments, 3.9), 103_900);
    assert.equal(clock.dateAt(segments, 4), 164_000);
    assert.equal(clock.dateAt(segments, 9), 166_000, "not after the end");
    assert.equal(clock.dateAt([], 1), null);
  });

  test("a date has a position, and a date in a gap leads to the next picture", () => {
    assert.deepEqual(clock.placeOf(segments, 101_250), { position: 1.25, date: 101_250 });
    assert.deepEqual(clock.placeOf(segments, 103_000), { position: 3, date: 103_000 });
    assert.deepEqual(clock.placeOf(segments, 130_000), { position: 4, date: 164_000 });
    assert.deepEqual(clock.placeOf(segments, 165_000), { position: 5, date: 165_000 });
    assert.equal(clock.placeOf(segments, 99_000), null);
    assert.equal(clock.placeOf(segments, 166_000), null);
    assert.equal(clock.endDate(segments), 166_000);
  });

  test("a keyframe is the beginning of its segment", () => {
    assert.equal(clock.keyframeOf(segments, 3.99), 2);
    assert.equal(clock.keyframeOf(segments, 4), 4);
  });
});

test("a camera that is ahead plays more slowly, but never much", () => {
  assert.equal(correction(5), 1);
  assert.ok(correction(50) < 1 && correction(50) > 0.8);
  assert.ok(correction(-50) > 1);
  assert.equal(correction(10_000), 0.75);
  assert.equal(correction(-10_000), 1.25);
});

describe("days", () => {
  const noon = (year, month, day) => new Date(year, month - 1, day, 12).getTime();
  const hours = ({ from, to }) => (to - from) / HOUR;

  test("have 23, 24 or 25 hours", () => {
    assert.equal(hours(scale.dayView(noon(2026, 3, 29))), 23);
    assert.equal(hours(scale.dayView(noon(2026, 3, 30))), 24);
    assert.equal(hours(scale.dayView(noon(2026, 10, 25))), 25);
    const limits = days.limitsOf(noon(2026, 3, 28), noon(2026, 3, 30));
    assert.deepEqual(
      limits.slice(1).map((limit, n) => (limit - limits[n]) / HOUR),
      [24, 23, 24],
    );
  });

  test("have a text, which can be parsed", () => {
    assert.equal(days.dayText(noon(2026, 3, 29)), "2026-03-29");
    assert.equal(days.parseDay("2026-03-29"), days.dayOf(noon(2026, 3, 29)));
    assert.equal(days.parseDay("29.3.2026"), null);
    assert.equal(days.localText(new Date(2026, 2, 29, 3, 4, 5).getTime()), "2026-03-29T03:04:05");
  });

  test("have times, which can be entered", () => {
    const date = days.timeOn(noon(2026, 3, 29), "03:04:05");
    assert.equal(days.localText(date), "2026-03-29T03:04:05");
    assert.equal(days.timeText(date), "03:04:05");
    assert.equal(days.timeOn(date, ""), null);
  });

  const labels = (date) =>
    scale.marksOf(scale.dayView(date), 26).map((mark) => new Date(mark.date).getHours());

  test("leave out or repeat an hour on the scale", () => {
    assert.deepEqual(labels(noon(2026, 3, 29)).slice(0, 5), [0, 1, 3, 4, 5]);
    assert.deepEqual(labels(noon(2026, 10, 25)).slice(0, 5), [0, 1, 2, 2, 3]);
    assert.equal(labels(noon(2026, 3, 30)).length, 25);
  });
});

describe("the scale", () => {
  test("has marks at round local times", () => {
    const view = {
      from: new Date(2026, 0, 5, 10, 7).getTime(),
      to: new Date(2026, 0, 5, 10, 52).getTime(),
    };
    const minutes = scale.marksOf(view, 10).map(({ date }) => new Date(date).getMinutes());
    assert.deepEqual(minutes, [10, 15, 20, 25, 30, 35, 40, 45, 50]);
    const week = { from: new Date(2026, 2, 27).getTime(), to: new Date(2026, 3, 3).getTime() };
    assert.ok(
      scale.marksOf(week, 8).every(({ date, isDay }) => isDay && new Date(date).getHours() === 0),
    );
  });

  test("keeps the place below the pointer while zooming, within limits", () => {
    const view = { from: 0, to: 100 * HOUR };
    const closer = scale.zoomed(view, 0.5, 25 * HOUR);
    assert.deepEqual(closer, { from: 12.5 * HOUR, to: 62.5 * HOUR });
    assert.equal(scale.lengthOf(scale.zoomed(view, 1e9, 0)), 31 * 24 * HOUR);
    assert.equal(scale.lengthOf(scale.zoomed(view, 1e-9, 0)), 30_000);
    const shown = scale.showing({ from: 0, to: 1000 }, 5000);
    assert.ok(shown.from < 5000 && shown.to > 5000);
  });
});

test("the edges of a selection can be chosen in any order", () => {
  const [first, second] = [100_000, 220_000];
  assert.deepEqual(scale.spanOf({ from: first }), { from: first, to: first + 60_000 });
  assert.deepEqual(scale.spanOf({ to: second }), { from: second - 60_000, to: second });
  assert.deepEqual(scale.spanOf({ from: second, to: first }), { from: first, to: second });
});

test("the first choice is a camera that is being recorded", () => {
  const stream = (camera, minute) => ({ camera, to: `2026-03-01T10:${minute}:00Z` });
  const streams = [stream("a", "05"), stream("b", "29"), stream("c", "30"), stream("d", "10")];
  assert.deepEqual(byEnd(streams), ["b", "c", "d", "a"]);
});

test("gaps are the times between recordings", () => {
  const spans = [
    { from: 0, to: 10 },
    { from: 20, to: 30 },
    { from: 30, to: 40 },
  ];
  assert.deepEqual(gapsIn(spans, { from: 5, to: 50 }), [
    { from: 10, to: 20 },
    { from: 40, to: 50 },
  ]);
  assert.deepEqual(gapsIn(spans, { from: 22, to: 38 }), []);
  assert.equal(nearestIn(spans, 25), 25);
  assert.equal(nearestIn(spans, 13), 9);
  assert.equal(nearestIn([], 13), null);
  assert.deepEqual(
    [5, 15, 20, 40].map((date) => isRecorded(spans, date)),
    [true, false, true, false],
  );
});
