// Checks that the example clients use the time limits that the guide recommends.
import assert from "node:assert/strict";
import { test } from "node:test";

import { read } from "./support/markdown.mjs";

/** The sources of the clients, each with patterns for the time limits of starts and of other requests. */
const CLIENTS = {
  "deploy/examples/django/stream_manager.py": [/^START_TIMEOUT = (\d+)$/m, /^ {8}timeout: float = (\d+),$/m],
  "deploy/examples/laravel/StreamManager.php": [/const START_TIMEOUT = (\d+);/, /int \$timeout = (\d+),/],
};

test("the example clients wait as long as the guide recommends", () => {
  const advice = /Set a timeout of (\d+) s for starts .*and of (\d+) s for other requests/.exec(read("docs/guide/back-ends.md"));
  assert.ok(advice, "the advice in docs/guide/back-ends.md");
  for (const [path, patterns] of Object.entries(CLIENTS)) {
    const limits = patterns.map((pattern) => pattern.exec(read(path))?.[1]);
    assert.deepEqual(limits, advice.slice(1), path);
  }
});
