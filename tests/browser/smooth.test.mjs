// Tests that pictures do not freeze, that the page waits for a late first keyframe, and that played video is removed
// from memory. A freeze is a long gap between two frames that the browser presents. Gaps in which the page itself
// stalled do not count; see support/frames.mjs. PLAY_SECONDS lets the tests of freezes play for longer than 15 s.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { Camera } from "./support/camera.mjs";
import { recordedFrames, recordFrames } from "./support/frames.mjs";
import { stage } from "./support/stage.mjs";
import { until } from "./support/until.mjs";
import { SECONDS } from "./support/viewer.mjs";

/** `./deploy/test --long` also runs the tests that take more than 20 seconds. */
const IS_LONG = Boolean(process.env.LONG_TESTS);
/** The time for which freezes are counted. The causes that the tests cover lead to a freeze at least every 15 s. */
const PLAYING_SECONDS = Math.max(15, Number(process.env.PLAY_SECONDS || 15));
/** A gap between two pictures is a freeze if it is longer than this. A busy machine can cause shorter gaps. */
const FREEZE_MS = 500;
/** The player keeps at least this many seconds of played video; see BackBuffer. */
const KEPT_SECONDS = 10;

/** A keyframe interval that is longer than CLEANUP_DELAY_SECONDS and than any time limit of a start. */
const LATE_KEYFRAME_SECONDS = 120;

/** Starts a camera with these options, and adds its mount as camera `id`. */
async function addCamera(t, on, id, mount, options = []) {
  const camera = await Camera.startFor(t, 0, ["--running", mount, ...options]);
  await on.service.put(id, { rtsp_link: `rtsp://127.0.0.1:${camera.port}/${mount}` });
}

/** Returns the freezes since `recordFrames`, and the number of presented frames. */
async function longFreezes(viewer) {
  const { freezes, frames } = await recordedFrames(viewer.page);
  return { frames, freezes: freezes.filter(({ milliseconds }) => milliseconds > FREEZE_MS) };
}

/** Returns the time at which the buffered video of the tile begins, in seconds. */
function bufferBegin(viewer) {
  return viewer.page.evaluate(() => document.querySelector("video").buffered.start(0));
}

describe("the picture", () => {
  const on = stage();

  for (const [mount, transport] of [
    ["h264-pcmu", "hls"],
    ["h264-aac", "hls"],
    ["h264-aac", "mse"],
  ]) {
    const skip = !IS_LONG && mount === "h264-aac";
    test(`does not freeze if the camera sends audio (${mount}, ${transport})`, {
      skip,
    }, async (t) => {
      const id = `${mount}-${transport}`;
      await addCamera(t, on, id, mount);
      const viewer = await on.visit(t, `#/?cameras=${id}`, { transport });
      await viewer.sees("live");
      await viewer.watches(5);
      await recordFrames(viewer.page);
      await sleep(PLAYING_SECONDS * 1000);
      const { frames, freezes } = await longFreezes(viewer);
      assert.deepEqual(freezes, []);
      assert.ok(frames > 15 * PLAYING_SECONDS, `${frames} frames in ${PLAYING_SECONDS} s`);
    });
  }

  for (const mount of ["h264", "h264-pcmu"]) {
    // The wait for the first keyframe takes up to 40 s.
    test(`does not freeze if keyframes are rare (${mount})`, { skip: !IS_LONG }, async (t) => {
      await addCamera(t, on, `rare-${mount}`, mount, ["--gop-seconds", "40"]);
      const viewer = await on.visit(t, `#/?cameras=rare-${mount}`, { transport: "hls" });
      await viewer.sees("live");
      await recordFrames(viewer.page);
      await viewer.watches(Math.max(KEPT_SECONDS + 5, PLAYING_SECONDS));
      assert.deepEqual((await longFreezes(viewer)).freezes, []);
    });
  }

  test("appears with the first keyframe, however late it is", { skip: !IS_LONG }, async (t) => {
    await addCamera(t, on, "late", "h264", ["--gop-seconds", String(LATE_KEYFRAME_SECONDS)]);
    // The camera has already sent its first keyframe, so the page waits for the second.
    const viewer = await on.visit(t, "#/?cameras=late");
    await viewer.sees("starting", "The camera has not sent a keyframe yet.");
    const states = new Set();
    await until("the keyframe", LATE_KEYFRAME_SECONDS + SECONDS, async () => {
      const { state } = (await viewer.describe("late")) ?? {};
      states.add(state);
      return state === "live";
    });
    assert.deepEqual([...states], ["starting", "live"]);
    assert.equal((await on.service.status("late")).restarts, 0);
  });

  test("is removed from memory after it was played", async (t) => {
    await on.putCopy("removed");
    const viewer = await on.visit(t, "#/?cameras=removed", { transport: "hls" });
    await viewer.sees("live");
    await until(
      "the removal of played video",
      SECONDS,
      async () => (await bufferBegin(viewer)) > 0,
    );
    const { currentTime } = await viewer.video();
    assert.ok(currentTime - (await bufferBegin(viewer)) >= KEPT_SECONDS - 1);
  });
});
