// Tests that the page finds the times in messages of the service.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { transformWithEsbuild } from "vite";

const FILE = new URL("../src/api/spans.ts", import.meta.url);
const { code } = await transformWithEsbuild(readFileSync(FILE, "utf8"), FILE.pathname);
const { spansIn } = await import(`data:text/javascript,${encodeURIComponent(code)}`);

test("the times in a message are found", () => {
  const message =
    "the resolution of the video of camera a changes in this time; export these times separately: " +
    "2026-11-29T14:03:00.000Z to 2026-11-29T14:05:10.250Z, 2026-11-29T14:05:11.000Z to 2026-11-29T14:06:00.000Z";
  assert.deepEqual(spansIn(message), [
    { from: "2026-11-29T14:03:00.000Z", to: "2026-11-29T14:05:10.250Z" },
    { from: "2026-11-29T14:05:11.000Z", to: "2026-11-29T14:06:00.000Z" },
  ]);
  assert.deepEqual(spansIn("the video changes at 2026-11-29T14:05:10.250Z"), []);
});
