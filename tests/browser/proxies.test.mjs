// Tests the page below a path of another host, behind proxies that remove the path or keep it. One of the proxies
// requires a password.
import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { startCaddyFor, startNginxFor } from "./support/outer-proxy.mjs";
import { stage } from "./support/stage.mjs";

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
});
