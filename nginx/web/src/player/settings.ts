// Settings of hls.js. The benchmark in benches/latency also reads low-latency.json, so that it measures
// the page's settings.
import Hls, {
  type FragmentLoaderContext,
  type HlsConfig,
  type Loader,
  type LoaderCallbacks,
  type LoaderConfiguration,
  type LoaderContext,
} from "hls.js/dist/hls.light.min.mjs";

import type { LineMeter } from "./line";
import LOW_LATENCY from "./low-latency.json";

/** Playlist tags that make a player load parts and wait for them. */
const LOW_LATENCY_TAGS =
  /^#EXT-X-(SERVER-CONTROL|PART-INF|PART|PRELOAD-HINT|RENDITION-REPORT):.*\n/gm;
/**
 * Latency without low-latency mode, as a number of segments. A segment lasts 2 s by default. The default of
 * hls.js is three segments.
 */
const PLAIN_SYNC_SEGMENTS = 2;

type Callbacks = LoaderCallbacks<LoaderContext>;
type LoaderClass = new (config: HlsConfig) => Loader<LoaderContext>;

const XhrLoader = Hls.DefaultConfig.loader as LoaderClass;

/**
 * A loader that turns a low-latency playlist into a plain playlist. `lowLatencyMode: false` is not enough. With
 * it, hls.js ignores the parts, but its playlist requests still wait at the server for the next segment, and
 * permanently occupy a connection.
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

/** Returns a loader class that reports each transfer of media to the meter. */
function measuredBy(meter: LineMeter): LoaderClass {
  return class extends XhrLoader {
    override load(context: LoaderContext, config: LoaderConfiguration, callbacks: Callbacks): void {
      const { part, frag } = context as FragmentLoaderContext;
      const { stats } = this;
      const onError: Callbacks["onError"] = (...args) => {
        meter.remove(stats);
        callbacks.onError(...args);
      };
      const onTimeout: Callbacks["onTimeout"] = (...args) => {
        meter.remove(stats);
        callbacks.onTimeout(...args);
      };
      meter.add(stats, (part ?? frag).duration);
      super.load(context, config, { ...callbacks, onError, onTimeout });
    }
  };
}

/**
 * Returns the settings of hls.js. low-latency.json has these effects: hls.js loads parts; a stall does not increase
 * the target latency; the first segment is loaded while the video element is being prepared; and no worker is
 * started, because fragmented MP4 need not be converted. Without low latency, hls.js does not load parts. With these
 * settings, hls.js itself never removes played video; see BackBuffer.
 */
export function settings(isLowLatency: boolean, meter: LineMeter): Partial<HlsConfig> {
  const common = {
    ...LOW_LATENCY,
    backBufferLength: Infinity,
    fLoader: measuredBy(meter) as unknown as NonNullable<HlsConfig["fLoader"]>,
  };
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
