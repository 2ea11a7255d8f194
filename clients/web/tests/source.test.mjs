// Tests of the modules that read attributes and tokens.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { load } from "../../../nginx/web/tests/support/load.mjs";

const { sourceOf } = await load("../../../clients/web/src/source.ts");
const { expiryOf, tokenIn } = await load("../../../clients/web/src/token.ts");

const BASE = "https://shop.example/orders/7";
const NOTHING = { src: null, server: null, camera: null, token: null };

test("the attributes server, camera and token name a stream", () => {
  const attributes = { ...NOTHING, server: "https://video.example/cams/", camera: "gate" };
  const expected = { server: "https://video.example/cams", camera: "gate", profile: null };
  assert.deepEqual(sourceOf(attributes, BASE), { ...expected, token: null });
  assert.deepEqual(sourceOf({ ...attributes, token: "a.b.c" }, BASE), {
    ...expected,
    token: "a.b.c",
  });
});

test("the address of a stream names the service, the token and the camera", () => {
  const src = "https://video.example/cams/play/a.b.c/gate~sub/stream.m3u8";
  const found = { server: "https://video.example/cams", token: "a.b.c", camera: "gate" };
  assert.deepEqual(sourceOf({ ...NOTHING, src }, BASE), { ...found, profile: "sub" });
  const other = { ...NOTHING, src, camera: "yard", token: "d.e.f" };
  assert.deepEqual(sourceOf(other, BASE), {
    ...found,
    camera: "yard",
    token: "d.e.f",
    profile: null,
  });
  assert.deepEqual(sourceOf({ ...NOTHING, src: "/streams/gate/index.m3u8" }, BASE), {
    server: "https://shop.example",
    camera: "gate",
    token: null,
    profile: null,
  });
});

test("attributes without a camera or with an invalid address name nothing", () => {
  const camera = "gate";
  for (const attributes of [
    {},
    { server: "https://video.example" },
    { src: "https://video.example", camera: "../admin" },
    { server: "https://", camera },
    { server: "javascript:alert(1)", camera },
  ]) {
    assert.equal(sourceOf({ ...NOTHING, ...attributes }, BASE), null);
  }
});

test("the expiry of a token is read from its claims", () => {
  const tokenOf = (claims) => `e30.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.x`;
  assert.equal(expiryOf(tokenOf({ exp: 1_795_257_000, sub: "Łukasz?>" })), 1_795_257_000_000);
  for (const token of [
    "",
    "wrong",
    "a.b.c",
    tokenOf({}),
    tokenOf({ exp: "soon" }),
    tokenOf(null),
  ]) {
    assert.equal(expiryOf(token), null);
  }
});

test("a token can be part of the address of a stream", () => {
  assert.equal(tokenIn("a.b.c"), "a.b.c");
  assert.equal(tokenIn("https://video.example/play/a.b.c/gate/stream.m3u8"), "a.b.c");
  assert.equal(tokenIn("/play/a.b.c/gate/stream.m3u8"), "a.b.c");
});

test("the package has the version of the project", () => {
  const read = (path) => readFileSync(new URL(path, import.meta.url), "utf8");
  const [, version] = /^version = "(.+)"$/m.exec(read("../../../Cargo.toml"));
  assert.equal(JSON.parse(read("../package.json")).version, version);
});
