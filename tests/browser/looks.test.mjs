// Tests the looks of all views: contrast, layout, names that need much space, few and many cameras, the keyboard, and
// pictures that are kept in the repository. Some of the tests add a fault to the page, and assert that the checks
// find it.
import assert from "node:assert/strict";
import { before, describe, test } from "node:test";

import { layoutFaults } from "./support/layout.mjs";
import {
  addCss,
  checkLooks,
  checkPicture,
  hasChanged,
  keyboardFaults,
  removeCss,
  show,
  steady,
  VARIANTS,
  violations,
} from "./support/looks.mjs";
import { NAMES, pretend } from "./support/pretend.mjs";
import { SCENES, wait } from "./support/scenes.mjs";
import { stage } from "./support/stage.mjs";

const MANY = 10_000;
const [LIGHT, DARK, LIGHT_PHONE, DARK_PHONE, ZOOMED] = VARIANTS;
const IDS = Object.keys(NAMES);
/** A link to a computer that does not exist. The tests start no stream. */
const LINK = "rtsp://user:secret@192.0.2.7:554/stream1";
/** The kept pictures: the key of the scene in `SCENES`, the variant, and the name of the picture. */
const PICTURES = [
  ["wall", DARK, "wall"],
  ["wall", LIGHT_PHONE, "wall-phone"],
  ["details", LIGHT, "details"],
  ["picker", LIGHT, "picker"],
  ["cameras", LIGHT, "cameras"],
  ["cameras", DARK_PHONE, "cameras-phone"],
  ["edit", DARK, "edit"],
  ["discovery", LIGHT, "discovery"],
  ["status", LIGHT, "status"],
  ["status", DARK_PHONE, "status-phone"],
  ["recordings", LIGHT, "recordings"],
  ["selected time", DARK_PHONE, "recordings-phone"],
  ["events", LIGHT, "events"],
  ["events", DARK_PHONE, "events-phone"],
];

describe("the looks of the page", () => {
  const on = stage({}, ["--no-demo"]);
  /** The page that all tests use, one after another. */
  let page;

  before(async () => {
    const context = await on.browser.newContext({ locale: "en-GB", timezoneId: "UTC" });
    page = await context.newPage();
    await pretend(page);
    await page.goto(on.service.origin);
    await steady(page);
  });

  /** Opens an address without loading the page again, and closes open dialogs. */
  async function open(address, ready = () => {}) {
    await page.evaluate(async (hash) => {
      // Another view in between closes dialogs and discards the state of the view.
      location.hash = hash.startsWith("#/status") ? "#/cameras" : "#/status";
      await new Promise((resolve) => setTimeout(resolve, 20));
      location.hash = hash;
    }, address);
    await page
      .locator("h1")
      .first()
      .waitFor({ state: "attached", ...wait });
    await ready(page);
  }

  const scene = async (name) => open(...SCENES[name]);

  test("are right without cameras", async () => {
    await open("#/", () => page.getByText("No cameras yet").waitFor(wait));
    await checkLooks(page, "wall");
    for (const [view, text] of [
      ["#/cameras", "No cameras yet"],
      ["#/cameras?add", "Add camera"],
      ["#/discovery", "Find cameras"],
    ]) {
      await open(view, () => page.getByText(text).first().waitFor(wait));
      await checkLooks(page, view, [LIGHT, DARK_PHONE]);
    }
    const empty = (route) => route.fulfill({ json: { streams: [], sessions: [] } });
    const lists = /\/api\/(streams|playback\/sessions)$/;
    await page.route(lists, empty);
    await open("#/status", () => page.getByText("No active streams").waitFor(wait));
    await checkLooks(page, "status", [LIGHT, DARK_PHONE]);
    await page.unroute(lists, empty);
  });

  test("are right with one camera", async () => {
    await on.service.put(IDS[0], { name: NAMES[IDS[0]], rtsp_link: LINK });
    for (const view of ["#/", "#/cameras", "#/status"]) {
      await open(view, () => page.getByText("Gate", { exact: true }).first().waitFor(wait));
      await checkLooks(page, view, [LIGHT, DARK_PHONE]);
    }
  });

  test("are right with names of 200 characters and names from right to left", async (t) => {
    for (const [id, name] of Object.entries(NAMES)) {
      await on.service.put(id, { name, rtsp_link: LINK, rtsp_link_sub: LINK });
    }
    for (const name of Object.keys(SCENES)) {
      await t.test(name, async () => {
        await show(page, LIGHT);
        await scene(name);
        await checkLooks(page, name);
      });
    }
  });

  /** Shows the page in a language. `force` changes the list of languages even while a dialog covers it. */
  async function speak(language, word, shown = page) {
    await shown.locator(".settings select").selectOption(language, { force: true });
    await shown.locator(".views").getByText(word, { exact: true }).waitFor(wait);
  }

  test("are right in German, whose words are longer", async (t) => {
    for (const name of Object.keys(SCENES)) {
      await t.test(name, async () => {
        await show(page, LIGHT);
        await scene(name);
        await speak("de", "Kameras");
        try {
          await checkLooks(page, name, [DARK, LIGHT_PHONE, ZOOMED]);
        } finally {
          await speak("en", "Cameras");
        }
      });
    }
  });

  test("are right in windows of all widths, with the name of a key in the header", async () => {
    const context = await on.browser.newContext({ locale: "en-GB", timezoneId: "UTC" });
    const signedIn = await context.newPage();
    await pretend(signedIn);
    const caller = { name: "operator of the loading bay", role: "admin", rights: ["recordings"] };
    await signedIn.route("**/api/caller", (route) => route.fulfill({ json: caller }));
    await signedIn.goto(on.service.origin);
    await steady(signedIn);
    const faults = [];
    for (const [language, word] of [
      ["en", "Cameras"],
      ["de", "Kameras"],
    ]) {
      await speak(language, word, signedIn);
      for (const view of [
        "#/",
        "#/cameras",
        "#/discovery",
        "#/recordings",
        "#/events",
        "#/status",
      ]) {
        await signedIn.evaluate((hash) => (location.hash = hash), view);
        await signedIn
          .locator("h1")
          .first()
          .waitFor({ state: "attached", ...wait });
        for (const width of [360, 705, 820, 844, 1000, 1201, 1280]) {
          await show(signedIn, { colorScheme: "light", width, height: 800 });
          // Wide tables scroll in a box of their own.
          const found = (await layoutFaults(signedIn)).filter(
            (fault) => /overflow|outside|wider/.test(fault) && !/<table|table-box/.test(fault),
          );
          faults.push(...found.map((fault) => `${view}, ${language}, ${width} px: ${fault}`));
        }
      }
    }
    await context.close();
    assert.deepEqual(faults, []);
  });

  test("keep the buttons above a camera in one row, also in German on a phone", async () => {
    await show(page, LIGHT_PHONE);
    await open("#/?open=a-gate", () => page.locator(".tile.open").waitFor(wait));
    await speak("de", "Kameras");
    try {
      const tops = new Set();
      for (const name of ["Zurück zur Videowand", "Vorherige Kamera", "Nächste Kamera"]) {
        const { y, height } = await page.getByRole("button", { name, exact: true }).boundingBox();
        tops.add(Math.round(y + height / 2));
      }
      assert.equal(tops.size, 1, `centres at ${[...tops]}`);
    } finally {
      await speak("en", "Cameras");
    }
  });

  test("match the kept pictures", async (t) => {
    for (const [name, variant, picture] of PICTURES) {
      await t.test(picture, async () => {
        await show(page, variant);
        await scene(name);
        await page.mouse.move(0, 0);
        await checkPicture(page, picture);
      });
    }
  });

  test("let the keyboard reach every control, and show where the focus is", async (t) => {
    for (const name of Object.keys(SCENES)) {
      await t.test(name, async () => {
        await show(page, name === "wall" || name === "edit" ? LIGHT : LIGHT_PHONE);
        await scene(name);
        assert.deepEqual(await keyboardFaults(page), []);
      });
    }
  });

  /** Returns a grey that has this contrast to the background of the first element that matches the selector. */
  function greyOf(selector, contrast) {
    return page.locator(selector).first().evaluate(findGrey, contrast);
  }

  for (const [name, selector, variant] of [
    ["cameras", ".row .quiet", LIGHT],
    ["cameras", ".row .quiet", DARK_PHONE],
    ["details", ".facts dd", LIGHT],
    ["status", "thead th", DARK],
  ]) {
    test(`are guarded: a contrast of 4.4:1 at "${selector}" is found, ${variant.name}`, async () => {
      await show(page, variant);
      await scene(name);
      assert.deepEqual(await violations(page), []);
      const { color, ratio } = await greyOf(selector, 4.4);
      assert.ok(ratio > 4.3 && ratio < 4.5, `the planted contrast is ${ratio}`);
      await addCss(page, `${selector} { color: ${color} !important }`);
      const found = await violations(page);
      await removeCss(page);
      assert.match(found.join("\n"), /color-contrast/);
    });
  }

  for (const [name, variant, css] of [
    ["cameras", LIGHT, ".list { width: calc(100% + 8px) }"],
    ["cameras", DARK_PHONE, ".bar { margin-right: -8px }"],
    ["status", LIGHT_PHONE, ".figures { min-width: calc(100% + 8px) }"],
    ["details", DARK, ".menu { margin-right: -1.6rem }"],
    ["edit", LIGHT_PHONE, ".columns .field { width: calc(100% + 8px) }"],
    ["wall", LIGHT, ".tile-label { margin-left: -16px }"],
    ["cameras", LIGHT, ".row .name { display: block; white-space: nowrap }"],
    ["cameras", LIGHT, ".row-actions { left: -150px; position: relative }"],
  ]) {
    test(`are guarded: the fault of "${css}" is found, ${variant.name}`, async () => {
      await show(page, variant);
      await scene(name);
      assert.deepEqual(await layoutFaults(page), []);
      await addCss(page, css);
      const found = await layoutFaults(page);
      await removeCss(page);
      assert.notDeepEqual(found, []);
    });
  }

  test("are guarded: a changed picture and controls that the keyboard cannot reach are found", async () => {
    await show(page, LIGHT);
    await scene("cameras");
    await page.mouse.move(0, 0);
    assert.ok(!(await hasChanged(page, "cameras")));
    await addCss(page, ".row-main { padding-left: 24px }");
    const isFound = await hasChanged(page, "cameras");
    await removeCss(page);
    assert.ok(isFound);
    await addCss(page, ".row-actions :focus-visible { outline: none }");
    assert.match((await keyboardFaults(page)).join(), /does not show the focus/);
    await removeCss(page);
    await page.evaluate(() => {
      for (const button of document.querySelectorAll(".row-actions button")) {
        button.tabIndex = -1;
      }
    });
    assert.match((await keyboardFaults(page)).join(), /not reached/);
  });

  test("are right with 10,000 cameras, and the user can jump to any page of the list", async () => {
    const cameras = Array.from({ length: MANY - IDS.length }, (_, index) => ({
      id: `many-${String(index).padStart(5, "0")}`,
      name: `Camera ${index}`,
      rtsp_link: LINK,
    }));
    await on.service.import(cameras);
    await show(page, LIGHT);

    await open("#/cameras", () => page.getByText("10,000 cameras").waitFor(wait));
    await checkLooks(page, "cameras", [LIGHT, DARK_PHONE]);
    await page.getByLabel("Page", { exact: true }).fill("400");
    await page.keyboard.press("Enter");
    await page.getByText("Camera 9993", { exact: true }).waitFor(wait);
    await page.getByRole("button", { name: "First page" }).click();
    await page.getByText("Gate", { exact: true }).waitFor(wait);
    await page.getByRole("button", { name: "Last page" }).click();
    await page.getByText("Camera 9993", { exact: true }).waitFor(wait);

    await open("#/?grid=4", () => page.locator(".tile").nth(15).waitFor(wait));
    await checkLooks(page, "wall", [DARK, LIGHT_PHONE]);
    await page.getByLabel("Page", { exact: true }).fill("99999");
    await page.keyboard.press("Enter");
    await page.waitForURL(/page=625$/);
    await page.locator('[data-camera="many-09993"]').waitFor(wait);

    await page.getByRole("button", { name: "Choose cameras" }).click();
    await page.getByText(/^More cameras: 9,950\b/).waitFor(wait);
    await checkLooks(page, "picker", [LIGHT, DARK_PHONE]);
    await open("#/status", () => page.getByText("Warehouse").first().waitFor(wait));
    await checkLooks(page, "status", [LIGHT]);
  });
});

/** Runs in the page: returns the grey with this contrast to the background of an element, and the exact contrast. */
function findGrey(element, contrast) {
  const linear = (value) => (value <= 0.040_45 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  let ground = element;
  while (/, 0\)$|transparent/.test(getComputedStyle(ground).backgroundColor)) {
    ground = ground.parentElement;
  }
  const channels = getComputedStyle(ground)
    .backgroundColor.match(/[\d.]+/g)
    .slice(0, 3);
  const weights = [0.2126, 0.7152, 0.0722];
  const luminance = channels.reduce(
    (sum, channel, index) => sum + weights[index] * linear(channel / 255),
    0,
  );
  const ratioOf = (value) => {
    const [low, high] = [luminance, linear(value / 255)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const differenceOf = (value) => Math.abs(ratioOf(value) - contrast);
  const [grey] = [...Array(256).keys()].sort((a, b) => differenceOf(a) - differenceOf(b));
  return { color: `rgb(${grey}, ${grey}, ${grey})`, ratio: ratioOf(grey) };
}
