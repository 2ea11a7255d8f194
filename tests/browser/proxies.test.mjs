// Tests the page below a path of another host, behind proxies that remove the path or keep it. One of the proxies
// requires a password. Also tests the page in a frame of another site.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { after, before, describe, test } from "node:test";

import { startCaddyFor, startNginxFor } from "./support/outer-proxy.mjs";
import { freePort } from "./support/port.mjs";
import { stage } from "./support/stage.mjs";
import { until } from "./support/until.mjs";
import { SECONDS, Viewer } from "./support/viewer.mjs";

const HEADERS = `proxy_set_header Host $host;
  proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
  proxy_set_header X-Forwarded-Proto $scheme;`;

describe("the page behind another proxy", () => {
  const on = stage({ ALLOW_ANONYMOUS: "", PUBLIC_URL: "http://cameras.example/cameras" });
  const inner = () => new URL(on.service.origin).host;

  const proxies = [
    [
      "an nginx that removes the path, and requires a password",
      (t) =>
        startNginxFor(
          t,
          `location /cameras/ {
            auth_basic cameras;
            auth_basic_user_file ACCOUNTS;
            proxy_pass http://${inner()}/;
            ${HEADERS}
          }`,
        ),
    ],
    [
      "an nginx that keeps the path",
      (t) => startNginxFor(t, `location /cameras { proxy_pass http://${inner()}; ${HEADERS} }`),
    ],
    [
      "Caddy",
      (t) =>
        startCaddyFor(
          t,
          `redir /cameras /cameras/\nhandle_path /cameras/* {\nreverse_proxy ${inner()}\n}`,
        ),
    ],
  ];
  for (const [name, start] of proxies) {
    test(`works below a path behind ${name}`, async (t) => {
      const origin = await start(t);
      const key = on.service.page.split("#key=")[1];
      const viewer = await on.visit(t, `${origin}/cameras/?id=demo#key=${key}`, {
        httpCredentials: { username: "anna", password: "secret" },
        transport: "hls",
      });
      const { page } = viewer;
      await viewer.sees("live");
      await viewer.watches(3);
      await page.getByRole("link", { name: "Status" }).click();
      await page.locator('tr[data-stream="demo"]').waitFor();
      const elsewhere = viewer.requests.filter((url) => !/^(blob|data):/.test(url));
      assert.deepEqual(
        elsewhere.filter((url) => !url.startsWith(`${origin}/cameras/`)),
        [],
      );
      for (const part of ["/api/caller", "/stream.m3u8", ".m4s", "/snapshot.jpg"]) {
        assert.ok(
          elsewhere.some((url) => url.includes(part)),
          `no request for ${part}`,
        );
      }
      assert.deepEqual(viewer.problems, []);
    });
  }

  // Caddy passes WebSockets. An nginx does so only with directives that these do not have.
  for (const [index, transport] of [
    [2, "webcodecs"],
    [1, "hls"],
  ]) {
    const [name, start] = proxies[index];
    test(`plays by ${transport} behind ${name}, without a choice of the user`, async (t) => {
      const origin = await start(t);
      const key = on.service.page.split("#key=")[1];
      const viewer = await on.visit(t, `${origin}/cameras/?id=demo#key=${key}`);
      await until(transport, SECONDS, async () => (await viewer.transport()) === transport);
      await viewer.watches(3);
    });
  }
});

describe("the page in a frame of another site", async () => {
  const port = await freePort();
  const site = (name) => `http://${name}.localhost:${port}`;
  const on = stage({
    ALLOW_ANONYMOUS: "",
    FRAME_ANCESTORS: `https://erp.example ${site("portal")}`,
  });
  let server;
  before(async () => {
    server = createServer((_, response) => {
      response.setHeader("Content-Type", "text/html");
      const frame = `<iframe width="900" height="600" src="${on.service.page}"></iframe>`;
      response.end(`<!doctype html><title>Portal</title>${frame}`);
    });
    await once(server.listen(port, "127.0.0.1"), "listening");
  });
  after(() => server.close());

  test("signs in and plays if FRAME_ANCESTORS lists the site, and is not shown otherwise", async (t) => {
    const viewer = await Viewer.openFor(t, on.browser, site("portal"));
    const live = viewer.page.frameLocator("iframe").locator('.tile[data-condition="live"]');
    await live.waitFor({ timeout: SECONDS * 1000 });
    assert.deepEqual(viewer.problems, []);

    const { page } = await Viewer.openFor(t, on.browser, "about:blank");
    const refused = page.waitForEvent("console", (message) =>
      /frame-ancestors/.test(message.text()),
    );
    await page.goto(site("other"));
    await refused;
    assert.equal(await page.frameLocator("iframe").locator(".tile").count(), 0);
  });
});
