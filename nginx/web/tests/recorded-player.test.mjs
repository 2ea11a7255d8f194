// Tests the players of recordings: what they do while the connection, the session or the service fails.
import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { setUp } from "./support/recorded.mjs";

const HOUR = 3_600_000;
const BEGIN = Date.parse("2026-03-01T00:00:00Z");
const DATE = BEGIN + HOUR;
const DAY = [[BEGIN, BEGIN + 24 * HOUR]];

/** Returns the pauses between the requests for playlists, in seconds. */
function pauses({ playlists }) {
  return playlists.slice(1).map(({ at }, n) => Math.round((at - playlists[n].at) / 1000));
}

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

test("a player that is far behind the others seeks once, and not again before it has arrived", async (t) => {
  const { group, world, run, playFrom } = setUp(t, DAY, 2);
  await playFrom(DATE);
  await run(1000);
  const { video } = world.players[1];
  Object.assign(video, { readyState: 2, isLate: true });
  await run(8000);
  assert.ok(group.date.value > DATE + 4000, "the other one plays on");
  const { seeks } = video;
  await run(3000);
  assert.ok(video.seeking);
  assert.equal(video.seeks, seeks, "a running seek is not repeated");
  Object.assign(video, { readyState: 4, isLate: false });
  video.arrive();
  await run(3000);
  const [first, second] = group.players;
  assert.ok(Math.abs(first.date - second.date) < 100, `${first.date - second.date} ms apart`);
});

describe("a player that has failed", () => {
  test("opens a new playlist for a date of the same one", async (t) => {
    const { group, world, run } = setUp(t, DAY);
    void group.seek(DATE);
    await run(500);
    world.players[0].fail({ status: 404, code: "unknown_camera" });
    assert.equal(group.players[0].state.value, "failed");
    void group.seek(DATE + 5000);
    await run(500);
    assert.equal(group.players[0].state.value, "ready");
    assert.equal(group.date.value, DATE + 5000);
    assert.equal(world.playlists.length, 2);
  });

  for (const problem of [{ status: 0 }, { status: 401, code: "unauthorized" }, { status: 502 }]) {
    test(`tries again with growing pauses after status ${problem.status}`, async (t) => {
      const { group, world, run, playFrom } = setUp(t, DAY);
      await playFrom(DATE);
      await run(1000);
      world.refuse = () => problem;
      world.players[0].fail(problem);
      const at = group.date.value;
      await run(70_000);
      assert.deepEqual(pauses(world).slice(1), [2, 4, 8, 16, 30]);
      assert.equal(group.date.value, at);
      assert.equal(world.renewals > 0, problem.status === 401);
      world.refuse = () => null;
      await run(32_000);
      assert.equal(group.players[0].state.value, "ready");
      assert.ok(group.isPlaying.value && group.date.value > at, "plays on");
      assert.ok(group.date.value < at + 32_000);
    });
  }

  test("does not try again if that cannot help", async (t) => {
    const { group, world, run, playFrom } = setUp(t, DAY);
    await playFrom(DATE);
    world.players[0].fail({ status: 403, code: "forbidden" });
    await run(60_000);
    assert.equal(world.playlists.length, 1);
    assert.equal(group.isPlaying.value, false);
  });

  test("tries again after the first pause if it has failed during a seek", async (t) => {
    const { group, world, run } = setUp(t, DAY);
    void group.seek(DATE);
    await run(500);
    void group.seek(DATE + 5000);
    world.players[0].fail({ status: 0 });
    await run(1500);
    assert.equal(world.playlists.length, 2);
    assert.equal(group.players[0].state.value, "ready");
    assert.equal(group.date.value, DATE + 5000);
  });

  test("returns to the date that the others show", async (t) => {
    const { group, world, run, playFrom } = setUp(t, DAY, 2);
    await playFrom(DATE);
    const { video } = world.players[1];
    const { seeks } = video;
    world.players[0].fail({ status: 0 });
    await run(5000);
    assert.equal(video.seeks, seeks, "the other one is not interrupted");
    const [first, second] = group.players;
    assert.equal(first.state.value, "ready");
    assert.ok(group.date.value > DATE + 4000, "the other one has played on");
    assert.ok(Math.abs(first.date - second.date) < 1000);
  });
});

describe("the next playlist", () => {
  /** Just before the end of the playlist that is opened at DATE: it begins half an hour earlier. */
  const LATE = DATE + 1.5 * HOUR - 10_000;

  /** Plays until the end of a playlist, while other playlists are refused with this problem. */
  async function playToEnd(t, problem) {
    const parts = setUp(t, DAY);
    void parts.group.seek(DATE);
    await parts.run(500);
    parts.world.refuse = () => problem;
    await parts.playFrom(LATE);
    return parts;
  }

  test("is requested with growing pauses, and is played afterwards", async (t) => {
    const { group, world, run } = await playToEnd(t, { status: 503, code: "busy" });
    await run(28_000);
    assert.deepEqual(pauses(world).slice(1), [1, 2, 4, 8]);
    const end = group.date.value;
    assert.ok(Math.abs(end - LATE - 10_000) < 100, "waits at the end");
    world.refuse = () => null;
    await run(5000);
    assert.equal(group.players[0].state.value, "ready");
    assert.ok(group.date.value > end + 500 && group.date.value < end + 5000);
  });

  test("is requested again if it fails before it is shown", async (t) => {
    const { group, world, run } = await playToEnd(t, null);
    world.players[1].fail({ status: 500 });
    await run(20_000);
    assert.equal(group.players[0].state.value, "ready");
    assert.ok(group.date.value > LATE + 15_000);
    assert.equal(world.playlists.length, 3);
  });

  test("reports a codec that the browser cannot play", async (t) => {
    const { group } = await playToEnd(t, { details: "bufferAddCodecError" });
    assert.equal(group.players[0].state.value, "failed");
    assert.equal(group.players[0].problem.value.code, "codec_unsupported");
  });
});

test("a date long before the first recording needs few requests", async (t) => {
  const { group, world, run } = setUp(t, DAY);
  void group.seek(0);
  await run(1000);
  assert.equal(group.date.value, BEGIN);
  assert.equal(world.files.length, 2);
});

test("a date after the last recording shows no picture of another date, until it is recorded", async (t) => {
  const spans = [[BEGIN, DATE]];
  const { group, world, run, playFrom } = setUp(t, spans);
  world.isGrowing = true;
  void group.seek(DATE - 5000);
  await run(500);
  await playFrom(DATE + 60_000);
  const [player] = group.players;
  for (const seconds of [1, 5]) {
    await run(seconds * 1000);
    assert.equal(player.state.value, "none");
    assert.equal(group.date.value, DATE + 60_000);
  }
  // The camera records on, but not up to the date.
  spans[0][1] = DATE + 30_000;
  world.players[0].update();
  await run(500);
  assert.equal(player.state.value, "none");
  spans[0][1] = DATE + 70_000;
  world.players[0].update();
  await run(1000);
  assert.equal(player.state.value, "ready");
  assert.ok(group.date.value >= DATE + 60_000 && group.date.value < DATE + 62_000);
});
