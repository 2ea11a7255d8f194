// Tests a viewer's computer that goes to sleep. This test has its own file, because it suspends the whole
// browser.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";

import { descendants, signal } from "./support/processes.mjs";
import { stage } from "./support/stage.mjs";
import { until, untilEqual } from "./support/until.mjs";
import { SECONDS } from "./support/viewer.mjs";

/** These settings end a stream soon after its last viewer. */
const SETTINGS = {
  CLEANUP_DELAY_SECONDS: "4",
  CLEANUP_INTERVAL_SECONDS: "1",
  WEBRTC_PORT: "0",
  WEBRTC_ADDRESSES: "127.0.0.1",
};
/** The cameras of the page. Each of them is played with the transport of its name. */
const TRANSPORTS = ["webcodecs", "webrtc", "mse", "hls", "mjpeg"];
/**
 * Duration of the sleep. A busy browser can delay timers by seconds, so the page counts only a pause of more than 15 s
 * as a sleep.
 */
const SLEEP_MS = 20_000;
/**
 * Time in which the page must notice the sleep. The detection of frozen video takes longer, so this detection alone
 * would not be enough.
 */
const NOTICE_MS = 5000;

describe("the page on a computer that sleeps", () => {
  const on = stage(SETTINGS);

  test("continues automatically when the computer wakes up", async (t) => {
    for (const id of TRANSPORTS) {
      await on.putCopy(id);
    }
    const viewer = await on.visit(t, "#/status");
    await viewer.page.evaluate(chooseTransports, TRANSPORTS);
    await viewer.page.goto(`${on.service.origin}/?page#/?cameras=${TRANSPORTS}`);
    await viewer.page.evaluate(stopMonotonicClockInSleep);
    for (const id of TRANSPORTS) {
      await viewer.sees("live", "", id);
    }
    await viewer.watches(2);
    await viewer.page.evaluate(() => (globalThis.isSamePage = true));

    const browser = descendants(process.pid).filter(({ name }) => name.startsWith("chrom"));
    assert.notEqual(browser.length, 0);
    t.after(() => browser.forEach(({ pid }) => signal(pid, "SIGCONT")));
    browser.forEach(({ pid }) => signal(pid, "SIGSTOP"));
    const asleep = pause(SLEEP_MS);
    await until("the end of the stream", SECONDS, async () => {
      const states = await Promise.all(TRANSPORTS.map((id) => on.service.status(id)));
      return states.every(({ state }) => state === "stopped");
    });
    await asleep;
    const startedAt = [];
    viewer.page.on(
      "request",
      (request) => request.url().includes("/stream/start") && startedAt.push(Date.now()),
    );
    const wokeAt = Date.now();
    browser.forEach(({ pid }) => signal(pid, "SIGCONT"));

    for (const id of TRANSPORTS) {
      await viewer.seesPictureNewerThan(wokeAt, id);
      await viewer.sees("live", "", id);
      await untilEqual(`${id} plays`, SECONDS, () => viewer.transport(id), id);
    }
    await viewer.watches(2);
    // On a busy machine, more starts can follow, so the test checks only the first start.
    assert.ok(
      startedAt[0] - wokeAt < NOTICE_MS,
      `started ${startedAt.map((at) => at - wokeAt)} ms after the end of the sleep`,
    );
    assert.ok(await viewer.page.evaluate(() => globalThis.isSamePage), "the page was reloaded");
  });
});

/** Runs in the page: chooses the transport with which each camera is named. */
function chooseTransports(names) {
  const choices = Object.fromEntries(names.map((name) => [name, name]));
  localStorage.setItem("transports", JSON.stringify(choices));
}

/**
 * Runs in the page: makes `performance.now` leave out the time of the sleep, as the monotonic clock of a
 * sleeping computer does. Without this, the clock would include the time in which a signal stops the browser.
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
