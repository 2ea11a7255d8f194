// Tests the players of recordings: what they do while their data is late.
import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { setUp } from "./support/recorded.mjs";

const HOUR = 3_600_000;
const BEGIN = Date.parse("2026-03-01T00:00:00Z");
const DATE = BEGIN + HOUR;
const DAY = [[BEGIN, BEGIN + 24 * HOUR]];

describe("recordings whose data is late", () => {
  for (const count of [1, 2]) {
    test(`are not skipped, with ${count} players`, async (t) => {
      const { group, world, run, playFrom } = setUp(t, DAY, count);
      await playFrom(DATE);
      await run(2000);
      assert.ok(group.date.value > DATE + 1800, "plays");
      const videos = world.players.map(({ video }) => video);
      for (const video of videos) {
        video.readyState = 2;
      }
      await run(100);
      const [before, seeks] = [group.date.value, videos.map((video) => video.seeks)];
      await run(10_000);
      assert.equal(group.date.value, before);
      assert.deepEqual(
        videos.map((video) => video.seeks),
        seeks,
      );
      for (const video of videos) {
        video.readyState = 4;
      }
      await run(2000);
      const played = group.date.value - before;
      assert.ok(played > 1500 && played < 2500, `${played} ms`);
    });
  }
});
