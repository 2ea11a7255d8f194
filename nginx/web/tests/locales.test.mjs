// Tests that the texts of all languages are complete, and that the page uses every text.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";

import { DOCUMENT } from "../tools/api-types.mjs";

const SOURCES = new URL("../src/", import.meta.url);
const LOCALES = new URL("locales/", SOURCES);
/** The list of all error codes of the manager and of nginx. */
const ERRORS = new URL("../../../docs/reference/errors.md", import.meta.url);
/** The presets of vendors. Their notes are in English. */
const PRESETS = new URL("../../../src/camera/presets.json", import.meta.url);

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

test("every error code has a text, and every error text has a code", () => {
  const { components } = JSON.parse(readFileSync(DOCUMENT, "utf8"));
  const rows = readFileSync(ERRORS, "utf8").matchAll(/^\| \d{3} \| `(\w+)` \|/gm);
  const reference = [...rows].map(([, code]) => code);
  for (const code of components.schemas.ErrorKind.enum) {
    assert.ok(reference.includes(code), code);
  }
  // The codes that the page itself gives to errors, for example if the service's response has no code.
  const own = [
    ...sources.matchAll(/new Problem\(\w+, "(\w+)"|"(onvif_failed)"|"error\.(unexpected)"/g),
  ];
  const page = own.map(([, ...groups]) => groups.find((group) => group));
  assert.ok(page.length > 0);
  const codes = [...new Set([...reference, ...page])].sort();
  const texts = Object.keys(english).filter((key) => key.startsWith("error."));
  assert.deepEqual(texts.map((key) => key.replace("error.", "")).sort(), codes);
});

test("every vendor's note has a text, and the English text is the note itself", () => {
  const presets = JSON.parse(readFileSync(PRESETS, "utf8")).filter(({ notes }) => notes);
  const texts = Object.entries(english).filter(([key]) => key.startsWith("vendor."));
  assert.deepEqual(
    Object.fromEntries(texts),
    Object.fromEntries(presets.map(({ vendor, notes }) => [`vendor.${vendor}`, notes])),
  );
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
