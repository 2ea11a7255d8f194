// Tests what the view of recordings shows and changes: the cameras of the address, times without recordings, and what is
// done with a selected time.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { Camera } from "./support/camera.mjs";
import { Parts } from "./support/parts.mjs";
import { goTo, RecordedStage, recordingsAddress, shown, zoomIn } from "./support/recorded.mjs";
import { until } from "./support/until.mjs";
import { launchBrowser, SECONDS, Viewer } from "./support/viewer.mjs";

describe("the view of recordings", () => {
  let browser;
  before(async () => (browser = await launchBrowser()));
  after(() => browser.close());

  /** Starts a service, and a camera that it records. */
  async function setUp(t) {
    const camera = await Camera.startFor(t, 0, ["--running", "h264", "--gop-seconds", "1"]);
    const parts = await Parts.start({ records: true });
    t.after(() => parts.end());
    const stage = new RecordedStage(parts);
    await stage.record("cam", camera.link, "continuous", { name: "Front door" });
    return { camera, parts, stage };
  }

  test("shows the cameras and the moment of its address", async (t) => {
    const { parts, stage, camera } = await setUp(t);
    await stage.record("yard", camera.link, "continuous", { name: "Yard" });
    await stage.record("attic", camera.link, "off", { name: "Attic" });
    await stage.recorded("yard", 4);
    const [from] = await stage.recorded("cam", 4);
    const address = recordingsAddress(parts.origin, "cam", from + 1000);
    const viewer = await Viewer.openFor(t, browser, address);
    const { page } = viewer;
    const sees = (name, camera) =>
      until(`a picture of ${camera} below its name`, SECONDS, async () => {
        const { pictures } = await shown(page);
        const title = await page.locator("h1").textContent();
        return title === name && Object.keys(pictures).join() === camera && pictures[camera].clock;
      });
    for (const [name, id] of [
      ["Front door", "cam"],
      ["Yard", "yard"],
      ["Front door", "cam"],
    ]) {
      await goTo(page, id, from + 3000);
      await sees(name, id);
    }
    await goTo(page, "cam", Date.now() + 60_000);
    await page.locator(".veil").getByText("no recordings at this time or later").waitFor();

    await goTo(page, "cam,gone,attic", from + 2000);
    await page.getByText("These cameras do not exist: gone").waitFor();
    await page.getByText("No recordings of Attic").waitFor();
    await until("the picture of the other camera", SECONDS, async () => {
      const { pictures } = await shown(page);
      return pictures.cam?.clock;
    });

    // A double click enlarges a camera, and shows all of them again.
    const figure = page.locator('.recorded[data-camera="cam"]');
    await figure.dblclick();
    await page.locator('.stage.one .open[data-camera="cam"]').waitFor();
    const [whole, one] = await Promise.all(
      [".stage", ".open"].map((name) => page.locator(name).boundingBox()),
    );
    assert.ok(one.width > 0.95 * whole.width, "the camera has the whole width");
    await page.getByRole("button", { name: "Full screen" }).click();
    await page.waitForFunction(() => document.fullscreenElement?.matches(".stage.one"));
    await page.keyboard.press("f");
    await page.waitForFunction(() => document.fullscreenElement === null);
    await figure.dblclick();
    await page.locator(".stage:not(.one)").waitFor();

    // While the user searches at a time without recordings, no picture of another time is shown.
    const { x, y, height } = await page.locator(".track").boundingBox();
    await page.mouse.move(x + 40, y + height - 10);
    await page.mouse.down();
    await page.mouse.move(x + 2, y + height - 10, { steps: 3 });
    await page.locator(".veil").getByText("Nothing was recorded at this time").waitFor();
    await page.mouse.up();

    // A time can be entered.
    await goTo(page, "cam", from + 1000);
    await sees("Front door", "cam");
    const second = Math.ceil(from / 1000) * 1000 + 2000;
    await page.getByLabel("Time", { exact: true }).focus();
    await page
      .getByLabel("Time", { exact: true })
      .fill(new Date(second).toTimeString().slice(0, 8));
    await page.keyboard.press("Enter");
    await until("the entered time", SECONDS, async () => (await shown(page)).date === second);

    // A list in which a pointer has chosen something does not keep the keys.
    const speed = page.getByLabel("Speed");
    await speed.click();
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    await until("another speed", SECONDS, async () => (await speed.inputValue()) === "2");
    await page.keyboard.press("ArrowRight");
    await until("a second later", SECONDS, async () => {
      return (await shown(page)).date === second + 1000;
    });
    assert.equal(await speed.inputValue(), "2");
    await page.getByRole("button", { name: "Latest" }).click();
    await until("the latest picture", SECONDS, async () => {
      return (await shown(page)).date > Date.now() - 30_000;
    });

    // Without cameras, those of the last visit are shown.
    await page.getByRole("link", { name: "Recordings", exact: true }).click();
    await sees("Front door", "cam");
    await page.waitForURL(/cameras=cam&at=/);
    await page.evaluate(() => {
      navigator.clipboard.writeText = async (text) => {
        globalThis.copied = text;
      };
    });
    await page.getByRole("button", { name: "Play", exact: true }).click();
    const { date } = await shown(page);
    await until("the picture moves", SECONDS, async () => (await shown(page)).date > date + 500);
    await page.getByRole("button", { name: "Copy the link to this moment" }).click();
    const copied = new URL(await page.evaluate(() => globalThis.copied));
    const query = new URLSearchParams(copied.hash.split("?")[1]);
    assert.equal(query.get("cameras"), "cam");
    assert.ok(Date.parse(query.get("at")) > date + 400, copied.hash);

    // A reload keeps the visible time.
    await page.keyboard.press("k");
    await zoomIn(page, 2);
    await page.waitForURL(/&seconds=21600$/);
    await page.reload();
    await until("the same visible time", SECONDS, () =>
      page.locator(".track").evaluate(({ dataset }) => dataset.to - dataset.from === 21_600_000),
    );
    assert.deepEqual(
      viewer.problems.filter((text) => !text.includes("404")),
      [],
    );
  });

  test("changes only the time and the camera that it shows, and says what was changed", async (t) => {
    const { parts, stage, camera } = await setUp(t);
    await stage.record("yard", camera.link, "continuous", { name: "Yard" });
    await stage.recorded("yard", 6);
    const [from] = await stage.recorded("cam", 6);
    await stage.record("cam", camera.link, "off", { name: "Front door" });
    await stage.record("yard", camera.link, "off", { name: "Yard" });
    const address = recordingsAddress(parts.origin, "yard", from + 4000);
    const viewer = await Viewer.openFor(t, browser, address);
    const { page } = viewer;
    const showsAt = (date) =>
      until("the picture", SECONDS, async () => {
        const seen = await shown(page);
        return seen.pictures.cam?.clock && seen.date === date;
      });
    await page.locator("h1", { hasText: "Yard" }).waitFor();
    await goTo(page, "cam", from + 4000);
    await showsAt(from + 4000);
    // The later edge first.
    await page.keyboard.press("i");
    await goTo(page, "cam", from + 2000);
    await showsAt(from + 2000);
    await page.keyboard.press("o");
    const fields = ["From", "Until"].map((name) => page.getByLabel(name, { exact: true }));
    const values = () => Promise.all(fields.map((field) => field.inputValue()));
    const times = await values();
    assert.equal(Date.parse(times[1]) - Date.parse(times[0]), 2000, times.join());

    const tools = page.locator(".selection .actions");
    const button = (name) => tools.getByRole("button", { name, exact: true });
    await fields[0].fill("2030-01-01T10:00:00");
    await fields[0].dispatchEvent("change");
    await page.getByText("Enter a beginning and a later end.").waitFor();
    for (const name of ["Export", "Share", "Protect", "Delete"]) {
      assert.ok(await button(name).isDisabled(), name);
    }
    assert.equal((await values())[0].slice(0, 16), "2030-01-01T10:00");
    await fields[0].fill(times[0]);
    await fields[0].dispatchEvent("change");
    await button("Protect").click();
    await page.getByText("1 recorded file is now protected").waitFor();
    const erase = async (text) => {
      await button("Delete").click();
      await page.getByText("Delete recordings of Front door?").waitFor();
      await page.locator("dialog").getByRole("button", { name: "Delete" }).click();
      await page.getByText(text).waitFor();
    };
    await erase("1 file was kept");
    await button("End protection").click();
    await page.getByText("1 recorded file is no longer protected").waitFor();
    await erase("1 recorded file was deleted.");
    await erase("Nothing was changed");
    assert.ok(await stage.range("yard"), "the other camera is unchanged");
    assert.equal(await stage.range("cam"), null);
  });
});
