// Tests the views for cameras, discovery and status, the accessibility of all views, and the languages.
import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";

import { Camera } from "./support/camera.mjs";
import { startDeviceFor } from "./support/onvif.mjs";
import { stage } from "./support/stage.mjs";
import { selfSigned } from "./support/tls.mjs";
import { until, untilEqual } from "./support/until.mjs";
import { SECONDS } from "./support/viewer.mjs";

const AXE = readFileSync(new URL("node_modules/axe-core/axe.min.js", import.meta.url), "utf8");
const VIEWS = [
  "",
  "#/?open=demo",
  "#/cameras",
  "#/cameras?add",
  "#/cameras?edit=demo",
  "#/discovery",
  "#/events",
  "#/status",
];
/** An address at which the service knows no camera. (The demo camera is at 127.0.0.1.) */
const NEW_ADDRESS = "127.0.0.2";
/** Another address at which the service knows no camera. */
const TLS_ADDRESS = "127.0.0.3";
/** A password with characters that have a special meaning in links. */
const PASSWORD = "p@ss/word";
/** Path of the main stream in the service's preset for Hikvision. */
const HIKVISION_PATH = "Streaming/Channels/101";

describe("the list of cameras, if the service checks the cameras,", () => {
  const on = stage({ CHECK_INTERVAL_SECONDS: "1" });

  test("shows which camera cannot be reached, since when, and why", async (t) => {
    await on.service.put("dead", { name: "Dead", rtsp_link: "rtsp://127.0.0.1:9/x" });
    await until("the camera is offline", SECONDS, async () => {
      return (await on.service.get("cameras/dead")).reachability?.reachable === false;
    });
    for (const [locale, words] of [
      // The format of times is that of the browser's region.
      ["en-GB", /Not reachable since \d+ \w+ 20\d\d, \d\d:\d\d\..*Offline/s],
      ["en-US", /Not reachable since \w+ \d+, 20\d\d, \d+:\d\d.[AP]M\..*Offline/s],
      ["de-DE", /Nicht erreichbar seit .*20\d\d.*Offline/s],
    ]) {
      const viewer = await on.visit(t, "#/cameras", { locale });
      const row = (id) => viewer.page.locator(`li[data-camera="${id}"]`);
      await row("dead").filter({ hasText: words }).waitFor();
      // "Not reachable since …" is enough. The text of the error, "The camera cannot be reached.", is left out.
      const text = await row("dead").textContent();
      assert.doesNotMatch(text, /cannot be reached|Kamera .{3} nicht erreichbar/);
      assert.match(text, /connection refused; check the port/);
      assert.doesNotMatch(await row("demo").textContent(), /Offline/);
    }
  });
});

describe("the views", () => {
  const on = stage();

  for (const colorScheme of ["light", "dark"]) {
    test(`have no serious accessibility violations in the ${colorScheme} theme`, async (t) => {
      const viewer = await on.visit(t, "", { colorScheme });
      const { page } = viewer;
      await page.evaluate(AXE);
      for (const view of VIEWS) {
        await page.evaluate((address) => (location.hash = address), view || "#/");
        await page.locator("h1").first().waitFor({ state: "attached" });
        await waitForContent(page, view);
        const all = await page.evaluate(async () => (await globalThis.axe.run()).violations);
        const serious = all.filter(({ impact }) => ["serious", "critical"].includes(impact));
        const violations = serious.map(
          ({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`,
        );
        assert.deepEqual(violations, [], `${view}, ${colorScheme}`);
      }
      assert.deepEqual(viewer.problems, []);
    });
  }

  /** Waits until a view shows what it loads: live video, a dialog, or the list of cameras. */
  async function waitForContent(page, view) {
    if (view === "" || view.includes("open=")) {
      await page
        .locator('.tile[data-state="live"]')
        .first()
        .waitFor({ timeout: SECONDS * 1000 });
    } else if (view.includes("?")) {
      await page.getByRole("dialog").waitFor();
    } else if (view === "#/cameras") {
      await page.getByRole("link", { name: "Watch demo" }).waitFor();
    }
  }

  test("a camera test shows a picture, or the reason why the test failed", async (t) => {
    const camera = await Camera.startFor(t, 0, [
      "--password",
      PASSWORD,
      "--alias",
      `${HIKVISION_PATH}=private`,
    ]);
    const { page } = await on.visit(t, "#/cameras?add");
    const form = page.getByRole("dialog");
    await form.getByLabel("Manufacturer").selectOption("hikvision");
    await form.getByLabel("IP address or host").fill("127.0.0.1");
    await form.getByLabel("RTSP port").fill(String(camera.port));
    await form.getByLabel("User name").fill("viewer");
    await form.getByLabel("Password").fill("wrong");
    await form.getByRole("button", { name: "Test" }).click();
    await form
      .getByText("The camera rejected the user name or password, or forbids access to the stream.")
      .waitFor();
    await form.getByLabel("Password").fill(PASSWORD);
    await form.getByRole("button", { name: "Test" }).click();
    await form.getByText("Connection successful").waitFor();
    const size = await form.getByRole("img").evaluate(async (image) => {
      await image.decode();
      return [image.naturalWidth, image.naturalHeight];
    });
    assert.deepEqual(size, [640, 360]);
    assert.match(await form.textContent(), /640 × 360, H264, (25 fps, )?no audio/);
  });

  test("a discovered camera is added with both streams by one click, and plays", async (t) => {
    const camera = await Camera.startFor(t, 0, ["--address", NEW_ADDRESS, "--password", PASSWORD]);
    const links = {
      main: `rtsp://${NEW_ADDRESS}:${camera.port}/private`,
      sub: `rtsp://${NEW_ADDRESS}:${camera.port}/h264-aac`,
    };
    const deviceAddress = await startDeviceFor(t, NEW_ADDRESS, links, [
      "--user",
      "viewer",
      "--password",
      PASSWORD,
    ]);
    const viewer = await on.visit(t, "#/discovery");
    const { page } = viewer;
    // A search of the entire network could find the devices of other tests.
    await page.getByLabel("Only this address").fill(deviceAddress);
    await page.getByRole("button", { name: "Search" }).click();
    await page.getByText("This camera requires a user name and a password.").waitFor();
    const row = page.locator(".device");
    await row.getByLabel("User name").fill("viewer");
    await row.getByLabel("Password").fill("wrong");
    await row.getByRole("button", { name: "Try again" }).click();
    await row.getByText("the device rejected the user name or password").waitFor();
    await row.getByLabel("Password").fill(PASSWORD);
    await row.getByRole("button", { name: "Try again" }).click();
    await row.getByRole("button", { name: /^Add / }).click();
    await row.getByRole("link", { name: /^Added – watch / }).click();
    await viewer.sees("live");
    await viewer.seesPictureNewerThan(Date.now());
    const added = (await on.service.get("cameras")).cameras.find(({ source }) =>
      source.endsWith("/private"),
    );
    assert.deepEqual([added.username, added.has_password, added.ip], ["viewer", true, NEW_ADDRESS]);
    assert.ok(added.source_sub.endsWith("/h264-aac"));
    assert.ok(!viewer.requests.some((url) => url.includes(encodeURIComponent(PASSWORD))));
  });

  test("a self-signed certificate of a camera must be confirmed before it is used", async (t) => {
    const { directory, key, certificate } = selfSigned(t);
    const pem = join(directory, "both.pem");
    writeFileSync(pem, readFileSync(certificate, "utf8") + readFileSync(key, "utf8"));
    const { fingerprint256 } = new X509Certificate(readFileSync(certificate));
    const device = await startDeviceFor(t, TLS_ADDRESS, {}, ["--certificate", pem]);
    const viewer = await on.visit(t, "#/discovery");
    const { page } = viewer;
    await page.getByLabel("Only this address").fill(`https://${device}`);
    await page.getByRole("button", { name: "Search" }).click();
    await page.getByText(fingerprint256).waitFor();
    await page.getByText("The certificate of the camera's ONVIF service is unknown.").waitFor();
    await page.getByRole("button", { name: "Trust this certificate" }).click();
    await page.getByRole("button", { name: /^Add / }).click();
    await page.getByRole("link", { name: /^Added – watch / }).waitFor();
    const { cameras } = await on.service.get("cameras");
    const added = cameras.find(({ ip }) => ip === TLS_ADDRESS);
    assert.equal(added.onvif_certificate, fingerprint256);
    assert.ok(added.onvif.startsWith(`https://${device}/`), added.onvif);

    // The form also asks the user to confirm the certificate.
    const input = { name: "Moved", ip: TLS_ADDRESS, path: "/x", username: "u" };
    await on.service.put(added.id, { ...input, onvif: `http://${device}/` });
    await page.route(`**/api/cameras/${added.id}`, (route) =>
      route.request().method() === "GET"
        ? route.fulfill({ json: { ...added, onvif_certificate: null } })
        : route.continue(),
    );
    await page.goto(`${on.service.origin}/#/cameras?edit=${added.id}`);
    const form = page.getByRole("dialog");
    await form.getByRole("button", { name: "Save" }).click();
    await form.getByText(fingerprint256).waitFor();
    await form.getByRole("button", { name: "Trust this certificate" }).click();
    await form.waitFor({ state: "hidden" });
    const saved = await on.service.get(`cameras/${added.id}`);
    assert.equal(saved.onvif_certificate, fingerprint256);
  });

  test("the result of a search names the networks that could not be searched", async (t) => {
    const { page } = await on.visit(t, "#/discovery");
    const json = { devices: [], interfaces: ["eth0"], warnings: ["eth1 could not be searched"] };
    await page.route("**/api/discovery", (route) => route.fulfill({ json }));
    await page.getByRole("button", { name: "Search" }).click();
    await page.getByText("eth1 could not be searched").waitFor();
    await page.getByText("No camera has responded").waitFor();
  });

  test("cameras can be searched, exported without passwords, deleted and imported", async (t) => {
    for (const id of ["attic", "cellar"]) {
      await on.service.put(id, {
        name: id === "attic" ? "Attic" : "Cellar",
        rtsp_link: "rtsp://u:secret@192.0.2.1/x",
      });
    }
    const viewer = await on.visit(t, "#/cameras");
    const { page } = viewer;
    await page.getByPlaceholder("Search by name, ID or address").fill("att");
    await until("one row", SECONDS, async () => (await page.locator("li.row").count()) === 1);
    const [file] = await Promise.all([
      page.waitForEvent("download"),
      page.getByRole("button", { name: "Export" }).click(),
    ]);
    const content = Buffer.concat(await (await file.createReadStream()).toArray());
    assert.ok(!content.includes("secret"));
    await page.getByRole("button", { name: "Delete Attic" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
    await page.getByText("No matching cameras.").waitFor();
    await page
      .locator('input[type="file"]')
      .setInputFiles({ name: "cameras.json", mimeType: "application/json", buffer: content });
    await page.getByText(/Imported: 1 added/).waitFor();
    await page.getByRole("link", { name: "Watch Attic" }).waitFor();
  });

  test("the configuration of another system is shown before its cameras are imported", async (t) => {
    const viewer = await on.visit(t, "#/cameras");
    const { page } = viewer;
    const choose = (content) =>
      page.locator('input[type="file"]').setInputFiles({
        name: "go2rtc.yaml",
        mimeType: "application/yaml",
        buffer: Buffer.from(content),
      });
    const stream = (password) =>
      `streams:\n  loft:\n    - rtsp://u:${password}@192.0.2.1/x#transport=udp#timeout=5\n` +
      "    - rtsp://192.0.2.1/y\n  script: exec:true\n";
    await choose(stream(`\${UNKNOWN}`));
    const dialog = page.getByRole("dialog");
    await dialog.getByText(/variables .* UNKNOWN/).waitFor();
    assert.ok(await dialog.getByRole("button", { name: "Import" }).isDisabled());
    await dialog.getByRole("button", { name: "Cancel" }).click();
    await choose(stream("secret"));
    await dialog.getByText("New cameras: 1.").waitFor();
    for (const fact of [
      "New",
      "Main stream: rtsp://***@192.0.2.1/x",
      "Sub stream: rtsp://192.0.2.1/y",
      "RTSP transport: UDP only",
      "Note: left out, because there is no counterpart: #timeout",
    ]) {
      await dialog.getByText(fact, { exact: true }).waitFor();
    }
    await dialog.getByText("Not imported: script: the source: exec is not supported").waitFor();
    assert.ok(!(await dialog.textContent()).includes("secret"));
    await dialog.getByRole("button", { name: "Import" }).click();
    await page.getByText(/Imported: 1 added/).waitFor();
    await page.getByRole("link", { name: "Watch loft" }).waitFor();
  });

  test("the status view shows streams and can stop them", async (t) => {
    const watching = await on.visit(t, "?id=demo");
    await watching.sees("live");
    const viewer = await on.visit(t, "#/status");
    const row = viewer.page.locator('tr[data-stream="demo"]');
    await row.getByText("Live").waitFor();
    await row.filter({ hasText: /bit\/s/ }).waitFor();
    const { started_at } = await on.service.status("demo");
    await row.getByRole("button", { name: "Stop the stream of demo" }).click();
    // The page of the viewer who is still watching starts the stream again.
    await until("the stream is live again", SECONDS, async () => {
      const now = await on.service.status("demo");
      return now.state === "live" && now.started_at !== started_at;
    });
  });

  test("the page is available in German, and remembers the language and the theme", async (t) => {
    const viewer = await on.visit(t, "#/cameras");
    const { page } = viewer;
    await page.getByLabel("Language").selectOption("de");
    await page.getByRole("heading", { name: "Kameras" }).waitFor();
    await page.getByRole("button", { name: "Farbschema: System" }).click();
    const theme = () => page.evaluate(() => document.documentElement.dataset.theme);
    await untilEqual("the light theme", SECONDS, theme, "light");
    await page.reload();
    await page.getByRole("heading", { name: "Kameras" }).waitFor();
    assert.equal(await page.evaluate(() => document.documentElement.lang), "de");
    assert.equal(await theme(), "light");
    const texts = (name) =>
      Object.keys(
        JSON.parse(
          readFileSync(
            new URL(`../../nginx/web/src/locales/${name}.json`, import.meta.url),
            "utf8",
          ),
        ),
      );
    assert.deepEqual(texts("de").sort(), texts("en").sort());
  });
});
