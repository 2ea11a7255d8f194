// Tests that users can set up recording on the page: the options in the form of a camera, recording now, and the size.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { Camera } from "./support/camera.mjs";
import { Parts } from "./support/parts.mjs";
import { RecordedStage } from "./support/recorded.mjs";
import { until } from "./support/until.mjs";
import { launchBrowser, SECONDS, Viewer } from "./support/viewer.mjs";

describe("the options of recording", () => {
  let browser;
  before(async () => (browser = await launchBrowser()));
  after(() => browser.close());

  test("sets up recording in the form, records now, and shows the size", async (t) => {
    const camera = await Camera.startFor(t, 0, ["--running", "h264", "--gop-seconds", "1"]);
    const parts = await Parts.start({ records: true });
    t.after(() => parts.end());
    const stage = new RecordedStage(parts);
    await stage.record("cam", camera.link, "off", { name: "Front door" });
    const viewer = await Viewer.openFor(t, browser, `${parts.origin}/#/recordings?cameras=cam`);
    const { page } = viewer;
    await page.getByText("No recordings of Front door").waitFor();
    await page.getByRole("link", { name: "Set up recording" }).click();
    await page.locator(".part select").first().selectOption("schedule");
    await page.locator("[name=keep_days]").fill("3");
    await page.locator("[name=max_size]").fill("2.5");
    await page.getByRole("button", { name: "Save" }).click();
    await until("the options are saved", SECONDS, async () => {
      const { recording } = await stage.api("cameras/cam");
      return recording.mode === "schedule" && recording.keep_days === 3;
    });
    const { recording } = await stage.api("cameras/cam");
    assert.equal(recording.max_bytes, 2_500_000_000);
    assert.deepEqual(recording.schedule[0].days, ["mon", "tue", "wed", "thu", "fri"]);
    await stage.record("cam", camera.link, "off", { name: "Front door" });
    await page.goto(`${parts.origin}/#/recordings?cameras=cam`);
    const dialog = page.getByRole("dialog");
    await page.getByRole("button", { name: "Record now" }).click();
    await dialog.getByRole("button", { name: "Start" }).waitFor();
    assert.equal(await dialog.getByRole("button", { name: "End early" }).count(), 0);
    const lengths = await dialog.locator("option").allTextContents();
    assert.deepEqual(lengths.slice(2), ["15 min", "1 h", "6 h", "24 h"]);
    await dialog.getByRole("button", { name: "Start" }).click();
    // The view shows the recordings as soon as there are any.
    await page.locator(".recorded").waitFor({ timeout: 60_000 });
    await stage.recorded("cam", 4);
    await page.getByRole("button", { name: /^Recording until \d/ }).click();
    await dialog.getByText("Requested recording until").waitFor();
    await dialog.getByRole("button", { name: "End early" }).click();
    await page.goto(`${parts.origin}/#/status`);
    await page.getByRole("heading", { name: "Recordings" }).waitFor();
    // From the list of events, the recording begins before the event.
    const { at } = await stage.api("cameras/cam/events", "POST", { type: "door" });
    await page.goto(`${parts.origin}/#/events`);
    const link = page.locator('[data-type="reported.door"] a[href*="recordings"]');
    const query = (await link.getAttribute("href")).split("?")[1];
    assert.equal(Date.parse(new URLSearchParams(query).get("at")), Date.parse(at) - 5000);
    await page.goto(`${parts.origin}/#/status`);

    // The state of copies off-site, which this service does not make.
    const offsite = {
      url: "s3://copies/cameras",
      bytes: 3_400_000_000,
      waiting_files: 12,
      waiting_bytes: 250_000_000,
      problem: "the bucket cannot be reached",
    };
    await page.route("**/api/storage", async (route) => {
      const json = await (await route.fetch()).json();
      await route.fulfill({ json: { ...json, offsite } });
    });
    await page.reload();
    await page.getByText("3.4 GB copied off-site · 12 files wait to be copied (250 MB)").waitFor();
    await page
      .getByText(/No copies can be made at present.*the bucket cannot be reached/)
      .waitFor();

    // Recordings are deleted with the camera only after the user has entered its name.
    const deletion = dialog.getByRole("button", { name: "Delete" });
    await until("the size of the recordings is known", SECONDS, async () => {
      return (await stage.api("storage")).cameras.length > 0;
    });
    await page.goto(`${parts.origin}/#/cameras`);
    await page.getByRole("button", { name: "Delete Front door" }).click();
    await dialog.getByText(/also be deleted, including protected/).waitFor();
    assert.ok(await deletion.isDisabled());
    await dialog.getByLabel("enter the name of the camera").fill("Front door");
    assert.ok(await deletion.isEnabled());
    await dialog.getByLabel("Keep the recordings").check();
    await deletion.click();
    await page.getByText("Front door has been deleted.").waitFor();
    const { cameras } = await stage.api("storage");
    assert.deepEqual(
      cameras.map(({ camera: id, is_known }) => [id, is_known]),
      [["cam", false]],
      "the recordings are kept",
    );
    await page.unrouteAll({ behavior: "ignoreErrors" });
    assert.deepEqual(viewer.problems, []);
  });
});
