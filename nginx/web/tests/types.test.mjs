// Tests of the generated API types. A test of the manager checks that the OpenAPI document matches the
// code.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { DOCUMENT, generate, TYPES } from "../tools/api-types.mjs";

test("src/api/schema.ts is up to date (if not, run: npm run types)", () => {
  const document = JSON.parse(readFileSync(DOCUMENT, "utf8"));
  assert.equal(readFileSync(TYPES, "utf8"), generate(document));
});

test("schemas are converted to TypeScript types", () => {
  const schemas = {
    Known: { type: "object", required: ["at"], properties: { at: { type: "string" } } },
    Kind: { type: "string", enum: ["one", "two"] },
    Response: {
      allOf: [
        { anyOf: [{ $ref: "#/components/schemas/Known" }, { type: "object" }] },
        {
          type: "object",
          properties: {
            kinds: { type: "array", items: { enum: ["one", "two"] } },
            size: { type: ["integer", "null"] },
            known: { oneOf: [{ $ref: "#/components/schemas/Known" }, { type: "null" }] },
          },
        },
      ],
    },
  };
  const [, known, kind, response] = generate({ components: { schemas } }).split("\nexport type ");
  assert.equal(known, "Known = {\n  at: string;\n};\n");
  assert.equal(kind, 'Kind = "one" | "two";\n');
  assert.equal(
    response,
    'Response = Partial<Known> & {\n  kinds?: ("one" | "two")[];\n  size?: number | null;\n' +
      "  known?: Known | null;\n};\n",
  );
});

test("a schema of an unknown type is rejected", () => {
  const schemas = { Odd: { type: "object", properties: { odd: { type: "tuple" } } } };
  assert.throws(() => generate({ components: { schemas } }), /Odd\.odd has the unknown type tuple/);
});
