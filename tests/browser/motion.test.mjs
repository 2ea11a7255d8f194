// Tests motion on the page: the options in the form of a camera, zones that are drawn on its picture, events, the boxes
// above the live picture, and the state of the analysis.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { watchBoxes } from "./support/boxes.mjs";
import { RawCamera } from "./support/camera.mjs";
import { Parts } from "./support/parts.mjs";
import { RecordedStage } from "./support/recorded.mjs";
import { until } from "./support/until.mjs";
import { launchBrowser, SECONDS, Viewer } from "./support/viewer.mjs";

/** A camera in front of which a dark box moves from left to right, for 2 of every 16 s. */
const WALK = ["--video", "h264-walk"];
/** The speed of the box, in parts of the picture's width per second. */
const SPEED = 140 / 320;
/** The largest difference of a box to its picture in seconds: 0.2, and as much on a busy machine. */
const MAX_LAG = 0.4;
const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };
/** Two walks, and the pause after which motion has ended. */
const WALK_SECONDS = 60;

describe("motion", () => {
  let browser;
  let parts;
  let stage;
  before(async () => {
    browser = await launchBrowser();
    parts = await Parts.start({ records: true });
    stage = new RecordedStage(parts);
  });
  after(async () => {
    await browser.close();
    await parts?.end();
  });

  const visit = (t, hash, options) =>
    Viewer.openFor(t, browser, `${parts.origin}/${hash}`, options);
  const put = (id, link, more = {}) =>
    stage.api(`cameras/${id}`, "PUT", { rtsp_link: link, ...more });

  /** The form of a camera, and what it shows of zones. */
  class Form {
    constructor(page) {
      this.page = page;
      this.dialog = page.getByRole("dialog");
    }

    corner(n) {
      return this.dialog.getByRole("button", { name: new RegExp(`^Corner ${n}:`) });
    }

    /** Returns the corners of the selected zone in percent, as their labels say. */
    async corners() {
      const labels = await this.dialog
        .locator(".zone-corner")
        .evaluateAll((buttons) => buttons.map((button) => button.ariaLabel));
      return labels.map((label) =>
        [...label.matchAll(/([\d.]+) %/g)].map(([, part]) => Number(part)),
      );
    }

    /** Waits until the corners are about these. */
    async shows(expected) {
      let found;
      await until(`the corners ${JSON.stringify(expected)}`, SECONDS, async () => {
        found = await this.corners();
        return (
          found.length === expected.length &&
          found.flat().every((part, n) => Math.abs(part - expected.flat()[n]) <= 1)
        );
      }).catch((error) => {
        throw new Error(`${error.message}; they are ${JSON.stringify(found)}`);
      });
    }

    /** Returns the place of a part of the picture on the page. */
    async place(x, y) {
      const box = await this.dialog.locator(".zone-picture").boundingBox();
      return [box.x + box.width * x, box.y + box.height * y];
    }

    async drag(from, to) {
      await this.dialog.locator(".zone-picture").scrollIntoViewIfNeeded();
      await this.page.mouse.move(...(await this.place(...from)));
      await this.page.mouse.down();
      await this.page.mouse.move(...(await this.place(...to)), { steps: 5 });
      await this.page.mouse.up();
    }

    async pictureLoads() {
      await until("the picture of the camera", SECONDS, () =>
        this.dialog
          .locator(".zone-picture img")
          .evaluate((image) => image.naturalWidth > 0)
          .catch(() => false),
      );
    }

    save() {
      return this.dialog.getByRole("button", { name: "Save", exact: true }).click();
    }
  }

  test("zones are drawn with pointer and keyboard, or entered as text", async (t) => {
    const camera = await RawCamera.startFor(t, WALK);
    await put("drawn", camera.link, { name: "Front door" });
    const viewer = await visit(t, "#/cameras?edit=drawn");
    const { page } = viewer;
    const form = new Form(page);
    const { dialog } = form;
    assert.equal(await dialog.getByLabel("Sensitivity").count(), 0);
    await dialog.getByLabel("Detect motion").selectOption("pictures");
    await form.pictureLoads();
    await dialog.getByText("The whole picture is watched.").waitFor();
    await dialog.getByLabel("Sensitivity").fill("70");
    await dialog.getByText("70: also small and faint motion").waitFor();

    await dialog.getByLabel("Shape of the new zone").selectOption("Lower half");
    await dialog.getByRole("button", { name: "Watch a zone" }).click();
    const [right, bottom] = [100, 100];
    await form.shows([
      [0, 50],
      [right, 50],
      [right, bottom],
      [0, bottom],
    ]);
    // A corner, by pointer: the corner follows beyond the picture only to its border.
    await form.drag([0, 0.5], [0.2, 0.3]);
    await form.drag([1, 0.5], [1.2, 0.4]);
    // A further corner in the middle of the lower edge.
    await form.drag([0.5, 1], [0.5, 0.8]);
    const drawn = [
      [20, 30],
      [right, 40],
      [right, bottom],
      [50, 80],
      [0, bottom],
    ];
    await form.shows(drawn);
    // The same by keyboard.
    await form.corner(1).focus();
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("Shift+ArrowDown");
    drawn[0] = [21, 35];
    await form.shows(drawn);
    await page.keyboard.press("+");
    await form.shows([drawn[0], [60.5, 37.5], ...drawn.slice(1)]);
    await until("the new corner has the focus", SECONDS, () =>
      page.evaluate(() => document.activeElement.ariaLabel?.startsWith("Corner 2:")),
    );
    await page.keyboard.press("Delete");
    await form.shows(drawn);

    // A second zone, as text. The whole zone is moved by pointer.
    await dialog.getByLabel("Shape of the new zone").selectOption("Centre");
    await dialog.getByRole("button", { name: "Ignore a zone" }).click();
    const field = dialog.getByLabel("Corners in percent");
    assert.equal(await field.inputValue(), "25 25; 75 25; 75 75; 25 75");
    await field.fill("10 10; 30 10");
    await dialog.getByText("Enter 3 to 32 corners").waitFor();
    await form.save();
    assert.equal(await dialog.count(), 1, "the form is not saved with invalid corners");
    await field.fill("10 10; 30 10; 30 30,5");
    await form.shows([
      [10, 10],
      [30, 10],
      [30, 30.5],
    ]);
    await form.drag([0.25, 0.15], [0.35, 0.15]);
    await until("the field shows the moved zone", SECONDS, async () =>
      /^(19\.\d|20(\.\d)?) (9\.\d|10(\.\d)?); /.test(await field.inputValue()),
    );

    // Motion begins recordings. Commas can be typed.
    await dialog.getByRole("combobox", { name: "Record", exact: true }).selectOption("events");
    await dialog.getByLabel("Record when something moves").check();
    const types = dialog.getByLabel("Types of events");
    await types.fill("");
    await types.pressSequentially("reported.door, camera");
    await form.save();
    await page.locator(".notice").getByText("Front door has been saved.").waitFor();
    const saved = await stage.api("cameras/drawn");
    assert.deepEqual(saved.recording.events.types, ["reported.door", "camera", "motion"]);
    assert.equal(saved.motion.source, "pictures");
    assert.equal(saved.motion.sensitivity, 70);
    assert.deepEqual(
      saved.motion.zones.map(({ effect, corners }) => [effect, corners.length]),
      [
        ["watch", 5],
        ["ignore", 3],
      ],
    );
    const about = drawn.flat().map((part) => part / 100);
    saved.motion.zones[0].corners.flat().forEach((part, n) => {
      assert.ok(Math.abs(part - about[n]) < 0.01, JSON.stringify(saved.motion.zones));
    });

    // The form shows what was saved. Zones that leave nothing to watch are refused.
    await page.goto(`${parts.origin}/#/cameras?edit=drawn`);
    await form.shows(drawn);
    assert.ok(await dialog.getByLabel("Record when something moves").isChecked());
    assert.equal(await types.inputValue(), "reported.door, camera");
    await dialog.getByRole("button", { name: "Delete Zone 1" }).click();
    await dialog.getByLabel("Corners in percent").fill("0 0; 100 0; 100 100; 0 100");
    await form.save();
    await dialog.getByText("the zones leave no part of the picture to watch").waitFor();
    await dialog.getByRole("button", { name: "Delete Zone 1" }).click();
    await form.save();
    await page.locator(".notice").getByText("Front door has been saved.").waitFor();
    assert.deepEqual((await stage.api("cameras/drawn")).motion.zones, []);
    const refused = viewer.problems.filter((problem) => !/status of 400/.test(problem));
    assert.deepEqual(refused, []);
    await put("drawn", camera.link, { motion: { source: "off" }, recording: { mode: "off" } });
  });

  test("zones are drawn with a finger, on a phone in German", async (t) => {
    const camera = await RawCamera.startFor(t, WALK);
    const corners = [
      [0.2, 0.2],
      [0.8, 0.2],
      [0.8, 0.8],
      [0.2, 0.8],
    ];
    const motion = { source: "pictures", zones: [{ effect: "watch", corners }] };
    await put("touched", camera.link, { name: "Tor", motion });
    const viewer = await visit(t, "#/cameras?edit=touched", { ...PHONE, locale: "de-DE" });
    const { page } = viewer;
    const form = new Form(page);
    await form.dialog.getByLabel("Bewegung erkennen").waitFor();
    // The form moves when the picture gets its height.
    await form.pictureLoads();
    await form.dialog.locator(".zone-picture").scrollIntoViewIfNeeded();
    const session = await page.context().newCDPSession(page);
    const touch = (type, ...points) =>
      session.send("Input.dispatchTouchEvent", {
        type,
        touchPoints: points.map(([x, y]) => ({ x, y })),
      });
    const [from, to] = [await form.place(0.8, 0.8), await form.place(0.9, 0.6)];
    await touch("touchStart", from);
    for (let part = 0.2; part <= 1; part += 0.2) {
      await touch("touchMove", [
        from[0] + (to[0] - from[0]) * part,
        from[1] + (to[1] - from[1]) * part,
      ]);
    }
    await touch("touchEnd");
    const labels = () =>
      form.dialog
        .locator(".zone-corner")
        .evaluateAll((buttons) => buttons.map((button) => button.ariaLabel));
    await until("the corner has followed the finger", SECONDS, async () =>
      /^Ecke 3: (89|90|91)(\.\d)? % von links, (59|60|61)(\.\d)? % von oben$/.test(
        (await labels())[2],
      ),
    );
    // A busy machine can turn a tap into a long press, so the buttons are clicked.
    await form.dialog.getByRole("button", { name: "Ecke 3 entfernen" }).click();
    await until("the corner is removed", SECONDS, async () => (await labels()).length === 3);
    await form.dialog.getByRole("button", { name: "Ecke hinzufügen" }).click();
    await until("a corner is added", SECONDS, async () => (await labels()).length === 4);
    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(width <= PHONE.viewport.width, `the page is ${width} pixels wide`);
    assert.deepEqual(viewer.problems, []);
    await put("touched", camera.link, { motion: { source: "off" } });
  });

  test("motion is an event, a mark of the time line, and boxes above the live picture", async (t) => {
    const camera = await RawCamera.startFor(t, WALK);
    await put("walk", camera.link, {
      name: "Walk",
      motion: { source: "pictures" },
      recording: { mode: "continuous", events: { types: ["motion"] } },
    });
    const viewer = await visit(t, "#/?cameras=walk");
    const { page } = viewer;
    await viewer.sees("live");
    const button = page.getByRole("button", { name: "Show what moves" });
    await button.waitFor();
    const requests = () => viewer.requests.filter((url) => url.endsWith("/walk/motion")).length;
    assert.equal(requests(), 0, "nothing is requested before the user wants it");
    await button.click();
    await until("requests", SECONDS, () => requests() > 0);

    // Nothing is requested while the tab is hidden, or after the boxes were switched off.
    await viewer.hide();
    await page.waitForTimeout(300);
    const before = requests();
    await page.waitForTimeout(2500);
    assert.equal(requests(), before, "a hidden tab requests nothing");
    await viewer.hide(false);
    await until("requests continue", SECONDS, () => requests() > before);
    await button.click();
    await page.waitForTimeout(500);
    const then = requests();
    await page.waitForTimeout(1500);
    assert.equal(requests(), then);

    // The list of events.
    await page.goto(`${parts.origin}/#/events?camera=walk`);
    const row = page.locator('li.event[data-type="motion"]');
    await row
      .filter({ hasText: /Walk · at most \d+\.\d % of the picture · for \d+ s/ })
      .first()
      .waitFor({
        timeout: WALK_SECONDS * 1000,
      });
    const { events } = await stage.api("events?type=motion&camera=walk");
    assert.match(await row.last().textContent(), /^Motion/);
    await page.locator("form.filter select").nth(1).selectOption("Motion");
    await until("only motion is listed", SECONDS, async () => {
      const rows = await page.locator("li.event").count();
      return rows > 0 && rows === (await row.count());
    });

    // The pictures of events, and the number of events by hour.
    const { id, at } = events.at(-1);
    const picture = page.locator(`li[data-picture="${id}"]`);
    await until("the picture of the event", SECONDS, () =>
      picture.locator("img").evaluate((image) => image.naturalWidth > 0),
    );
    const [, query] = (await picture.locator("a").getAttribute("href")).split("?");
    const from = Date.parse(new URLSearchParams(query).get("at"));
    assert.ok(from < Date.parse(at) && from > Date.parse(at) - 10_000, query);
    const chart = page.locator('li[data-counts="walk"]');
    assert.match(await chart.textContent(), /^Walk[1-9].* last 24 hours/);
    assert.match(await chart.locator(".usage li").last().textContent(), /:00.*–.*: [1-9]\d*$/);
    await chart.locator("a").click();
    await row.first().waitFor();

    // The time line.
    await page.goto(`${parts.origin}/#/recordings?cameras=walk&at=${at}&seconds=120`);
    await page.locator(`.motion-mark[data-event="${id}"]`).waitFor();
    assert.equal(await page.locator(`.event-mark[data-event="${id}"]`).count(), 0);

    // The state of the analysis.
    await page.goto(`${parts.origin}/#/status`);
    const state = page.locator('tr[data-motion="walk"]');
    await state.filter({ hasText: /main stream.*(something|nothing) moves/ }).waitFor();
    await page.getByText("Motion is detected in front of 1 camera.").waitFor();
    assert.deepEqual(viewer.problems, []);
  });

  for (const transport of ["auto", "mse", "hls"]) {
    test(`boxes are around what moves in the picture, with ${transport}`, async (t) => {
      const camera = await RawCamera.startFor(t, WALK);
      const id = `boxes-${transport}`;
      await put(id, camera.link, { motion: { source: "pictures" } });
      const viewer = await visit(t, `#/?cameras=${id}`, { transport });
      const { page } = viewer;
      await viewer.sees("live");
      await page.getByRole("button", { name: "Show what moves" }).click();
      await page.evaluate(watchBoxes);
      const seen = await until("boxes around what moves", WALK_SECONDS, async () => {
        const samples = await page.evaluate(() => globalThis.samples);
        return samples.length >= 8 && samples;
      });
      for (const { top, height, width } of seen) {
        // The box is 40×80 of 320×192 pixels, and 60 pixels below the upper border.
        assert.ok(top > 0.15 && top < 0.45 && height > 0.2 && height < 0.65, JSON.stringify(seen));
        assert.ok(width > 0.04 && width < 0.45, JSON.stringify(seen));
      }
      const used = await viewer.transport();
      assert.ok([used, "auto"].includes(transport), used);
      const lags = seen.map(({ behind }) => behind / SPEED).sort((a, b) => a - b);
      const lag = lags[Math.floor(lags.length / 2)];
      t.diagnostic(`boxes are ${lag.toFixed(2)} s behind the picture, with ${used}`);
      assert.ok(Math.abs(lag) < MAX_LAG, `boxes are ${lag} s behind the picture`);
      await put(id, camera.link, { motion: { source: "off" } });
    });
  }

  test("callers who can only watch see boxes, but no state of the analysis", async (t) => {
    const camera = await RawCamera.startFor(t, WALK);
    await put("seen", camera.link, { name: "Seen", motion: { source: "pictures" } });
    const viewer = await visit(t, "#/status");
    const { page } = viewer;
    const heading = page.getByRole("heading", { name: "Motion" });
    await heading.waitFor();
    await page.route("**/api/caller", (route) =>
      route.fulfill({ json: { name: null, role: "viewer", rights: [] } }),
    );
    await page.evaluate(() => localStorage.setItem("motion", "1"));
    await page.reload();
    await page.getByRole("heading", { name: "Active streams" }).waitFor();
    assert.equal(await heading.count(), 0);
    await page.goto(`${parts.origin}/#/?cameras=seen`);
    await viewer.sees("live");
    await page.getByRole("button", { name: "Show what moves" }).waitFor();
    await page.locator(".motion-boxes rect").waitFor({ timeout: WALK_SECONDS * 1000 });
    await put("seen", camera.link, { motion: { source: "off" } });
  });
});
