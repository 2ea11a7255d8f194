// Plays one playlist of recordings in a video element.
import Hls, {
  type ErrorData,
  type HlsConfig,
  type LevelDetails,
  type RetryConfig,
} from "hls.js/dist/hls.min.mjs";

import { Problem } from "../../api/problem";
import { isUnplayable, MediaErrors, problemOfMedia } from "../../player/transports/hls-errors";
import type { Source } from "./source";
import { dateAt, endDate, type Place, placeOf, type Segment } from "./wall-clock";

/** Seconds of video that are kept behind the position, so that short steps back need no request. */
const BACK_BUFFER = 60;
/** Seconds of video that are loaded ahead of the position. */
const AHEAD = 30;
/**
 * The same while a picture is awaited: loading and appending further video would delay the decoding of the frames from
 * the keyframe to the picture.
 */
const AHEAD_OF_AWAITED = 0.1;
/** A browser that does not show the picture within this time, in milliseconds, may need more video. */
const AWAITED_MS = 1000;
/** Milliseconds to wait for the picture of a position, and for a picture whose video the service converts. */
const PICTURE_MS = 15_000;
const CONVERTED_PICTURE_MS = 60_000;
/** The service converts a segment in at most 30 s, and begins within 15 s. */
const CONVERTED_FIRST_BYTE_MS = 50_000;
/** Milliseconds after a seek after which no further picture is expected. */
const SAME_PICTURE_MS = 250;
/** The length of a frame in seconds, until it is known. */
const USUAL_FRAME = 1 / 25;
/** The longest time in seconds between two frames that one step crosses. */
const LONGEST_FRAME = 2;

/**
 * Settings of hls.js for recordings. Each request gets the current token, so a request that the service has rejected
 * is repeated after the session was renewed.
 */
export function settingsFor(source: Source, isConverted: boolean): Partial<HlsConfig> {
  const { fragLoadPolicy: usual } = Hls.DefaultConfig;
  const { errorRetry, maxTimeToFirstByteMs } = usual.default;
  return {
    fragLoadPolicy: {
      default: {
        ...usual.default,
        maxTimeToFirstByteMs: isConverted ? CONVERTED_FIRST_BYTE_MS : maxTimeToFirstByteMs,
        errorRetry: errorRetry && { ...errorRetry, shouldRetry: shouldRetrySegment },
      },
    },
    autoStartLoad: false,
    // The content security policy permits no worker, and fragmented MP4 need not be converted.
    enableWorker: false,
    xhrSetup: (xhr, address) => xhr.open("GET", source.current(address), true),
    backBufferLength: BACK_BUFFER,
    maxMaxBufferLength: AHEAD,
    // Requests the first segment while the browser still prepares the video element for the playlist.
    startFragPrefetch: true,
    // Recordings have no captions.
    enableWebVTT: false,
    enableCEA708Captions: false,
  };
}

/** Also repeats requests without a response and with a rejected token, which hls.js does not do. */
const shouldRetrySegment: NonNullable<RetryConfig["shouldRetry"]> = (
  retry,
  count,
  _,
  response,
  isUsual,
) =>
  isUsual ||
  (count < (retry?.maxNumRetry ?? 0) && (response?.code === 0 || response?.code === 401));

export class PlaylistPlayer {
  readonly video = document.createElement("video");
  /** Called when the playlist cannot be played any further. */
  onFailure: (error: Problem) => void = () => undefined;
  /** The time of the picture that is shown, as a position. */
  #pictureAt = 0;
  #frame = USUAL_FRAME;
  #details: LevelDetails | null = null;
  #hls: Hls;
  /** Ends when the awaited picture is late. */
  #lateTimer: ReturnType<typeof setTimeout> | undefined;
  #refused: (error: Problem) => void = () => undefined;
  #mediaErrors = new MediaErrors();
  /** Counts the playlists that were opened. */
  #opens = 0;
  #hasFailed = false;
  #isOver = false;

  /** Creates a player of playlists whose video the service converts or not. */
  constructor(
    private readonly source: Source,
    private readonly isConverted: boolean,
  ) {
    const { video } = this;
    video.muted = true;
    video.playsInline = true;
    video.disableRemotePlayback = true;
    this.#hls = new Hls(settingsFor(source, isConverted));
    this.#hls.on(Hls.Events.LEVEL_UPDATED, (_, { details }) => (this.#details = details));
    this.#hls.on(Hls.Events.ERROR, (_, error) => this.#onError(error));
    this.#hls.attachMedia(video);
    this.#watchPictures();
  }

  get segments(): readonly Segment[] {
    return this.#details?.fragments ?? [];
  }

  /** Whether the playlist is still being written. */
  get isGrowing(): boolean {
    return this.#details?.live ?? false;
  }

  /** The date of the end of the playlist; null before it is loaded. */
  get end(): number | null {
    return endDate(this.segments);
  }

  /** The date of the position; null before the playlist is loaded. */
  get date(): number | null {
    return dateAt(this.segments, this.video.currentTime);
  }

  /** Whether the video has a picture and can continue. */
  get isReady(): boolean {
    return this.video.readyState >= 3 && !this.video.seeking;
  }

  /** Whether the playlist cannot be played any further. The player can open another one. */
  get hasFailed(): boolean {
    return this.#hasFailed;
  }

  /** Returns the place of a date in this playlist; null if the playlist does not contain the date. */
  placeOf(date: number): Place | null {
    return placeOf(this.segments, date);
  }

  /**
   * Opens a playlist at a date, or at the first recording after it. Resolves when the picture is shown. Rejects with a
   * Problem.
   */
  async open(address: string, date: number): Promise<Place> {
    const hls = this.#hls;
    // If another playlist is being opened, that fails.
    this.#refused(new Problem(0, "interrupted"));
    this.#opens += 1;
    const open = this.#opens;
    this.#details = null;
    this.#hasFailed = false;
    const details = await new Promise<LevelDetails>((resolve, reject) => {
      this.#refused = reject;
      hls.once(Hls.Events.LEVEL_LOADED, (_, data) => resolve(data.details));
      hls.loadSource(address);
    });
    if (this.#isOver || open !== this.#opens) {
      throw new Problem(0, "interrupted");
    }
    this.#details = details;
    const first = details.fragments[0];
    const place = placeOf(details.fragments, date) ?? {
      position: first?.start ?? 0,
      date: first?.programDateTime ?? date,
    };
    const shown = this.#pictureOf(place.position);
    hls.startLoad(place.position);
    await shown;
    return place;
  }

  /** Seeks to a position. Resolves when its picture is shown. */
  async seek(position: number): Promise<void> {
    const shown = this.#pictureOf(position);
    this.video.currentTime = position;
    await shown;
  }

  /** Shows the next frame, or the previous one. Returns false if the playlist has no such frame. */
  async step(direction: 1 | -1): Promise<boolean> {
    this.video.pause();
    const before = this.#pictureAt;
    // The frame before another one is shown just before that one begins.
    let distance = direction > 0 ? this.#frame * 1.1 : -0.001;
    while (Math.abs(distance) < LONGEST_FRAME) {
      const target = before + distance;
      const last = this.segments.at(-1);
      if (target < 0 || !last || target >= last.start + last.duration) {
        return false;
      }
      await this.seek(target);
      await this.#newPicture(before);
      if (Math.abs(this.#pictureAt - before) > 0.0005) {
        this.#frame = Math.abs(this.#pictureAt - before);
        return true;
      }
      distance *= 1.5;
    }
    return false;
  }

  /** Stops loading. The player can open another playlist. */
  rest(): void {
    this.video.pause();
    this.#hls.stopLoad();
  }

  destroy(): void {
    this.#isOver = true;
    clearTimeout(this.#lateTimer);
    this.#hls.destroy();
    this.video.remove();
  }

  /** Resolves when the picture of a position is shown. Must be called before the video seeks. */
  #pictureOf(position: number): Promise<void> {
    const { video } = this;
    const loadFurther = this.#loadOnlyAwaited();
    return new Promise((resolve, reject) => {
      const ended = new AbortController();
      const settle = (action: () => void) => {
        clearTimeout(timer);
        loadFurther();
        ended.abort();
        action();
      };
      const timer = setTimeout(
        () => settle(() => reject(new Problem(0, "interrupted"))),
        this.isConverted ? CONVERTED_PICTURE_MS : PICTURE_MS,
      );
      this.#refused = (error) => settle(() => reject(error));
      let isShown = false;
      const check = () => {
        if (isShown && !video.seeking) {
          settle(resolve);
        }
      };
      const onPicture = (_: number, { mediaTime }: VideoFrameCallbackMetadata) => {
        const age = position - mediaTime;
        isShown = age > -0.001 && age < Math.max(1.5 * this.#frame, 0.05);
        check();
        if (!ended.signal.aborted) {
          video.requestVideoFrameCallback(onPicture);
        }
      };
      if ("requestVideoFrameCallback" in video) {
        video.requestVideoFrameCallback(onPicture);
      }
      const onSeeked = () => {
        check();
        // If the picture is the one that is shown already, the browser may present no further one.
        setTimeout(() => settle(resolve), SAME_PICTURE_MS);
      };
      (video as HTMLVideoElement).addEventListener("seeked", onSeeked, { signal: ended.signal });
      if (position === 0) {
        // Without a seek, the first picture is shown when there is data.
        (video as HTMLVideoElement).addEventListener("loadeddata", onSeeked, {
          signal: ended.signal,
        });
      }
    });
  }

  /** Loads no video after an awaited picture, until the returned function is called or the picture is late. */
  #loadOnlyAwaited(): () => void {
    const { config } = this.#hls;
    config.maxMaxBufferLength = AHEAD_OF_AWAITED;
    clearTimeout(this.#lateTimer);
    const loadFurther = () => {
      // Another picture may be awaited in the meantime.
      if (timer === this.#lateTimer) {
        clearTimeout(timer);
        config.maxMaxBufferLength = AHEAD;
      }
    };
    const timer = setTimeout(loadFurther, AWAITED_MS);
    this.#lateTimer = timer;
    return loadFurther;
  }

  /** Waits for a picture other than that of the time `before`, but not longer than the browser needs for one. */
  async #newPicture(before: number): Promise<void> {
    const until = performance.now() + SAME_PICTURE_MS;
    while (this.#pictureAt === before && performance.now() < until) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  #watchPictures(): void {
    const { video } = this;
    if (!("requestVideoFrameCallback" in video)) {
      return;
    }
    let [lastTime, lastCount] = [0, 0];
    const note = (_: number, { mediaTime, presentedFrames }: VideoFrameCallbackMetadata) => {
      const length = mediaTime - lastTime;
      if (presentedFrames === lastCount + 1 && length > 0.001 && length < 0.5 && !video.seeking) {
        this.#frame = length;
      }
      [lastTime, lastCount] = [mediaTime, presentedFrames];
      this.#pictureAt = mediaTime;
      if (!this.#isOver) {
        video.requestVideoFrameCallback(note);
      }
    };
    video.requestVideoFrameCallback(note);
  }

  #onError(error: ErrorData): void {
    const { response, fatal } = error;
    if (response?.code === 401) {
      // If the session cannot be replaced, a fatal error follows.
      this.source.renew().catch(() => undefined);
    }
    const isCodec = isUnplayable(error);
    if (!fatal && !isCodec) {
      return;
    }
    if (!isCodec && this.#mediaErrors.canRecover(error)) {
      this.#hls.recoverMediaError();
      return;
    }
    const problem = isCodec ? new Problem(0, "codec_unsupported") : problemOfMedia(error);
    this.#hasFailed = true;
    this.#refused(problem);
    this.onFailure(problem);
  }
}
