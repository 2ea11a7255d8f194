// Finds out what the browser can do.
import { type Abilities, type Choice, type Options, optionsOf } from "./choice";
import type { Host } from "./host";
import { sourceClass } from "./transports/mse";

const HLS_TYPE = "application/vnd.apple.mpegurl";
const USUAL_CODEC = 'video/mp4; codecs="avc1.640029"';

interface Tile {
  choice: Choice;
  isWall: boolean;
}

function findAbilities(): Abilities {
  const mse = sourceClass()?.isTypeSupported(USUAL_CODEC) ?? false;
  return {
    isSecure: globalThis.isSecureContext,
    webCodecs: "VideoDecoder" in globalThis && "EncodedVideoChunk" in globalThis,
    webRtc: "RTCPeerConnection" in globalThis,
    mse,
    // hls.js needs the same interfaces. It is not asked, because it may not be loaded yet.
    hlsJs: mse,
    nativeHls: document.createElement("video").canPlayType(HLS_TYPE) !== "",
  };
}

/** Returns the options of a tile in this browser. */
export function optionsFor({ choice, isWall }: Tile, { webRtcOffered }: Host): Options {
  return optionsOf({
    abilities: findAbilities(),
    offersWebRtc: webRtcOffered.peek(),
    choice,
    isWall,
  });
}

/** Returns the options of a tile when it is known what the service offers, or after a short time if there are any. */
export async function findOptions(tile: Tile, host: Host): Promise<Options> {
  await host.learnOffers();
  if (optionsFor(tile, host).usable.length === 0) {
    await host.learnOffers(true);
  }
  return optionsFor(tile, host);
}
