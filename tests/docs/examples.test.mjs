// Checks that the example clients use the time limits that the guide recommends, and that they create tokens
// within the limits of the manager.
import assert from "node:assert/strict";
import { test } from "node:test";

import { read } from "./support/markdown.mjs";

/** The sources of the clients, each with patterns for the time limits of starts and of other requests. */
const CLIENTS = {
  "deploy/examples/django/stream_manager.py": [/^START_TIMEOUT = (\d+)$/m, /^ {8}timeout: float = (\d+),$/m],
  "deploy/examples/laravel/StreamManager.php": [/const START_TIMEOUT = (\d+);/, /int \$timeout = (\d+),/],
};
/** The limits of tokens: the constants of the manager, and those of the clients. */
const LIMITS = {
  MAX_TOKEN_LENGTH: "MAX_TOKEN_LENGTH",
  MAX_CAMERAS: "MAX_CAMERAS",
  MAX_LIFETIME: "MAX_TTL",
};
const MANAGER = "src/playback/token.rs";

/** Returns the value of a constant, which can be a product, in a source file. */
function constant(path, name) {
  const value = new RegExp(`\\b${name}\\b[^=\\n]*= ([\\d_ *]+);?$`, "m").exec(read(path))?.[1];
  assert.ok(value, `${name} in ${path}`);
  return value
    .replaceAll("_", "")
    .split("*")
    .reduce((product, factor) => product * Number(factor), 1);
}

test("the example clients wait as long as the guide recommends", () => {
  const advice = /Set a timeout of (\d+) s for starts .*and of (\d+) s for other requests/.exec(read("docs/guide/back-ends.md"));
  assert.ok(advice, "docs/guide/back-ends.md does not recommend timeouts");
  for (const [path, patterns] of Object.entries(CLIENTS)) {
    const limits = patterns.map((pattern) => pattern.exec(read(path))?.[1]);
    assert.deepEqual(limits, advice.slice(1), path);
  }
});

test("the example clients refuse to create tokens that the manager would refuse", () => {
  for (const [name, clientName] of Object.entries(LIMITS)) {
    const limit = constant(MANAGER, name);
    for (const path of Object.keys(CLIENTS)) {
      assert.equal(constant(path, clientName), limit, `${clientName} in ${path}`);
    }
  }
  const user = `{1,${constant(MANAGER, "MAX_USER_LENGTH")}}`;
  for (const path of Object.keys(CLIENTS)) {
    assert.ok(/\bUSER = (.+)$/m.exec(read(path))[1].includes(user), path);
  }
});

test("the example clients and the guide name the same claims as the manager", () => {
  const [, fields] = /pub\(crate\) struct Claims \{\n(.*?)^\}/ms.exec(read(MANAGER));
  const claims = [...fields.matchAll(/^ {4}pub (\w+):/gm)].map(([, name]) => name);
  // The rest is required.
  const optional = ["nbf", "rights", "from", "to"];
  assert.ok(optional.every((name) => claims.includes(name)), `${claims}`);
  const required = claims.filter((name) => !optional.includes(name)).sort();
  assert.ok(required.length > 3, String(required));
  const [, audience] = /const AUDIENCE: &str = "(.+)";/.exec(read(MANAGER));
  const sources = {
    "deploy/examples/django/stream_manager.py": /claims = \{\n(.*?)\n {8}\}/s,
    "deploy/examples/laravel/StreamManager.php": /\$claims = \[\n(.*?)\n {8}\];/s,
  };
  for (const [path, pattern] of Object.entries(sources)) {
    const [, text] = pattern.exec(read(path));
    const names = [...text.matchAll(/^ {12}["'](\w+)["']/gm)].map(([, name]) => name);
    assert.deepEqual(names.sort(), required, path);
    assert.match(text, new RegExp(`["']${audience}["']`), path);
  }
  const guide = read("docs/guide/playback-sessions.md");
  for (const claim of claims) {
    assert.ok(guide.includes(`\`${claim}\``), claim);
  }
  const length = constant(MANAGER, "MAX_TOKEN_LENGTH");
  for (const page of ["docs/guide/playback-sessions.md", "nginx/nginx.conf.template"]) {
    assert.ok(read(page).includes(`at most ${length} characters`), page);
  }
});
