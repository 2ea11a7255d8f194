// Generates the types of the API, src/api/schema.ts, from docs/reference/openapi.json:
//
//   npm run types
//
// The generator supports the part of JSON Schema that the OpenAPI document uses. Other types are errors.
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath, pathToFileURL } from "node:url";

export const DOCUMENT = new URL("../../../docs/reference/openapi.json", import.meta.url);
export const TYPES = new URL("../src/api/schema.ts", import.meta.url);

const HEAD = `// Generated from docs/reference/openapi.json by \`npm run types\`. That document describes the fields.
`;
const SCALARS = {
  string: "string",
  integer: "number",
  number: "number",
  boolean: "boolean",
  null: "null",
};

/** Returns the TypeScript types for all schemas of an OpenAPI document. */
export function generate({ components: { schemas } }) {
  const types = Object.entries(schemas).map(
    ([name, schema]) => `export type ${name} = ${typeOf(schema, name)};\n`,
  );
  return [HEAD, ...types].join("\n");
}

function typeOf(schema, place) {
  if (schema.$ref) {
    return schema.$ref.replace("#/components/schemas/", "");
  }
  if (schema.enum) {
    return union(schema.enum.map((value) => JSON.stringify(value)));
  }
  if (schema.allOf) {
    return schema.allOf.map((part) => enclosed(typeOf(part, place))).join(" & ");
  }
  const choices = schema.oneOf ?? schema.anyOf;
  if (choices) {
    const types = choices
      .filter((choice) => !isEmpty(choice))
      .map((choice) => typeOf(choice, place));
    // If one choice is an empty object, the fields of the other choices are optional.
    return types.length < choices.length ? `Partial<${union(types)}>` : union(types);
  }
  return union([schema.type].flat().map((type) => simple(schema, type, place)));
}

function simple(schema, type, place) {
  if (type === "object") {
    return object(schema, place);
  }
  if (type === "array") {
    return `${enclosed(typeOf(schema.items, place))}[]`;
  }
  if (!SCALARS[type]) {
    throw new Error(`${place} has the unknown type ${type}`);
  }
  return SCALARS[type];
}

function object({ properties = {}, required = [], additionalProperties }, place) {
  const fields = Object.entries(properties).map(([name, schema]) => {
    const optional = required.includes(name) ? "" : "?";
    return `  ${name}${optional}: ${typeOf(schema, `${place}.${name}`).replaceAll("\n", "\n  ")};\n`;
  });
  if (additionalProperties && typeof additionalProperties === "object") {
    fields.push(`  [name: string]: ${typeOf(additionalProperties, place)};\n`);
  }
  return fields.length > 0 ? `{\n${fields.join("")}}` : "Record<string, unknown>";
}

function isEmpty({ type, properties }) {
  return type === "object" && !properties;
}

function union(types) {
  return [...new Set(types)].join(" | ");
}

function enclosed(type) {
  return type.includes(" | ") && !type.startsWith("{") ? `(${type})` : type;
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  writeFileSync(fileURLToPath(TYPES), generate(JSON.parse(readFileSync(DOCUMENT, "utf8"))));
}
