// Tests of the choice of transports by browser, tile and user.
import assert from "node:assert/strict";
import { test } from "node:test";

import { load } from "./support/load.mjs";

const { optionsOf } = await load("player/choice.ts");

/** What a current browser can do on HTTPS. */
const ALL = {
  isSecure: true,
  webCodecs: true,
  webRtc: true,
  mse: true,
  hlsJs: true,
  nativeHls: false,
};
/** An older Apple phone. */
const OLD_PHONE = { ...ALL, webCodecs: false, mse: false, hlsJs: false, nativeHls: true };

/** Returns the options of a tile as objects. */
function options({ abilities = ALL, choice = "auto", isWall = false, offersWebRtc = true } = {}) {
  const { usable, others } = optionsOf({ abilities, choice, isWall, offersWebRtc });
  return { usable, others: Object.fromEntries(others) };
}

test("a single tile takes the transport with the lowest age", () => {
  assert.deepEqual(options().usable, ["webcodecs", "webrtc", "mse", "hls", "mjpeg"]);
  assert.deepEqual(options().others, { native: "browser" });
});

test("a wall does not take WebCodecs unless the user chooses it", () => {
  assert.deepEqual(options({ isWall: true }).usable, ["webrtc", "mse", "hls", "mjpeg"]);
  assert.equal(options({ isWall: true }).others.webcodecs, "wall");
  assert.deepEqual(options({ isWall: true, choice: "webcodecs" }).usable, ["webcodecs"]);
});

test("without HTTPS, a page takes what works without", () => {
  const abilities = { ...ALL, isSecure: false, webCodecs: false };
  assert.deepEqual(options({ abilities }).usable, ["webrtc", "mse", "hls", "mjpeg"]);
  assert.equal(options({ abilities }).others.webcodecs, "insecure");
});

test("WebRTC is used only if the service offers it", () => {
  assert.deepEqual(options({ offersWebRtc: false }).usable, ["webcodecs", "mse", "hls", "mjpeg"]);
  assert.equal(options({ offersWebRtc: false }).others.webrtc, "not_offered");
});

test("an older phone plays HLS itself", () => {
  assert.deepEqual(options({ abilities: OLD_PHONE }).usable, ["webrtc", "native", "mjpeg"]);
  assert.deepEqual(options({ abilities: OLD_PHONE, choice: "hls" }).usable, ["native"]);
});

test("a choice of the user excludes all others", () => {
  const { usable, others } = options({ choice: "mse" });
  assert.deepEqual(usable, ["mse"]);
  assert.equal(others.webcodecs, "not_chosen");
  assert.equal(others.hls, "not_chosen");
  assert.deepEqual(options({ abilities: OLD_PHONE, choice: "mse" }).usable, []);
});

test("there is a transport in every situation without a choice of the user", () => {
  const none = { isSecure: true, webCodecs: false, webRtc: false, mse: false, hlsJs: false };
  const abilities = { ...none, nativeHls: false };
  assert.deepEqual(options({ abilities }).usable, ["mjpeg"]);
  const withCodecs = { ...abilities, webCodecs: true };
  assert.deepEqual(options({ abilities: withCodecs, isWall: true }).usable, ["webcodecs", "mjpeg"]);
});
