// What hls.js is told. The benchmark in benches/latency reads low-latency.json too, so that it
// measures what the page does.
import Hls, {
  type HlsConfig,
  type Loader,
  type LoaderCallbacks,
  type LoaderConfiguration,
  type LoaderContext,
} from "hls.js/dist/hls.light.min.mjs";

import LOW_LATENCY from "./low-latency.json";

/** Tags that make a player wait for parts. */
const LOW_LATENCY_TAGS =
  /^#EXT-X-(SERVER-CONTROL|PART-INF|PART|PRELOAD-HINT|RENDITION-REPORT):.*\n/gm;
/** Segments behind the newest one. Two of two seconds; hls.js keeps three otherwise. */
const PLAIN_SYNC_SEGMENTS = 2;
/** Live only: what was seen is of no use, and a wall has many players. Seconds. */
const BACK_BUFFER = 10;

type Callbacks = LoaderCallbacks<LoaderContext>;
type PlainLoader = new (config: HlsConfig) => Loader<LoaderContext>;

const XhrLoader = Hls.DefaultConfig.loader as PlainLoader;

/**
 * Makes of a low-latency playlist one without. `lowLatencyMode: false` alone is not enough: hls.js
 * leaves the parts alone then, but its reloads still wait at the server, each for the next segment,
 * and hold a connection all the time.
 */
class PlainPlaylistLoader extends XhrLoader {
  override load(context: LoaderContext, config: LoaderConfiguration, callbacks: Callbacks): void {
    const onSuccess: Callbacks["onSuccess"] = (response, ...rest) => {
      if (typeof response.data === "string") {
        response.data = response.data.replace(LOW_LATENCY_TAGS, "");
      }
      callbacks.onSuccess(response, ...rest);
    };
    super.load(context, config, { ...callbacks, onSuccess });
  }
}

/**
 * hls.js plays low latency by itself; a stall shall not make it stay behind for good. The first
 * segment is loaded while the video element gets ready, and no worker has to start first: there is
 * nothing to convert.
 */
export function settings(isLowLatency: boolean): Partial<HlsConfig> {
  const common = { ...LOW_LATENCY, backBufferLength: BACK_BUFFER };
  if (isLowLatency) {
    return common;
  }
  return {
    ...common,
    lowLatencyMode: false,
    liveSyncDurationCount: PLAIN_SYNC_SEGMENTS,
    pLoader: PlainPlaylistLoader as unknown as NonNullable<HlsConfig["pLoader"]>,
  };
}
