// Tests that the texts of all languages are complete, and that the page uses every text.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";

import { DOCUMENT } from "../tools/api-types.mjs";

const SOURCES = new URL("../src/", import.meta.url);
const LOCALES = new URL("locales/", SOURCES);
/** Error codes that only nginx sends. The schemas of the OpenAPI document do not list them. */
const NGINX_CODES = ["manager_unavailable", "too_many_requests"];

const languages = readdirSync(LOCALES).map((file) => [
  file.replace(".json", ""),
  JSON.parse(readFileSync(new URL(file, LOCALES), "utf8")),
]);
const english = Object.fromEntries(languages).en;
const sources = readdirSync(SOURCES, { recursive: true })
  .filter((path) => /\.tsx?$/.test(path))
  .map((path) => readFileSync(new URL(path, SOURCES), "utf8"))
  .join("\n");

const placeholders = (text) => [...text.matchAll(/\{\w+\}/g)].map(([name]) => name).sort();

for (const [language, texts] of languages) {
  test(`${language} has every text, with the same placeholders`, () => {
    for (const [key, text] of Object.entries(english)) {
      assert.ok(texts[key], key);
      assert.deepEqual(placeholders(texts[key]), placeholders(text), key);
    }
  });

  test(`${language} has every plural form that the language needs, and no other texts`, () => {
    const plurals = Object.keys(english).filter((key) => key.endsWith(".other"));
    const forms = new Intl.PluralRules(language).resolvedOptions().pluralCategories;
    const needed = plurals.flatMap((key) => forms.map((form) => key.replace(/other$/, form)));
    for (const key of needed) {
      assert.ok(texts[key], key);
    }
    const known = new Set([...Object.keys(english), ...needed]);
    assert.deepEqual(
      Object.keys(texts).filter((key) => !known.has(key)),
      [],
    );
  });
}

test("every error code of the service, of nginx and of the page has a text", () => {
  const { components } = JSON.parse(readFileSync(DOCUMENT, "utf8"));
  const page = [...sources.matchAll(/new Problem\(\w+, "(\w+)"/g)].map(([, code]) => code);
  assert.ok(page.length > 0);
  for (const code of [...components.schemas.ErrorKind.enum, ...NGINX_CODES, ...page]) {
    assert.ok(english[`error.${code}`], code);
  }
});

test("every text is used", () => {
  // The fixed part of composed keys, such as `state.${state}`.
  const prefixes = [...sources.matchAll(/`([a-z_.]+\.)\$\{/g)].map(([, prefix]) => prefix);
  const isUsed = (key) =>
    sources.includes(`"${key}"`) ||
    sources.includes(`"${key.replace(/\.\w+$/, "")}"`) ||
    prefixes.some((prefix) => key.startsWith(prefix));
  assert.deepEqual(
    Object.keys(english).filter((key) => !isUsed(key)),
    [],
  );
});
