// Checks that links between pages work, that docs/README.md lists all pages, that the README is short, that code
// blocks have an allowed language, and that JSON examples are valid.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { anchors, blocks, links, pages, read, ROOT } from "./support/markdown.mjs";

const README_LINES = 150;
const INDEX = "docs/README.md";
/** Allowed languages of code blocks. Commands must be `sh`, so that commands.test.mjs runs them. */
const LANGUAGES = new Set(["sh", "text", "json", "ini", "html", "js", "nginx", "php", "python", "rust", "toml", "yaml"]);

test("every link leads to an existing file and heading", () => {
  const broken = pages().flatMap((page) =>
    links(page)
      .filter(({ file, anchor }) => {
        const exists = existsSync(join(ROOT, file));
        return !exists || (anchor !== undefined && !anchors(file).has(anchor));
      })
      .map(({ target }) => `${page}: ${target}`),
  );
  assert.deepEqual(broken, []);
});

test("the index lists every page of docs/", () => {
  const listed = new Set(links(INDEX).map(({ file }) => file));
  const unlisted = pages().filter((page) => page.startsWith("docs/") && page !== INDEX && !listed.has(page));
  assert.deepEqual(unlisted, []);
});

test(`the README has at most ${README_LINES} lines`, () => {
  assert.ok(read("README.md").split("\n").length <= README_LINES + 1);
});

test("every code block has an allowed language, and JSON blocks are valid", () => {
  for (const page of pages()) {
    for (const { language, line, text } of blocks(page)) {
      assert.ok(LANGUAGES.has(language), `${page}:${line}: the language "${language}" of the code block is not allowed`);
      if (language === "json") {
        assert.doesNotThrow(() => JSON.parse(text), `${page}:${line}`);
      }
    }
  }
});
