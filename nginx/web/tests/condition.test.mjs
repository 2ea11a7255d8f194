// Tests the conditions of cameras: one word, one colour, one icon and one action for each combination of facts.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { transformWithEsbuild } from "vite";

const FILE = new URL("../src/views/condition.ts", import.meta.url);
const { code } = await transformWithEsbuild(readFileSync(FILE, "utf8"), FILE.pathname);
const { APPEARANCES, conditionOf, factsOfStream, factsOfTile } = await import(
  `data:text/javascript,${encodeURIComponent(code)}`
);

const ERROR = { code: "source_unreachable", detail: "", seconds_ago: 1 };
const STATES = ["starting", "live", "backoff", "stopping", "failed", "stopped"];
const PLAYER_STATES = ["idle", "starting", "live", "waiting", "retrying", "failed", "pictures"];

function stream(state, more = {}) {
  return { state, restarts: 0, last_error: null, ...more };
}

function ofStream(state, more, wasLive = false) {
  return conditionOf(factsOfStream(stream(state, more), wasLive));
}

function ofTile(player, { code: reason = null, listed, wasLive = false, isWanted = true } = {}) {
  return conditionOf(factsOfTile({ player, isWanted, code: reason, stream: listed, wasLive }));
}

test("a stream is reconnecting only if it was live, and failed only if no retry follows", () => {
  assert.equal(ofStream("starting"), "starting");
  assert.equal(ofStream("starting", { restarts: 1, last_error: ERROR }), "retrying");
  assert.equal(ofStream("starting", { restarts: 1, last_error: ERROR }, true), "reconnecting");
  assert.equal(ofStream("backoff", { last_error: ERROR }), "retrying");
  assert.equal(ofStream("backoff", { last_error: ERROR }, true), "reconnecting");
  assert.equal(ofStream("failed", { restarts: 3, last_error: ERROR }, true), "failed");
  assert.equal(ofStream("live", { restarts: 3, last_error: ERROR }), "live");
  assert.equal(ofStream("stopping"), "stopping");
});

test("a camera without a stream is idle only if its last start has not failed", () => {
  assert.equal(conditionOf({ state: "stopped" }), "idle");
  assert.equal(conditionOf({ state: "stopped", code: ERROR.code }), "failed");
  assert.equal(conditionOf({ state: "offline" }), "offline");
});

test("a tile that retries has not failed, and a deleted camera is missing", () => {
  assert.equal(ofTile("retrying", { code: "source_unreachable" }), "retrying");
  assert.equal(ofTile("waiting", { code: "source_unreachable" }), "reconnecting");
  assert.equal(ofTile("failed", { code: "source_unauthorized" }), "failed");
  assert.equal(ofTile("failed", { code: "unknown_camera" }), "missing");
  assert.equal(ofTile("idle"), "paused");
  assert.equal(ofTile("live", { isWanted: false }), "stopped");
});

test("while a tile waits for a stream, it has the stream's condition", () => {
  for (const state of ["starting", "backoff"]) {
    for (const restarts of [0, 2]) {
      for (const wasLive of [false, true]) {
        const listed = stream(state, { restarts, last_error: ERROR });
        const expected = conditionOf(factsOfStream(listed, wasLive));
        assert.equal(ofTile("starting", { listed, wasLive }), expected, `${state} ${restarts}`);
      }
    }
  }
  assert.equal(ofTile("starting", { listed: stream("live") }), "starting");
});

test("every combination has an appearance, and only bad conditions offer to try again", () => {
  const codes = [null, "source_unauthorized", "unknown_camera"];
  const conditions = [
    ...STATES.flatMap((state) =>
      codes.map((last) => ofStream(state, { last_error: last && { ...ERROR, code: last } })),
    ),
    ...PLAYER_STATES.flatMap((state) => codes.map((last) => ofTile(state, { code: last }))),
  ];
  for (const condition of conditions) {
    const { tone, action } = APPEARANCES[condition];
    if (action === "retry" || action === "remove") {
      assert.equal(tone, "bad", condition);
    }
    assert.ok(tone !== "bad" || action !== "stop", condition);
  }
});
