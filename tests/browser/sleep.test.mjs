// A viewer's computer goes to sleep. In a file of its own, since the whole browser sleeps.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";

import { descendants, signal } from "./support/processes.mjs";
import { stage } from "./support/stage.mjs";
import { until } from "./support/until.mjs";
import { SECONDS } from "./support/viewer.mjs";

/** Ends a stream without viewers soon. */
const SETTINGS = { CLEANUP_DELAY_SECONDS: "4", CLEANUP_INTERVAL_SECONDS: "1" };
/** Longer than the timers of a busy browser are late. */
const SLEEP_MS = 20_000;
/** Sooner than the player restarts a picture that is stuck for another reason. */
const NOTICED_MS = 5000;

describe("the page on a computer that sleeps", () => {
  const on = stage(SETTINGS);

  test("continues automatically when it wakes", async (t) => {
    await on.putCopy("sleeping");
    const viewer = await on.visit(t, "#/?cameras=sleeping");
    await viewer.page.evaluate(stopMonotonicClockInSleep);
    await viewer.sees("live");
    await viewer.watches(2);
    await viewer.page.evaluate(() => (globalThis.isSamePage = true));

    const browser = descendants(process.pid).filter(({ name }) => name.startsWith("chrom"));
    assert.notEqual(browser.length, 0);
    t.after(() => browser.forEach(({ pid }) => signal(pid, "SIGCONT")));
    browser.forEach(({ pid }) => signal(pid, "SIGSTOP"));
    const asleep = pause(SLEEP_MS);
    await until("the end of the stream", SECONDS, async () => {
      return (await on.service.status("sleeping")).state === "stopped";
    });
    await asleep;
    const startedAt = [];
    viewer.page.on(
      "request",
      (request) => request.url().includes("/stream/start") && startedAt.push(Date.now()),
    );
    const wokeAt = Date.now();
    browser.forEach(({ pid }) => signal(pid, "SIGCONT"));

    await viewer.seesPictureOfAfter(wokeAt);
    await viewer.sees("live");
    await viewer.watches(2);
    // A busy machine may need another start later.
    assert.ok(
      startedAt[0] - wokeAt < NOTICED_MS,
      `started ${startedAt.map((at) => at - wokeAt)} ms after it woke`,
    );
    assert.ok(await viewer.page.evaluate(() => globalThis.isSamePage), "the page was reloaded");
  });
});

/**
 * In the page: stops the monotonic clock as sleep does. In a browser that is stopped by a signal it
 * continues.
 */
function stopMonotonicClockInSleep() {
  const clock = performance.now.bind(performance);
  let slept = 0;
  let last = clock();
  performance.now = () => {
    const now = clock();
    if (now - last > 5000) {
      slept += now - last;
    }
    last = now;
    return now - slept;
  };
  setInterval(() => performance.now(), 100);
}
