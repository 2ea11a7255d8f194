// The views and dialogs that looks.test.mjs checks.
import { NAMES, RECORDED_AT } from "./pretend.mjs";
import { SECONDS } from "./viewer.mjs";

const PHONE_WIDTH = 360;
const IDS = Object.keys(NAMES);
export const wait = { timeout: SECONDS * 1000 };
const RECORDINGS = `#/recordings?cameras=a-gate&at=${RECORDED_AT}`;
export const dialog = (page) => page.getByRole("dialog").last();

/** The views and dialogs: what to open, and what must be visible before the check. */
export const SCENES = {
  wall: [
    `#/?cameras=${IDS}`,
    async (page) => {
      await page.locator('[data-condition="failed"]').waitFor(wait);
      // On a phone, the other tiles are not visible at first.
      if (page.viewportSize().width > PHONE_WIDTH) {
        await page.locator('[data-condition="retrying"]').waitFor(wait);
        await page.locator('[data-condition="missing"]').waitFor(wait);
      }
    },
  ],
  camera: [
    "#/?open=b-long",
    (page) => page.locator('.tile.open[data-condition="failed"]').waitFor(wait),
  ],
  details: [
    "#/?cameras=b-long,a-gate",
    async (page) => {
      await page.locator('[data-camera="b-long"][data-condition="failed"]').waitFor(wait);
      await page.locator('[data-camera="b-long"] .tile-open').focus();
      await page.locator('[data-camera="b-long"] .essential').click();
      await dialog(page).waitFor();
    },
  ],
  picker: [
    "#/?cameras=a-gate,b-long,d-arabic",
    async (page) => {
      await page.getByRole("button", { name: "Choose cameras" }).click();
      await page.getByRole("checkbox").nth(3).check();
    },
  ],
  cameras: ["#/cameras", (page) => page.getByRole("link", { name: "Watch Yard" }).waitFor(wait)],
  add: ["#/cameras?add", (page) => dialog(page).waitFor()],
  edit: [
    "#/cameras?edit=b-long",
    async (page) => {
      await dialog(page).waitFor();
      await page.getByText("Advanced settings").click();
    },
  ],
  discard: [
    "#/cameras?edit=b-long",
    async (page) => {
      await page.getByLabel("Name", { exact: true }).fill("Changed");
      await page.keyboard.press("Escape");
      await page.getByText("Discard your changes?").waitFor();
    },
  ],
  delete: [
    "#/cameras",
    async (page) => {
      await page.getByRole("button", { name: "Delete Warehouse" }).click();
      await dialog(page).waitFor();
    },
  ],
  discovery: [
    "#/discovery",
    async (page) => {
      await page.getByRole("button", { name: "Search" }).click();
      await page.locator(".device").first().waitFor();
    },
  ],
  status: [
    "#/status",
    async (page) => {
      for (const text of ["Warehouse", "hall monitor", "1.2.3", "4.1 Mbit/s"]) {
        await page.getByText(text).first().waitFor(wait);
      }
    },
  ],
  events: [
    "#/events?type=all",
    async (page) => {
      for (const id of [9, 5]) {
        await page.locator(`[data-event="${id}"]`).waitFor(wait);
      }
      await page.locator('[data-picture="10"] img').waitFor(wait);
      await page.locator("[data-counts]").first().waitFor(wait);
    },
  ],
  recordings: [
    RECORDINGS,
    async (page) => {
      await page.locator(".event-mark").first().waitFor(wait);
      await page.locator(".recorded .spinner").waitFor(wait);
    },
  ],
  "recordings of a wall": [
    `#/recordings?cameras=${IDS.slice(0, 5)}&at=${RECORDED_AT}`,
    (page) => page.locator(".event-mark").first().waitFor(wait),
  ],
  "selected time": [
    RECORDINGS,
    async (page) => {
      await page.locator(".event-mark").first().waitFor(wait);
      await page.locator(".toggle").click();
      await page.locator(".selection").waitFor();
      await page.locator(".recorded .spinner").waitFor(wait);
    },
  ],
  "share links": [
    RECORDINGS,
    async (page) => {
      await page.getByRole("button", { name: "Share links" }).click();
      await dialog(page).locator("[data-share]").nth(1).waitFor();
    },
  ],
  "share a time": [
    RECORDINGS,
    async (page) => {
      await page.locator(".event-mark").first().waitFor(wait);
      await page.locator(".toggle").click();
      await page.getByRole("button", { name: "Share", exact: true }).click();
      await dialog(page).locator("[data-share]").nth(1).waitFor();
    },
  ],
  "record now": [
    RECORDINGS,
    async (page) => {
      await page.getByRole("button", { name: "Recording", exact: true }).click();
      await dialog(page).waitFor();
    },
  ],
  "keys of recordings": [
    RECORDINGS,
    async (page) => {
      await page.getByRole("button", { name: "Keys" }).click();
      await dialog(page).waitFor();
    },
  ],
  "no recordings": [
    `#/recordings?cameras=${IDS[5]}`,
    (page) => page.getByText("No recordings of Yard").waitFor(wait),
  ],
  schedule: [
    "#/cameras?edit=b-long",
    async (page) => {
      await dialog(page).waitFor();
      await page.locator(".part select").first().selectOption("schedule");
    },
  ],
  zones: [
    "#/cameras?edit=b-long",
    async (page) => {
      await dialog(page).waitFor();
      await page.locator(".motion select").first().selectOption("pictures");
      await page.locator(".zone-row select").last().selectOption("lower");
      await page.locator(".zone-row button").nth(0).click();
      await page.locator(".zone-corner").nth(3).waitFor();
    },
  ],
  log: [
    "#/status",
    async (page) => {
      await page.getByRole("button", { name: "FFmpeg log of Gate" }).click();
      await page.getByText("rtsp @").waitFor();
    },
  ],
};
