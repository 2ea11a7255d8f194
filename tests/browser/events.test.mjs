// Tests the view of events: earlier events, further ones as they happen, filters, marks, and the list on a phone.
import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { stage } from "./support/stage.mjs";
import { until } from "./support/until.mjs";
import { SECONDS } from "./support/viewer.mjs";

const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };
const AWAY = "rtsp://127.0.0.1:9/x";
const VIEWER_KEY = "viewer-secret-00001";
const ADMIN_KEY = "admin-secret-000001";

describe("the list of events", () => {
  const on = stage();
  const rows = (viewer) => viewer.page.locator("li.event");
  /** The selects for the camera and for the type. */
  const select = (viewer, number) => viewer.page.locator("form.filter select").nth(number);
  const titles = (viewer) => rows(viewer).locator(".event-title").allTextContents();
  const shows = (viewer, expected) =>
    until(`the list shows ${expected.join(", ")}`, SECONDS, async () => {
      const shown = await titles(viewer);
      return shown.length === expected.length && shown.every((text, n) => text === expected[n]);
    });

  test("shows earlier events and further ones as they happen, and filters them", async (t) => {
    await on.service.put("gate", { name: "Gate <b>", rtsp_link: AWAY });
    await on.service.put("yard", { name: "Yard", rtsp_link: AWAY });
    await on.service.report("gate", { type: "door", label: "Gate opened <i>" });
    await on.service.report("yard", { type: "alarm" });
    const viewer = await on.visit(t, "#/events?type=reported");
    await shows(viewer, ["alarm", "Gate opened <i>"]);
    assert.match(await rows(viewer).last().textContent(), /Gate <b> · door/);
    await viewer.page.getByText("2 new").waitFor();

    await on.service.report("yard", { type: "bell", id: "b" });
    await shows(viewer, ["bell", "alarm", "Gate opened <i>"]);
    const soon = new Date(Date.now() + 60_000).toISOString();
    await on.service.report("yard", { type: "bell", id: "b", until: soon });
    await rows(viewer).first().filter({ hasText: "until" }).waitFor();
    assert.equal((await titles(viewer)).length, 3, "a changed event is replaced");

    await select(viewer, 0).selectOption({ label: "Gate <b>" });
    await shows(viewer, ["Gate opened <i>"]);
    await on.service.report("yard", { type: "door" });
    await on.service.report("gate", { type: "door", label: "Gate closed" });
    await shows(viewer, ["Gate closed", "Gate opened <i>"]);

    // The stream of a camera that cannot be reached.
    await on.service.start("gate");
    await select(viewer, 1).selectOption("stream");
    await shows(viewer, ["Stream could not start", "Stream is starting"]);
    await rows(viewer).first().filter({ hasText: "The camera cannot be reached." }).waitFor();
    await select(viewer, 1).selectOption("stream.started");
    await shows(viewer, ["Stream is starting"]);

    await viewer.page.getByLabel("From").fill("2099-01-01T00:00");
    await viewer.page.getByText("No events match these filters.").waitFor();
    assert.match(viewer.page.url(), /camera=gate/);
    await viewer.page.reload();
    await viewer.page.getByText("No events match these filters.").waitFor();
    await viewer.page.getByLabel("From").fill("");
    await shows(viewer, ["Stream is starting"]);

    // The names of reported events.
    await select(viewer, 0).selectOption("");
    await select(viewer, 1).selectOption("reported.alarm");
    await shows(viewer, ["alarm"]);

    // At first, the list hides the beginning and the end of streams. The choice is kept.
    const gate = new URL("#/events?camera=gate", on.service.origin).href;
    const unusual = ["Stream could not start", "Gate closed", "Gate opened <i>"];
    await viewer.page.goto(gate);
    await shows(viewer, unusual);
    await select(viewer, 1).selectOption("All types");
    await shows(viewer, [unusual[0], "Stream is starting", ...unusual.slice(1)]);
    await viewer.page.goto(gate);
    await shows(viewer, [unusual[0], "Stream is starting", ...unusual.slice(1)]);
    assert.deepEqual(viewer.problems, []);
  });

  test("marks events as seen", async (t) => {
    await on.service.put("seen", { name: "Seen", rtsp_link: AWAY });
    for (const label of ["one", "two", "three"]) {
      await on.service.report("seen", { type: "door", label });
    }
    const viewer = await on.visit(t, "#/events?camera=seen");
    const other = await on.visit(t, "#/events?camera=seen");
    await shows(viewer, ["three", "two", "one"]);
    await other.page.getByText("3 new").waitFor();
    await other.hide();
    await viewer.page.getByRole("button", { name: "Mark as seen: two" }).click();
    await viewer.page.getByText("2 new").waitFor();
    // Another tab shows the marks as soon as it is visible again.
    await other.hide(false);
    await other.page.getByText("2 new").waitFor();
    await viewer.page.getByLabel("Only new events").check();
    await shows(viewer, ["three", "one"]);
    await viewer.page.getByRole("button", { name: "Mark all as seen" }).click();
    await viewer.page.getByText("All events are marked as seen").waitFor();
    const { events } = await on.service.get("events?camera=seen&seen=true");
    assert.equal(events.length, 3);
    const others = await on.service.get("events?camera=gate&seen=true");
    assert.equal(others.events.length, 0, "the events of other cameras are not marked");

    // Only events of the chosen time are marked.
    await on.service.report("seen", { type: "door", label: "four" });
    let sent;
    await viewer.page.route("**/api/events/seen", async (route) => {
      sent = route.request().postDataJSON();
      await route.fulfill({ json: { marked: 1 } });
    });
    const [from, to] = ["2020-01-01T00:00", "2099-01-01T00:00"];
    await viewer.page.goto(
      `${on.service.origin}/#/events?camera=seen&type=reported&from=${from}&to=${to}`,
    );
    await shows(viewer, ["four", "three", "two", "one"]);
    await viewer.page.getByRole("button", { name: "Mark all as seen" }).click();
    await until("the request was sent", SECONDS, () => sent);
    const { up_to: upTo, ...limits } = sent;
    assert.ok(upTo > 0);
    assert.deepEqual(limits, {
      camera: "seen",
      type: "reported",
      from: new Date(from).toISOString(),
      to: new Date(to).toISOString(),
    });
    assert.deepEqual(viewer.problems, []);
  });

  test("shows earlier pages, and events that are missed while the connection is away", async (t) => {
    await on.service.put("many", { name: "Many", rtsp_link: AWAY });
    for (let n = 1; n <= 60; n += 1) {
      await on.service.report("many", { type: "door", label: `event ${n}` });
    }
    const viewer = await on.visit(t, "#/events?camera=many&type=reported");
    await rows(viewer).nth(49).waitFor();
    assert.equal((await titles(viewer)).length, 50);
    await viewer.page.getByRole("button", { name: "Show earlier events" }).click();
    await rows(viewer).nth(59).waitFor();
    assert.equal(new Set(await titles(viewer)).size, 60);
    await viewer.page.context().setOffline(true);
    await on.service.report("many", { type: "door", label: "missed" });
    await viewer.page.context().setOffline(false);
    await on.service.report("many", { type: "door", label: "later" });
    await until("both events are shown", SECONDS, async () => {
      const [first, second] = await titles(viewer);
      return first === "later" && second === "missed";
    });
  });

  test("fits a phone, in German", async (t) => {
    await on.service.put("phone", { name: "Ein langer Name einer Kamera am Tor", rtsp_link: AWAY });
    const long = { type: "door", label: `Tür ${"geöffnet ".repeat(15)}`.trim() };
    await on.service.report("phone", long);
    const viewer = await on.visit(t, "#/events?camera=phone", { ...PHONE, locale: "de-DE" });
    await shows(viewer, [long.label]);
    await viewer.page.getByText("1 neues").waitFor();
    const width = await viewer.page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(width <= 390, `the page is ${width} pixels wide`);
    await viewer.page.getByRole("button", { name: /^Als gesehen markieren/ }).tap();
    await until("the event is marked", SECONDS, async () => {
      const { events } = await on.service.get("events?camera=phone");
      return events[0].seen;
    });
    assert.deepEqual(viewer.problems, []);
  });
});

describe("the list of events of a caller who can only watch", () => {
  const on = stage({
    API_KEYS: `boss:admin:${ADMIN_KEY},wall:viewer:${VIEWER_KEY}`,
    ALLOW_ANONYMOUS: "",
  });

  test("shows events, but does not offer to mark them", async (t) => {
    await on.service.put("gate", { name: "Gate", rtsp_link: AWAY }, ADMIN_KEY);
    await on.service.report("gate", { type: "door", label: "opened" }, 201, ADMIN_KEY);
    const viewer = await on.visit(t, `#key=${VIEWER_KEY}`);
    await viewer.page.getByRole("link", { name: "Events" }).click();
    await viewer.page.locator("li.event").filter({ hasText: "opened" }).waitFor();
    assert.equal(await viewer.page.getByRole("button", { name: /Mark/ }).count(), 0);
    await on.service.report("gate", { type: "door", label: "closed" }, 201, ADMIN_KEY);
    await viewer.page.locator("li.event").filter({ hasText: "closed" }).waitFor();
  });
});
