// The page of a service with API keys: signing in, what each role can do, and permissions to watch
// that are renewed in the background.
import assert from "node:assert/strict";
import { before, describe, test } from "node:test";

import { stage } from "./support/stage.mjs";
import { until } from "./support/until.mjs";
import { SECONDS } from "./support/viewer.mjs";

const ADMIN = "boss-secret-0123456789";
const VIEWER = "wall-secret-0123456789";
/** Keys of the viewer who watches for long, and of the one whose session is ended. */
const LONG_VIEWER = "hall-secret-0123456789";
const ENDED_VIEWER = "lobby-secret-0123456789";
/** Lifetime of a session in seconds; the page requests ten minutes. */
const SHORT = 5;

// Concurrently, since they wait most of the time.
describe("the page of a service with keys", { concurrency: 3 }, () => {
  const keys = [
    `boss:admin:${ADMIN}`,
    `wall:viewer:${VIEWER}`,
    `hall:viewer:${LONG_VIEWER}`,
    `lobby:viewer:${ENDED_VIEWER}`,
  ];
  const on = stage({ API_KEYS: keys.join() });

  before(() => on.putCopy("yard", { name: "Yard" }, ADMIN));

  async function signedIn(t, key, prepare = async () => {}) {
    const viewer = await on.visit(t);
    await prepare(viewer.page);
    await viewer.page.getByLabel("API key").fill(key);
    await viewer.page.getByRole("button", { name: "Sign in" }).click();
    return viewer;
  }

  test("asks for a key, reports a wrong one, and does not expose it", async (t) => {
    const viewer = await signedIn(t, "not-a-key-0123456789");
    const { page } = viewer;
    await page.getByText("The API key is invalid.").waitFor();
    await page.getByLabel("API key").fill(ADMIN);
    await page.getByRole("button", { name: "Sign in" }).click();
    await viewer.sees("live");
    assert.ok(
      viewer.requests.some((url) => /\/play\/[^/]+\/yard\//.test(url)),
      "no playback token",
    );
    assert.ok(!viewer.requests.some((url) => url.includes(ADMIN)), "the key is in a URL");
    // A reload does not ask for it again.
    await page.reload();
    await viewer.sees("live");
    // Signing out does not wait for a manager that does not respond.
    await page.route("**/api/playback/sessions/*", () => {});
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByLabel("API key").waitFor();
  });

  test("does not start a camera that was stopped before it could be watched", async (t) => {
    let allow;
    const isAllowed = new Promise((resolve) => (allow = resolve));
    const viewer = await signedIn(t, ADMIN, (page) =>
      page.route("**/api/playback/sessions", async (route) => {
        await isAllowed;
        await route.continue();
      }),
    );
    const { page } = viewer;
    const requests = (path) => viewer.requests.filter((url) => url.includes(path)).length;
    await until(
      "the request for permission",
      SECONDS,
      () => requests("/api/playback/sessions") > 0,
    );
    await viewer.tile().hover();
    await viewer.tile().getByRole("button", { name: "Stop" }).click();
    // The player itself, which stops after the tile.
    await page.locator(".tile.idle").waitFor();
    const answered = page.waitForResponse("**/api/playback/sessions");
    allow();
    await answered;
    const isStart = (response) => response.url().includes("/stream/start");
    const started = page.waitForResponse(isStart, { timeout: SECONDS * 1000 });
    await viewer.tile().getByRole("button", { name: "Start" }).first().click();
    // Counted at this point: a player that gets no picture in time rightly starts its camera again.
    await started;
    assert.equal(requests("/stream/start"), 1);
    await viewer.sees("live");
  });

  test("offers a viewer only what a viewer can do", async (t) => {
    const viewer = await signedIn(t, VIEWER);
    const { page } = viewer;
    await viewer.sees("live");
    await page.getByRole("button", { name: "More about Yard" }).click();
    assert.equal(await page.getByText("Edit camera").count(), 0);
    await page.keyboard.press("Escape");
    const offered = async () =>
      (await page.locator("a:visible, button:visible, label.button").allTextContents()).join(" ");
    assert.ok(!(await offered()).includes("Find"));
    await page.getByRole("link", { name: "Cameras" }).click();
    await page.getByRole("link", { name: "Watch Yard" }).waitFor();
    for (const name of ["Add", "Import", "Export", "Edit", "Delete"]) {
      const controls = page.getByRole("button", { name }).or(page.getByRole("link", { name }));
      assert.equal(await controls.count(), 0, name);
    }
    await page.getByRole("link", { name: "Status" }).click();
    await page.locator('tr[data-stream="yard"]').waitFor();
    assert.equal(await page.getByLabel("Stop the stream").count(), 0);
    // A viewer sees and ends its own sessions only.
    const session = page.locator("tr[data-session]");
    await session.first().waitFor();
    for (const text of await session.allTextContents()) {
      assert.ok(text.startsWith("wall (page)"), text);
    }
    await session.first().getByRole("button", { name: "End the session" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "End", exact: true }).click();
    await page.getByText("The session of wall (page) has ended.").waitFor();
    // The form does not open by its address either.
    await page.goto(`${on.service.origin}/#/cameras?add`);
    await page.getByRole("link", { name: "Watch Yard" }).waitFor();
    assert.equal(await page.getByRole("dialog").count(), 0);
  });

  test("renews its permission to watch without a break in the picture", async (t) => {
    const tokens = new Set();
    const viewer = await signedIn(t, LONG_VIEWER, (page) =>
      page.route("**/api/playback/sessions", (route) => {
        const body = { ...route.request().postDataJSON(), ttl_seconds: SHORT };
        return route.continue({ postData: JSON.stringify(body) });
      }),
    );
    const { page } = viewer;
    const refused = [];
    page.on("request", (request) => tokens.add(/\/play\/([^/]+)\//.exec(request.url())?.[1]));
    page.on("response", (response) => {
      if (response.status() === 401 && response.url().includes("/play/")) {
        refused.push(response.url());
      }
    });
    await viewer.sees("live");
    await viewer.watches(2);
    await page.evaluate(() => {
      globalThis.breaks = [];
      const video = document.querySelector("video");
      video.addEventListener("hlserror", ({ detail }) => globalThis.breaks.push(detail));
      video.addEventListener("emptied", () => globalThis.breaks.push("emptied"));
    });
    await viewer.watches(3 * SHORT);
    tokens.delete(undefined);
    assert.ok(tokens.size >= 3, `${tokens.size} tokens`);
    assert.deepEqual(
      await page.evaluate(() => globalThis.breaks.filter((one) => one !== "bufferStalledError")),
      [],
    );
    assert.deepEqual(refused, []);
  });

  test("creates a new session when its own was ended, and can end others", async (t) => {
    const watching = await signedIn(t, ENDED_VIEWER);
    await watching.sees("live");
    const viewer = await signedIn(t, ADMIN);
    const { page } = viewer;
    await viewer.sees("live");
    await page.getByRole("link", { name: "Status" }).click();
    const session = await page
      .locator("tr[data-session]", { hasText: "lobby (page)" })
      .getAttribute("data-session");
    const row = page.locator(`tr[data-session="${session}"]`);
    await row.getByRole("button", { name: "End the session" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "End", exact: true }).click();
    await row.waitFor({ state: "detached" });
    const endedAt = Date.now();
    await watching.seesPictureOfAfter(endedAt);
    await watching.sees("live");
    await watching.watches(2);
  });
});
