// Checks that the manager can read the settings in all pages, and .env.example, from a file .env.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";

import { blocks, pages, ROOT } from "./support/markdown.mjs";

const MANAGER_BIN = process.env.MANAGER_BIN ?? join(ROOT, "target/release/stream-manager");
const directory = mkdtempSync(join(tmpdir(), "docs-test-"));
after(() => rmSync(directory, { recursive: true, force: true }));

/** Returns what the manager prints if its .env contains `text`. The manager always exits, because PORT is invalid. */
function errorsOf(text) {
  writeFileSync(join(directory, ".env"), text);
  const environment = { PATH: process.env.PATH, PORT: "none" };
  const { status, stderr } = spawnSync(MANAGER_BIN, { cwd: directory, env: environment, encoding: "utf8" });
  assert.equal(status, 64, stderr);
  return stderr;
}

const isOfSettings = ({ language, text }) => language === "ini" && !text.includes("[");

for (const block of pages().flatMap(blocks).filter(isOfSettings)) {
  test(`${block.page}:${block.line}: the settings can be in .env`, () => {
    assert.doesNotMatch(errorsOf(block.text), /\.env, line/);
  });
}

test(".env.example is a valid .env", () => {
  const errors = errorsOf(readFileSync(join(ROOT, ".env.example"), "utf8").replace(/^PORT=.*$/m, ""));
  assert.match(errors, /^stream-manager: PORT="none"/);
  assert.equal(errors.trim().split("\n").length, 1, errors);
});
