// Finds out what the browser can do.
import Hls from "hls.js/dist/hls.light.min.mjs";

import { type Abilities, type Choice, type Options, optionsOf } from "./choice";
import { learnOffers, offersWebRtc } from "./offers";
import { sourceClass } from "./transports/mse";

const HLS_TYPE = "application/vnd.apple.mpegurl";
const USUAL_CODEC = 'video/mp4; codecs="avc1.640029"';

function findAbilities(): Abilities {
  return {
    isSecure: globalThis.isSecureContext,
    webCodecs: "VideoDecoder" in globalThis && "EncodedVideoChunk" in globalThis,
    webRtc: "RTCPeerConnection" in globalThis,
    mse: sourceClass()?.isTypeSupported(USUAL_CODEC) ?? false,
    hlsJs: Hls.isSupported(),
    nativeHls: document.createElement("video").canPlayType(HLS_TYPE) !== "",
  };
}

/** Returns the options of a tile in this browser. */
export function optionsFor({ choice, isWall }: { choice: Choice; isWall: boolean }): Options {
  return optionsOf({
    abilities: findAbilities(),
    offersWebRtc: offersWebRtc(),
    choice,
    isWall,
  });
}

/** Returns the options of a tile when it is known what the service offers, or after a short time if there are any. */
export async function findOptions(tile: { choice: Choice; isWall: boolean }): Promise<Options> {
  await learnOffers();
  if (optionsFor(tile).usable.length === 0) {
    await learnOffers(true);
  }
  return optionsFor(tile);
}
