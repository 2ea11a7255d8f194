// Takes the screenshots of the page for the documentation, with the real page and service. The cameras show
// drawings. The responses to a camera test and to a search are invented, so that they show typical addresses.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { Camera } from "../support/camera.mjs";
import { Child } from "../support/child.mjs";
import { freePort } from "../support/port.mjs";
import { Service } from "../support/service.mjs";
import { until } from "../support/until.mjs";
import { launchBrowser } from "../support/viewer.mjs";
import { picture, SCENES } from "./scenes.mjs";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const DOCS = here("../../../docs");
const SIZE = { width: 1200, height: 720 };
const TALL = { width: 1200, height: 900 };
const PHONE = { width: 390, height: 780 };
const SECONDS = 120;
/** A greater latency is not plausible: the machine was busy when the tile began to play. */
const MAX_AGE_SECONDS = 1;

const browser = await launchBrowser();
const service = await Service.start({}, ["--no-demo"]);
const privateCamera = await Camera.start();
const folder = mkdtempSync(join(tmpdir(), "scenes-"));
const ids = SCENES.map(([name]) => name.toLowerCase().replaceAll(" ", "-"));

/** Draws the scenes as PNG files, starts a camera that shows them, and adds its streams to the service. */
async function startScenes() {
  const page = await browser.newPage({ viewport: { width: 1280, height: 720 } });
  for (const [index, scene] of SCENES.entries()) {
    await page.setContent(`<style>body{margin:0}</style>${picture(scene)}`);
    writeFileSync(join(folder, `${ids[index]}.png`), await page.screenshot());
  }
  await page.close();
  const camera = new Child(here("camera.py"), [folder, ...ids]);
  const [, port] = await camera.waitForOutput(/port (\d+)/, SECONDS);
  for (const [index, [name]] of SCENES.entries()) {
    await service.put(ids[index], { name, rtsp_link: `rtsp://127.0.0.1:${port}/${ids[index]}` });
  }
  return camera;
}

/** Opens `address` in a new browser context, calls `prepare` with the page, and saves a screenshot as docs/NAME.png. */
async function shoot(name, address, prepare, { colorScheme = "dark", viewport = SIZE } = {}) {
  const context = await browser.newContext({ viewport, colorScheme, deviceScaleFactor: 1 });
  const page = await context.newPage();
  await page.goto(`${service.origin}/${address}`);
  await prepare(page);
  mkdirSync(DOCS, { recursive: true });
  await page.screenshot({ path: join(DOCS, `${name}.png`) });
  await context.close();
  console.log(`docs/${name}.png`);
}

/** Waits until at least `number` tiles are live. */
const waitUntilLive = (page, number) =>
  until(
    `${number} live tiles`,
    SECONDS,
    async () => (await page.locator('.tile[data-state="live"]').count()) >= number,
  );

/** Waits until `number` tiles show a bit rate and a plausible latency. Both appear after the video. */
async function waitForFigures(page, number) {
  const areSettled = async () => {
    const rates = await page.locator(".rate", { hasText: "bit/s" }).count();
    const ages = (await page.locator(".latency").allTextContents())
      .map(Number.parseFloat)
      .filter(Number.isFinite);
    return rates >= number && ages.length >= number && ages.every((age) => age < MAX_AGE_SECONDS);
  };
  await until("bit rates and latencies", SECONDS, areSettled);
}

try {
  const camera = await startScenes();
  await shoot("wall", "", async (page) => {
    await waitUntilLive(page, SCENES.length);
    await waitForFigures(page, SCENES.length);
    await waitUntilLive(page, SCENES.length);
  });
  await shoot("phone", `#/?cameras=${ids.slice(0, 4)}`, (page) => waitUntilLive(page, 3), {
    viewport: PHONE,
  });

  await shoot(
    "add",
    "#/cameras?add",
    async (page) => {
      // The page shows a typical address, and a drawing as the result of the test.
      await page.route("**/api/cameras/test", (route) => route.fulfill({ json: testResult() }));
      await page.getByLabel("Name", { exact: true }).fill("Side entrance");
      await page.getByLabel("Manufacturer").selectOption("hikvision");
      await page.getByLabel("IP address or host").fill("192.168.1.26");
      await page.getByLabel("User name").fill("viewer");
      await page.getByLabel("Password").fill("not shown");
      await page.getByRole("button", { name: "Test", exact: true }).click();
      await page.getByRole("img", { name: "Picture of this camera" }).waitFor();
    },
    { colorScheme: "light", viewport: TALL },
  );

  await shoot(
    "discovery",
    "#/discovery",
    async (page) => {
      await page.route("**/api/discovery", (route) => route.fulfill({ json: searchResult() }));
      await page.getByRole("button", { name: "Search" }).click();
      await page.locator(".device").first().waitFor();
    },
    { colorScheme: "light" },
  );

  const link = `rtsp://127.0.0.1:${privateCamera.port}/private`;
  await service.put("side-entrance", {
    name: "Side entrance",
    rtsp_link: link.replace("//", "//admin:wrong@"),
  });
  await service.put("roof", {
    name: "Roof",
    rtsp_link: `rtsp://127.0.0.1:${await freePort()}/stream1`,
  });
  await shoot("failure", `#/?cameras=front-door,side-entrance,roof,${ids[3]}`, async (page) => {
    await waitUntilLive(page, 2);
    await waitForFigures(page, 2);
    await until(
      "two tiles with an error",
      SECONDS,
      async () => (await page.locator(".tile-message p").count()) === 2,
    );
  });
  await camera.end();
} finally {
  rmSync(folder, { recursive: true });
  await browser.close();
  await privateCamera.end();
  await service.end();
}

/** Returns the response to a camera test. */
function testResult() {
  const still = readFileSync(join(folder, "gate.png")).toString("base64");
  return {
    video_codec: "h264",
    width: 1920,
    height: 1080,
    frame_rate: 25,
    audio_codec: "aac",
    still,
    took_seconds: 0.8,
  };
}

/** Returns the response to a search in a network with three cameras. */
function searchResult() {
  const profiles = (host, paths) =>
    paths.map((path, index) => ({
      token: `p${index}`,
      name: index ? "Sub" : "Main",
      video_codec: index ? "H264" : "H265",
      width: index ? 640 : 2560,
      height: index ? 360 : 1440,
      frame_rate: index ? 15 : 25,
      rtsp_link: `rtsp://${host}:554${path}`,
    }));
  const device = (address, name, manufacturer, model, paths, more = {}) => ({
    address,
    port: 80,
    name,
    manufacturer,
    model,
    firmware: null,
    serial: null,
    needs_credentials: paths.length === 0,
    error: null,
    profiles: profiles(address, paths),
    main: paths[0] ? `rtsp://${address}:554${paths[0]}` : null,
    sub: paths[1] ? `rtsp://${address}:554${paths[1]}` : null,
    known_as: null,
    ...more,
  });
  return {
    devices: [
      device("192.168.1.21", "Front door", "Example", "EX-2840", ["/stream1", "/stream2"], {
        known_as: "front-door",
      }),
      device("192.168.1.24", "Terrace", "Example", "EX-2840", ["/stream1", "/stream2"]),
      device("192.168.1.30", null, null, null, []),
    ],
    interfaces: ["eth0"],
    warnings: [],
  };
}
