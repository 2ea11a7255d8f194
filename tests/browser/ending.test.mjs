// Ctrl-C ends the service, and nothing of it is left.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { isRunning } from "./support/processes.mjs";
import { Service } from "./support/service.mjs";
import { SECONDS, Viewer, launchBrowser } from "./support/viewer.mjs";

describe("Ctrl-C", () => {
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

  test("ends all parts while somebody watches", async () => {
    const viewer = await Viewer.open(browser, service.page);
    await viewer.sees("live");
    assert.deepEqual(service.streamDirectories(), ["demo"]);
    const parts = service.child.descendants();
    const names = new Set(parts.map((part) => part.name));
    for (const name of ["camera.py", "stream-manager", "ffmpeg", "nginx"]) {
      assert.ok(names.has(name), `no ${name} among ${[...names]}`);
    }

    service.child.signal("SIGINT");
    assert.equal(await service.child.ended(SECONDS), 0, service.child.output);
    assert.deepEqual(parts.filter(isRunning), []);
    assert.deepEqual(service.streamDirectories(), []);
    await viewer.sees(["waiting", "failed"], "the server cannot be reached");
  });
});
