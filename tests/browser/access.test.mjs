// Tests the page of a service with API keys: signing in, what each role can do, and playback sessions that
// the page renews in the background.
import assert from "node:assert/strict";
import { before, describe, test } from "node:test";

import { stage } from "./support/stage.mjs";
import { until } from "./support/until.mjs";
import { SECONDS } from "./support/viewer.mjs";

/** `./deploy/test --long` also tests the transports that share their code with others. */
const IS_LONG = Boolean(process.env.LONG_TESTS);

const ADMIN = "boss-secret-0123456789";
const VIEWER = "wall-secret-0123456789";
/** Keys of the viewer whose session is renewed, and of the viewer whose session is ended. */
const RENEWING_VIEWER = "hall-secret-0123456789";
const ENDED_VIEWER = "lobby-secret-0123456789";
/** Lifetime of the renewed playback sessions, in seconds. The page normally requests ten minutes. */
const SESSION_SECONDS = 5;

// The tests run concurrently, because they spend most of the time waiting.
describe("the page of a service with keys", { concurrency: 3 }, () => {
  const keys = [
    `boss:admin:${ADMIN}`,
    `wall:viewer:${VIEWER}`,
    `hall:viewer:${RENEWING_VIEWER}`,
    `lobby:viewer:${ENDED_VIEWER}`,
  ];
  const on = stage({ API_KEYS: keys.join() });

  before(() => on.putCopy("yard", { name: "Yard" }, ADMIN));

  /** Opens the page, calls `prepare` with it, and signs in with a key. */
  async function signIn(t, key, { prepare = async () => {}, ...options } = {}) {
    const viewer = await on.visit(t, "", options);
    await prepare(viewer.page);
    await viewer.page.getByLabel("API key").fill(key);
    await viewer.page.getByRole("button", { name: "Sign in" }).click();
    return viewer;
  }

  test("asks for a key, reports a wrong key, never puts a key into a URL, and signs out at once", async (t) => {
    const viewer = await signIn(t, "not-a-key-0123456789");
    const { page } = viewer;
    await page.getByText("The API key is invalid.").waitFor();
    await page.getByLabel("API key").fill(ADMIN);
    await page.getByRole("button", { name: "Sign in" }).click();
    await viewer.sees("live");
    assert.ok(
      viewer.requests.some((url) => /\/play\/[^/]+\/yard\//.test(url)),
      "no request for media has a playback token in its URL",
    );
    assert.ok(!viewer.requests.some((url) => url.includes(ADMIN)), "the key is in a URL");
    // After a reload, the page does not ask for the key again.
    await page.reload();
    await viewer.sees("live");
    // Signing out works immediately, even if the manager does not respond.
    await page.route("**/api/playback/sessions/*", () => {});
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByLabel("API key").waitFor();
  });

  test("does not start a camera whose tile was stopped before the session was created", async (t) => {
    let letContinue;
    const mayContinue = new Promise((resolve) => (letContinue = resolve));
    const viewer = await signIn(t, ADMIN, {
      prepare: (page) =>
        page.route("**/api/playback/sessions", async (route) => {
          await mayContinue;
          await route.continue();
        }),
    });
    const { page } = viewer;
    const countRequests = (path) => viewer.requests.filter((url) => url.includes(path)).length;
    await until(
      "the request for a session",
      SECONDS,
      () => countRequests("/api/playback/sessions") > 0,
    );
    await viewer.tile().hover();
    await viewer.tile().getByRole("button", { name: "Stop" }).click();
    // The tile shows the stop at once. Wait until the player has stopped as well.
    await page.locator(".tile.idle").waitFor();
    const answered = page.waitForResponse("**/api/playback/sessions");
    letContinue();
    await answered;
    const isStart = (response) => response.url().includes("/stream/start");
    const started = page.waitForResponse(isStart, { timeout: SECONDS * 1000 });
    await viewer.tile().getByRole("button", { name: "Start" }).first().click();
    // Count right after the start. A player that gets no picture in time requests another start, as it
    // should.
    await started;
    assert.equal(countRequests("/stream/start"), 1);
    await viewer.sees("live");
  });

  test("hides the controls that a key of role viewer does not permit", async (t) => {
    const viewer = await signIn(t, VIEWER);
    const { page } = viewer;
    await viewer.sees("live");
    await page.getByRole("button", { name: "More about Yard" }).click();
    const details = page.getByRole("dialog");
    await details.waitFor();
    assert.equal(await page.getByText("Edit camera").count(), 0);
    await page.keyboard.press("Escape");
    await details.waitFor({ state: "detached" });
    const controlTexts = async () =>
      (await page.locator("a:visible, button:visible, label.button").allTextContents()).join(" ");
    assert.ok(!(await controlTexts()).includes("Find"));
    await page.getByRole("link", { name: "Cameras" }).click();
    await page.getByRole("link", { name: "Watch Yard" }).waitFor();
    for (const name of ["Add", "Import", "Export", "Edit", "Delete"]) {
      const controls = page.getByRole("button", { name }).or(page.getByRole("link", { name }));
      assert.equal(await controls.count(), 0, name);
    }
    // The page counts the streams that it lists, and not those of all cameras.
    await page.route("**/api/health", async (route) => {
      const json = await (await route.fetch()).json();
      await route.fulfill({ json: { ...json, active_streams: 8 } });
    });
    const health = page.waitForResponse("**/api/health");
    await page.getByRole("link", { name: "Status" }).click();
    await health;
    await page.locator('tr[data-stream="yard"]').waitFor();
    await page.locator(".figures div").last().filter({ hasText: /\d/ }).waitFor();
    const active = await page.locator(".figures div").first().textContent();
    assert.doesNotMatch(active, /8/);
    assert.equal(await page.getByLabel("Stop the stream").count(), 0);
    // A key of role viewer can see and end only its own sessions.
    const session = page.locator("tr[data-session]");
    await session.first().waitFor();
    for (const text of await session.allTextContents()) {
      assert.ok(text.startsWith("wall (page)"), text);
    }
    await session.first().getByRole("button", { name: "End the session" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "End", exact: true }).click();
    await page.getByText("The session of wall (page) has ended.").waitFor();
    // Opening the address of the form does not show the form either.
    await page.goto(`${on.service.origin}/#/cameras?add`);
    await page.getByRole("link", { name: "Watch Yard" }).waitFor();
    assert.equal(await page.getByRole("dialog").count(), 0);
  });

  for (const transport of ["hls", "webcodecs", "mse"]) {
    const skip = !IS_LONG && transport === "mse";
    const name = `renews its playback session without interrupting the video (${transport})`;
    test(name, { skip }, async (t) => {
      const tokens = new Set();
      const viewer = await signIn(t, RENEWING_VIEWER, { transport, prepare: shortenSessions });
      const { page } = viewer;
      const rejectedUrls = [];
      const add = (request) => tokens.add(/\/play\/([^/]+)\//.exec(request.url())?.[1]);
      page.on("request", add);
      page.on("websocket", (socket) => add(socket));
      page.on("response", (response) => {
        if (response.status() === 401 && response.url().includes("/play/")) {
          rejectedUrls.push(response.url());
        }
      });
      await viewer.sees("live");
      await viewer.watches(2);
      await page.evaluate(recordInterruptions);
      await viewer.watches(3 * SESSION_SECONDS);
      tokens.delete(undefined);
      assert.ok(tokens.size >= 3, `only ${tokens.size} tokens were used`);
      assert.deepEqual(
        // A slow machine can cause buffer errors, so they do not count. A failed renewal causes request errors.
        await page.evaluate(() =>
          globalThis.interruptions.filter((name) => !name.startsWith("buffer")),
        ),
        [],
      );
      assert.deepEqual(rejectedUrls, []);
    });
  }

  test("creates a new session after an admin has ended the current one", async (t) => {
    const watching = await signIn(t, ENDED_VIEWER);
    await watching.sees("live");
    const viewer = await signIn(t, ADMIN);
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
    await watching.seesPictureNewerThan(endedAt);
    await watching.sees("live");
    await watching.watches(2);
  });
});

/** Requests sessions of SESSION_SECONDS instead of the page's own lifetime. */
function shortenSessions(page) {
  return page.route("**/api/playback/sessions", (route) => {
    const body = { ...route.request().postDataJSON(), ttl_seconds: SESSION_SECONDS };
    return route.continue({ postData: JSON.stringify(body) });
  });
}

/** Runs in the page: records interruptions of the first tile. A change to another connection is not one. */
function recordInterruptions() {
  globalThis.interruptions = [];
  const tile = document.querySelector(".tile");
  const element = tile.querySelector(".screen > [data-shown]");
  element.addEventListener("hlserror", ({ detail }) => globalThis.interruptions.push(detail));
  if (tile.dataset.transport === "hls") {
    element.addEventListener("emptied", () => globalThis.interruptions.push("emptied"));
  }
  new MutationObserver(() => globalThis.interruptions.push(tile.dataset.state)).observe(tile, {
    attributeFilter: ["data-state"],
  });
}

describe("the page of a service without settings for access", () => {
  const on = stage({ ALLOW_ANONYMOUS: "" });

  test("opens with the link that deploy/run prints, removes its key from the address, and puts it into no URL", async (t) => {
    const { page: link } = on.service;
    const [address, key] = link.split("#key=");
    assert.ok(key?.length > 30, link);
    const viewer = await on.visit(t, link);
    const { page } = viewer;
    await viewer.sees("live");
    assert.equal(page.url().split("#")[0], address.split("?")[0]);
    assert.ok(!page.url().includes(key), page.url());
    assert.ok(!viewer.requests.some((url) => url.includes(key)), "the key is in a URL");
    await page.reload();
    await viewer.sees("live");
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByLabel("API key").waitFor();
    // The link also works in the address bar of the open page.
    await page.evaluate((key) => (location.hash = `#key=${key}`), key);
    await viewer.sees("live");
    assert.ok(!page.url().includes(key), page.url());
    assert.deepEqual(
      viewer.problems.filter((problem) => !problem.includes("401")),
      [],
    );
  });
});
