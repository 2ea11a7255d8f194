// Cameras, discovery and status: what they do, and that everybody can use them.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";

import { Service } from "./support/service.mjs";
import { until } from "./support/until.mjs";
import { SECONDS, Viewer, launchBrowser } from "./support/viewer.mjs";

const AXE = readFileSync(new URL("node_modules/axe-core/axe.min.js", import.meta.url), "utf8");
const VIEWS = ["", "#/?open=demo", "#/cameras", "#/cameras?add", "#/cameras?edit=demo", "#/discovery", "#/status"];
/** The smallest PNG would do as well; the page shows whatever picture it is. */
const STILL = "/9j/4AAQSkZJRgABAQEASABIAAD/2wBDAP//////////////////////////////////////////////////////////////////////////////////////wAALCAABAAEBAREA/8QAFAABAAAAAAAAAAAAAAAAAAAAA//EABQQAQAAAAAAAAAAAAAAAAAAAAD/2gAIAQEAAD8AN//Z";

describe("the views", () => {
  let service;
  let browser;

  before(async () => {
    service = await Service.start();
    browser = await launchBrowser();
  });
  after(async () => {
    await browser?.close();
    await service?.end();
  });

  async function visit(t, address, options) {
    const viewer = await Viewer.open(browser, `${service.origin}/${address}`, options);
    t.after(() => viewer.close());
    return viewer;
  }

  for (const colorScheme of ["light", "dark"]) {
    test(`have no serious fault for people with disabilities, ${colorScheme}`, async (t) => {
      const viewer = await visit(t, "", { colorScheme });
      const { page } = viewer;
      await page.evaluate(AXE);
      for (const view of VIEWS) {
        await page.evaluate((address) => (location.hash = address), view || "#/");
        await page.locator("h1").first().waitFor({ state: "attached" });
        await settled(page, view);
        const found = await page.evaluate(async () => (await globalThis.axe.run()).violations);
        const serious = found.filter(({ impact }) => ["serious", "critical"].includes(impact));
        const told = serious.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
        assert.deepEqual(told, [], `${view}, ${colorScheme}`);
      }
      assert.deepEqual(viewer.problems, []);
    });
  }

  async function settled(page, view) {
    if (view === "" || view.includes("open=")) {
      await page.locator('.tile[data-state="live"]').first().waitFor({ timeout: SECONDS * 1000 });
    } else if (view.includes("?")) {
      await page.getByRole("dialog").waitFor();
    } else if (view === "#/cameras") {
      await page.getByRole("link", { name: "Watch demo" }).waitFor();
    }
  }

  test("a test of a camera shows a picture, or says in words what is wrong", async (t) => {
    const viewer = await visit(t, "#/cameras?add");
    const { page } = viewer;
    const asked = [];
    await page.route("**/api/cameras/test", (route) => {
      const body = route.request().postDataJSON();
      asked.push(body);
      return body.password === "right"
        ? route.fulfill({ json: { video_codec: "h264", width: 1920, height: 1080, frame_rate: 25, audio_codec: null, still: STILL, took_seconds: 0.8 } })
        : route.fulfill({ status: 502, contentType: "application/problem+json", body: JSON.stringify({ title: "Bad Gateway", status: 502, code: "source_unauthorized", detail: "the camera rejects user name or password" }) });
    });
    const form = page.getByRole("dialog");
    await form.getByLabel("Make").selectOption("hikvision");
    await form.getByLabel("IP address or host").fill("192.0.2.7");
    await form.getByLabel("User name").fill("admin");
    await form.getByLabel("Password").fill("wrong");
    await form.getByRole("button", { name: "Test" }).click();
    await form.getByText("the camera rejects user name or password").waitFor();
    await form.getByLabel("Password").fill("right");
    await form.getByRole("button", { name: "Test" }).click();
    await form.getByText("The camera answers").waitFor();
    await form.getByRole("img").waitFor();
    assert.ok((await form.textContent()).includes("1920 × 1080, H264, 25 fps, no sound"));
    const { vendor, ip, username, profile } = asked[1];
    assert.deepEqual({ vendor, ip, username, profile }, { vendor: "hikvision", ip: "192.0.2.7", username: "admin", profile: "main" });
  });

  test("a camera that was found is added with both streams by one press", async (t) => {
    const viewer = await visit(t, "#/discovery");
    const { page } = viewer;
    const { source } = await service.get("cameras/demo");
    const device = { address: "192.0.2.9", port: 80, name: "Gate", manufacturer: "Acme", model: "X1", firmware: "1.0", serial: "7", error: null, known_as: null };
    await page.route("**/api/discovery", (route) => {
      const knows = route.request().postDataJSON().username === "admin";
      const profiles = knows ? [{ token: "p", name: "Main", video_codec: "h264", width: 640, height: 360, frame_rate: 25, rtsp_link: source }] : [];
      const links = knows ? { main: source, sub: source.replace("/h264", "/h264-aac") } : { main: null, sub: null };
      return route.fulfill({ json: { devices: [{ ...device, needs_credentials: !knows, profiles, ...links }], interfaces: ["eth0"], warnings: ["eth1 could not be asked"] } });
    });
    await page.getByRole("button", { name: "Search" }).click();
    await page.getByText("This camera wants a user name and password.").waitFor();
    await page.getByText("eth1 could not be asked").waitFor();
    const row = page.locator(".device");
    await row.getByLabel("User name").fill("admin");
    await row.getByLabel("Password").fill("p@ss/word");
    await row.getByRole("button", { name: "Ask again" }).click();
    await row.getByRole("button", { name: "Add Gate" }).click();
    await row.getByRole("link", { name: "Watch Gate" }).click();
    await viewer.sees("live", "Gate", "gate");
    const camera = await service.get("cameras/gate");
    assert.equal(camera.username, "admin");
    assert.equal(camera.has_password, true);
    assert.ok(camera.source_sub.endsWith("/h264-aac"));
  });

  test("cameras are found, exported, deleted and imported", async (t) => {
    for (const id of ["attic", "cellar"]) {
      await service.put(id, { name: id === "attic" ? "Attic" : "Cellar", rtsp_link: "rtsp://u:secret@192.0.2.1/x" });
    }
    const viewer = await visit(t, "#/cameras");
    const { page } = viewer;
    await page.getByPlaceholder("Search by name, id or address").fill("att");
    await until("one row", SECONDS, async () => (await page.locator("li.row").count()) === 1);
    const [file] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Export" }).click()]);
    const content = Buffer.concat(await (await file.createReadStream()).toArray());
    assert.ok(!content.includes("secret"));
    await page.getByRole("button", { name: "Delete Attic" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
    await page.getByText("No camera matches.").waitFor();
    await page.locator('input[type="file"]').setInputFiles({ name: "cameras.json", mimeType: "application/json", buffer: content });
    await page.getByText(/Imported: 1 added/).waitFor();
    await page.getByRole("link", { name: "Watch Attic" }).waitFor();
  });

  test("status tells who watches what, and ends it", async (t) => {
    const watching = await visit(t, "?id=demo");
    await watching.sees("live");
    const viewer = await visit(t, "#/status");
    const row = viewer.page.locator('tr[data-stream="demo"]');
    await row.getByText("Live").waitFor();
    assert.match(await row.textContent(), /bit\/s/);
    const { started_at } = await service.status("demo");
    await row.getByRole("button", { name: "End the stream of demo" }).click();
    // Who watches starts it again.
    await until("another start", SECONDS, async () => {
      const now = await service.status("demo");
      return now.state === "live" && now.started_at !== started_at;
    });
  });

  test("speak German, and remember it and the colours", async (t) => {
    const viewer = await visit(t, "#/cameras");
    const { page } = viewer;
    await page.getByLabel("Language").selectOption("de");
    await page.getByRole("heading", { name: "Kameras" }).waitFor();
    await page.getByRole("button", { name: "Farben: wie das System" }).click();
    await page.reload();
    await page.getByRole("heading", { name: "Kameras" }).waitFor();
    assert.equal(await page.evaluate(() => document.documentElement.lang), "de");
    assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), "light");
    const texts = (name) => Object.keys(JSON.parse(readFileSync(new URL(`../../nginx/web/src/locales/${name}.json`, import.meta.url), "utf8")));
    assert.deepEqual(texts("de").sort(), texts("en").sort());
  });
});
