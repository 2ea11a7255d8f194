// Tests that Ctrl-C in the terminal of deploy/run ends the service, and leaves no process and no incomplete files
// behind.
import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { isRunning } from "./support/processes.mjs";
import { stage } from "./support/stage.mjs";
import { SECONDS } from "./support/viewer.mjs";

describe("Ctrl-C", () => {
  const on = stage();

  test("ends all processes while a viewer is watching", async (t) => {
    const { service } = on;
    const viewer = await on.visit(t, service.page, { transport: "hls" });
    await viewer.sees("live");
    assert.deepEqual(service.streamDirectories(), ["demo"]);
    const processes = service.child.descendants();
    const names = new Set(processes.map((process) => process.name));
    for (const name of ["camera.py", "stream-manager", "ffmpeg", "nginx"]) {
      assert.ok(names.has(name), `no process ${name} among ${[...names]}`);
    }

    service.child.signal("SIGINT");
    assert.equal(await service.child.waitForExit(SECONDS), 0, service.child.output);
    assert.deepEqual(processes.filter(isRunning), []);
    // The playlist can continue after the next start.
    const files = service.streamFiles("demo");
    assert.ok(files.includes("continuation.json"), files);
    assert.ok(!files.some((name) => name.endsWith(".next")), files);
    await viewer.sees(["waiting", "failed"], "The server cannot be reached.");
  });
});
