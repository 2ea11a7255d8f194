// Tests what the page shows about cameras, and what users can do in each case: conditions, messages, deleted cameras,
// forms, and keys.
import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { Camera } from "./support/camera.mjs";
import { freePort } from "./support/port.mjs";
import { stage } from "./support/stage.mjs";
import { until, untilEqual } from "./support/until.mjs";
import { SECONDS } from "./support/viewer.mjs";

/** A link with a password, to a computer that does not exist. */
const LINK = "rtsp://user:secret@192.0.2.7:554/stream1";
const wait = { timeout: SECONDS * 1000 };

// The tests run concurrently, because they spend most of the time waiting. So each test has its own cameras.
describe("the page", { concurrency: 4 }, () => {
  const on = stage();

  /** Returns the fields of a form, by their names, with their boxes. */
  function boxesOf(page) {
    return page.locator("form input, form select").evaluateAll((fields) =>
      fields.map((field) => {
        const { left, top, width } = field.getBoundingClientRect();
        return [field.name, left, top, width];
      }),
    );
  }

  test("shows a camera that was never live as retrying, and one that was live as reconnecting", async (t) => {
    const link = `rtsp://127.0.0.1:${await freePort()}/h264`;
    await on.service.put("unplugged", { name: "Unplugged", rtsp_link: link });
    const viewer = await on.visit(t, "#/?cameras=unplugged");
    await viewer.sees("retrying", "Retrying");
    const text = await viewer.tile().textContent();
    assert.doesNotMatch(text, /Failed|Try again|Reconnecting/);

    for (const [address, row] of [
      ["#/cameras", 'li[data-camera="unplugged"]'],
      ["#/status", 'tr[data-stream="unplugged"]'],
    ]) {
      const { page } = await on.visit(t, address);
      const error = { code: "source_unreachable", detail: "refused", seconds_ago: 1 };
      for (const [state, word] of [
        ["starting", "Starting"],
        ["backoff", "Retrying"],
        ["live", "Live"],
        ["backoff", "Reconnecting"],
      ]) {
        const last_error = state === "backoff" ? error : null;
        const stream = { indicator_id: "unplugged", profile: "main", state, last_error };
        const json = { streams: [stream] };
        await page.route("**/api/streams", (route) => route.fulfill({ json }));
        await page.locator(row).getByText(word, { exact: true }).waitFor(wait);
      }
    }
  });

  test("shows in all views that a camera has failed, and offers to try again, but not to stop", async (t) => {
    const camera = await Camera.startFor(t);
    const link = `rtsp://viewer:wrong@127.0.0.1:${camera.port}/private`;
    await on.service.put("refusing", { name: "Refusing", rtsp_link: link });
    const viewer = await on.visit(t, "#/?cameras=refusing", { locale: "de-DE" });
    const { page } = viewer;
    await viewer.sees("failed", "Fehlgeschlagen");
    await viewer.tile().hover();
    const buttons = viewer.tile().getByRole("button");
    // Fails if there are several such buttons.
    await buttons.filter({ hasText: "Erneut versuchen" }).waitFor();
    assert.equal(await viewer.tile().getByRole("button", { name: "Anhalten" }).count(), 0);
    // The message is in the language of the page, and the service's own words are marked as English.
    const message = viewer.tile().locator(".tile-message p");
    assert.match(await message.textContent(), /Passwort abgelehnt/);
    const detail = message.locator('[lang="en"]');
    assert.match(await detail.textContent(), /the camera rejected the user name or password/);

    await page.getByRole("button", { name: "Mehr über Refusing" }).click();
    const facts = page.getByRole("dialog").locator(".facts");
    await facts.getByText("Fehlgeschlagen").waitFor();
    await page.keyboard.press("Escape");
    // The page does not show the camera as idle, even when the service no longer lists its stream.
    await page.getByRole("link", { name: "Kameras" }).click();
    const row = page.locator('li[data-camera="refusing"]');
    await row.getByText("Fehlgeschlagen").waitFor();
    await on.service.stop("refusing");
    await until("the end of the stream", SECONDS, async () => {
      return (await on.service.status("refusing")).state === "stopped";
    });
    await page.waitForResponse("**/api/streams", wait);
    await page.waitForResponse("**/api/streams", wait);
    assert.match(await row.textContent(), /Fehlgeschlagen/);
    assert.doesNotMatch(await row.textContent(), /Inaktiv/);
  });

  test("takes a deleted camera off the wall", async (t) => {
    for (const id of ["gone1", "gone2", "stays"]) {
      await on.service.put(id, { name: id, rtsp_link: LINK });
    }
    const chosen = await on.visit(t, "#/?cameras=gone1,stays");
    await on.service.remove("gone1");
    await chosen.page.reload();
    await chosen.sees("failed", "Not found", "gone1");
    const tile = chosen.tile("gone1");
    assert.doesNotMatch(await tile.textContent(), /Try again|Edit camera/);
    await tile.getByRole("button", { name: "Remove from this wall" }).first().click();
    await tile.waitFor({ state: "detached" });
    await chosen.page.waitForURL(/#\/\?cameras=stays$/);

    // On the wall of all cameras, the tile disappears when the service reports that the camera does not exist.
    const all = await on.visit(t);
    await all.tile("gone2").waitFor(wait);
    await on.service.remove("gone2");
    await all.tile("gone2").waitFor({ state: "detached", ...wait });
  });

  test("asks before it discards what the user has entered", async (t) => {
    const { page } = await on.visit(t, "#/cameras?add");
    const form = page.getByRole("dialog").first();
    await form.waitFor(wait);
    await page.keyboard.press("Escape");
    await form.waitFor({ state: "detached" });
    await page.goto(`${on.service.origin}/#/cameras?add`);
    await page.getByLabel("Name", { exact: true }).fill("Half");
    const question = page.getByText("Discard your changes?");
    const leave = [
      () => page.keyboard.press("Escape"),
      () => page.getByRole("button", { name: "Close" }).first().click(),
      () => page.mouse.click(5, 300),
    ];
    for (const attempt of leave) {
      await attempt();
      await question.waitFor();
      await page.getByRole("button", { name: "Keep editing" }).click();
      await question.waitFor({ state: "detached" });
      assert.equal(await page.getByLabel("Name", { exact: true }).inputValue(), "Half");
    }
    await page.keyboard.press("Escape");
    // Esc closes the question, and not the form.
    await question.waitFor();
    await page.keyboard.press("Escape");
    await question.waitFor({ state: "detached" });
    assert.equal(await form.isVisible(), true);
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "Discard" }).click();
    await form.waitFor({ state: "detached" });
  });

  test("changes a camera's password or name without asking for the link or the password again", async (t) => {
    const camera = await Camera.startFor(t, 0, ["--password", "p@ss/word"]);
    const link = `rtsp://viewer:old@127.0.0.1:${camera.port}/private`;
    await on.service.put("locked", { name: "Locked", rtsp_link: link });
    const { page } = await on.visit(t, "#/cameras?edit=locked");
    const form = page.getByRole("dialog");
    await form.getByLabel("User name").fill("viewer");
    await form.getByLabel("Password").fill("p@ss/word");
    await form.getByRole("button", { name: "Test" }).click();
    await form.getByText("Connection successful").waitFor(wait);
    await form.getByRole("button", { name: "Save" }).click();
    await form.waitFor({ state: "detached" });
    await on.service.start("locked");
    await until("live video with the new password", SECONDS, async () => {
      return (await on.service.status("locked")).state === "live";
    });

    // The API hides a part of this path. A change of the name does not require the path.
    const parts = { ip: "192.0.2.7", path: "/live?key=hidden", username: "u", password: "secret" };
    await on.service.put("keyed", { name: "Keyed", ...parts });
    await page.goto(`${on.service.origin}/#/cameras?edit=keyed`);
    await form.getByLabel("Name", { exact: true }).fill("Renamed");
    const sent = page.waitForRequest((request) => request.method() === "PUT");
    await form.getByRole("button", { name: "Save" }).click();
    const input = (await sent).postDataJSON();
    assert.equal(input.name, "Renamed");
    assert.deepEqual([input.ip, input.path, input.rtsp_link], [undefined, undefined, undefined]);
    await form.waitFor({ state: "detached" });
    const saved = await on.service.get("cameras/keyed");
    assert.deepEqual([saved.name, saved.has_password], ["Renamed", true]);
  });

  test("explains an empty search once, without moving the fields, and offers to add the camera", async (t) => {
    const { page } = await on.visit(t, "#/discovery");
    const json = {
      devices: [],
      interfaces: ["eth0", "eth1"],
      warnings: ["no camera responded; a search finds only cameras on networks …"],
    };
    await page.route("**/api/discovery", (route) => route.fulfill({ json }));
    await page.getByLabel("Only this address").fill("http://192.0.2.44:8080/onvif");
    const before = await boxesOf(page);
    await page.getByRole("button", { name: "Search" }).click();
    await page.getByText("No camera has responded").waitFor();
    assert.deepEqual(await boxesOf(page), before);
    const text = await page.locator("main").textContent();
    assert.equal(text.match(/no camera/gi).length, 1, text);
    assert.doesNotMatch(text, /0 cameras/);
    await page.getByRole("button", { name: "Add a camera by its address" }).click();
    const form = page.getByRole("dialog");
    const address = () => form.getByLabel("IP address or host").inputValue();
    await untilEqual("the address is filled in", SECONDS, address, "192.0.2.44");
  });

  test("names the cameras of streams and sessions, and can start a failed stream again", async (t) => {
    await on.service.put("named", { name: "Side entrance", rtsp_link: LINK });
    const { page } = await on.visit(t, "#/status");
    const error = { code: "source_unauthorized", detail: "rejected", seconds_ago: 4 };
    const stream = { indicator_id: "named", profile: "main", state: "failed", last_error: error };
    await page.route("**/api/streams", (route) => route.fulfill({ json: { streams: [stream] } }));
    await fetch(`${on.service.origin}/api/playback/sessions`, {
      method: "POST",
      body: JSON.stringify({ user: "anna", camera: "named" }),
    });
    const session = page.locator("tr[data-session]").filter({ hasText: "anna" });
    await session.getByText("Side entrance").waitFor(wait);
    await session.getByText("client without a key").waitFor(wait);
    const row = page.locator('tr[data-stream="named"]');
    await row.getByRole("link", { name: "Side entrance" }).waitFor(wait);
    assert.equal(await row.getByRole("button", { name: /^Stop/ }).count(), 0);
    const started = page.waitForRequest("**/api/cameras/named/stream/start?profile=main*");
    await row.getByRole("button", { name: "Try to start the stream of Side entrance" }).click();
    await started;
  });

  test("accepts the keyboard commands of a tile wherever the focus is, and asks which tile if there are several", async (t) => {
    await on.putCopy("loud", { name: "Loud" });
    const viewer = await on.visit(t, "#/?cameras=loud", { transport: "hls" });
    const { page } = viewer;
    const isMuted = (id) =>
      page.locator(`.tile[data-camera="${id}"] video`).evaluate((video) => video.muted);
    await viewer.sees("live", "", "loud");
    await page.mouse.move(0, 0);
    await page.keyboard.press("m");
    await until("sound", SECONDS, async () => !(await isMuted("loud")));

    await page.evaluate(() => (location.hash = "#/?cameras=loud,demo"));
    await viewer.sees("live", "", "demo");
    await page.keyboard.press("m");
    await page.getByText("Move to a camera with the arrow keys or the pointer first.").waitFor();
    await viewer.tile("demo").hover();
    await page.keyboard.press("m");
    await until(
      "sound of the tile under the pointer",
      SECONDS,
      async () => !(await isMuted("demo")),
    );
    await page.mouse.move(0, 0);
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("m");
    await until("the tile with the focus is muted", SECONDS, () => isMuted("demo"));
  });

  test("shows notices where they cover no tile", async (t) => {
    const viewer = await on.visit(t);
    await viewer.tile().waitFor(wait);
    for (const size of [
      { width: 1280, height: 720 },
      { width: 360, height: 740 },
    ]) {
      await viewer.page.setViewportSize(size);
      await viewer.page.getByRole("button", { name: "Copy link to this wall" }).click();
      const notice = viewer.page.locator(".notice p");
      await notice.waitFor();
      await until(`the notice is above the tiles, ${size.width} px`, SECONDS, async () => {
        const { y, height } = await notice.boundingBox();
        const tile = await viewer.tile().boundingBox();
        return y + height <= tile.y;
      });
    }
  });
});
