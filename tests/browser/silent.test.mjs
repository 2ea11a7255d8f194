// Tests the page with cameras that accept connections but never respond, and with a manager that does not
// respond.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import { after, before, describe, test } from "node:test";

import { stage } from "./support/stage.mjs";
import { until } from "./support/until.mjs";
import { SECONDS } from "./support/viewer.mjs";

/** With these settings, no start times out during a test, so a start request that ends early was aborted by the page. */
const SETTINGS = { START_TIMEOUT_SECONDS: "100", MAX_CONCURRENT_STARTS: "20" };
/** Cameras of a wall with four tiles. On such a wall, only the start request of the enlarged tile waits for the result. */
const IDS = ["silent1", "silent2", "silent3", "silent4"];
/** Cameras of another wall with four tiles. One camera has a sub stream, which its tile plays. */
const OTHER_IDS = ["silent5", "with-sub", "silent7", "silent8"];
const PATIENCE = { timeout: SECONDS * 1000 };

describe("the page when cameras or the manager do not respond", { concurrency: 4 }, () => {
  const on = stage(SETTINGS);
  const camera = createServer((socket) => socket.on("error", () => {}).resume());
  let link;

  before(async () => {
    await once(camera.listen(0, "127.0.0.1"), "listening");
    link = `rtsp://127.0.0.1:${camera.address().port}/x`;
    for (const id of [...IDS, ...OTHER_IDS]) {
      await on.service.put(id, {
        rtsp_link: link,
        ...(id === "with-sub" && { rtsp_link_sub: link }),
      });
    }
  });
  after(() => camera.close());

  /** Waits until the page aborts a request whose URL contains `address`. */
  function waitForAbort(page, address) {
    return page.waitForEvent("requestfailed", {
      predicate: (request) => request.url().includes(address),
      ...PATIENCE,
    });
  }

  test("does not wait for the start of a camera that is no longer shown", async (t) => {
    const viewer = await on.visit(t, `#/?cameras=${IDS}&open=silent1`);
    const waiting = (id) => `/${id}/stream/start?profile=main&wait=true`;
    for (const id of ["silent1", "silent2"]) {
      await until(`a start of ${id}`, SECONDS, () =>
        viewer.requests.some((url) => url.includes(waiting(id))),
      );
      const aborted = waitForAbort(viewer.page, waiting(id));
      await viewer.page.getByRole("button", { name: "Next camera" }).click();
      await aborted;
      await viewer.sees("starting", "", id);
    }
  });

  test("starts the profile that each tile plays, and restarts a stream that ends before it is live", async (t) => {
    const [id] = OTHER_IDS;
    const viewer = await on.visit(t, "#/cameras");
    const start = (response) =>
      response.url().includes(`/${id}/stream/start?profile=main&wait=false`);
    const answered = viewer.page.waitForResponse(start, PATIENCE);
    await viewer.page.evaluate((address) => (location.hash = address), `#/?cameras=${OTHER_IDS}`);
    assert.equal((await (await answered).json()).status, "starting");
    const profiles = await until("the other start", SECONDS, async () => {
      const { streams } = await on.service.get("streams");
      const started = streams.filter(({ indicator_id }) => indicator_id === "with-sub");
      return started.length > 0 && started.map(({ profile }) => profile);
    });
    assert.deepEqual(profiles, ["sub"]);
    const another = viewer.page.waitForResponse(start, PATIENCE);
    await on.service.stop(id);
    assert.equal((await (await another).json()).status, "starting");
  });

  test("aborts a camera test when the form changes or closes", async (t) => {
    const viewer = await on.visit(t, "#/cameras?add");
    const { page } = viewer;
    const form = page.getByRole("dialog").first();
    await viewer.fillIn("Silent", link);
    for (const leave of [
      () => form.getByLabel("Name", { exact: true }).fill("Other"),
      async () => {
        await page.keyboard.press("Escape");
        await page.getByRole("button", { name: "Discard" }).click();
      },
    ]) {
      const sent = page.waitForRequest("**/api/cameras/test");
      await form.getByRole("button", { name: "Test" }).click();
      await sent;
      const aborted = waitForAbort(page, "/api/cameras/test");
      await leave();
      await aborted;
      assert.equal(await page.getByRole("alert").count(), 0);
    }
  });

  test("soon reports that the manager does not respond", async (t) => {
    const { page } = await on.visit(t, "#/status");
    await page.getByText("No active streams").or(page.locator("tr[data-stream]")).first().waitFor();
    await page.route("**/api/streams", () => {});
    await page.getByText("The stream manager does not respond").waitFor(PATIENCE);
  });
});
