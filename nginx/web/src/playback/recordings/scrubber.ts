// Shows single keyframes of a stream while the viewer searches, with the keyframe player of hls.js.
import Hls, { type HlsIFramesOnly } from "hls.js/dist/hls.min.mjs";

import { settingsFor } from "./playlist-player";
import type { Recording } from "./recorded-player";
import { CONVERTED, cameraOf, queryFor, type Source } from "./source";
import { keyframeOf, placeOf, type Segment } from "./wall-clock";

/** The API's longest playlist in milliseconds. */
const PLAYLIST_MS = 2 * 3600 * 1000;
/** Bytes of keyframes that are kept, so that searching back needs no requests. */
const CACHE_BYTES = 24 * 1024 * 1024;
/** The number of dates that can wait. If there are more, the oldest ones are left out. */
const MAX_WAITING = 3;
/** A keyframe that is not shown after this time is requested again, in milliseconds. */
const REPEAT_MS = 250;
const MAX_REPEATS = 4;

export class Scrubber {
  readonly video = document.createElement("video");
  /** Called when the keyframe for a date is shown. */
  onShown: (date: number) => void = () => undefined;
  #parent: Hls | null = null;
  #frames: HlsIFramesOnly | null = null;
  #segments: readonly Segment[] = [];
  /** The dates between which the playlist was requested. */
  #range: [number, number] = [0, 0];
  /** The dates whose keyframes are wanted, the next one first. */
  #wanted: number[] = [];
  /** The date whose keyframe was requested last; null if none is shown. */
  #shown: number | null = null;
  /** Counts the calls of `hide`. A keyframe that was requested before such a call must not appear. */
  #hides = 0;
  #isBusy = false;
  #isOver = false;

  constructor(
    private readonly source: Source,
    private readonly recording: Recording,
    box: HTMLElement,
  ) {
    const { video } = this;
    video.muted = true;
    video.playsInline = true;
    video.disableRemotePlayback = true;
    video.className = "scrubbed";
    box.append(video);
  }

  /** Shows the keyframe at or before a date. While one is being loaded, the latest requests wait. */
  show(date: number): void {
    const last = this.#wanted.at(-1) ?? this.#shown;
    if (last !== null && this.#keyframeAt(last) === this.#keyframeAt(date)) {
      return;
    }
    this.#wanted = [...this.#wanted.slice(1 - MAX_WAITING), date];
    if (!this.#isBusy) {
      this.#isBusy = true;
      void this.#work().finally(() => (this.#isBusy = false));
    }
  }

  /** Loads the playlist around a date. */
  async prepare(date: number): Promise<void> {
    if (!this.#covers(date)) {
      await this.#open(date);
    }
  }

  hide(): void {
    this.#wanted = [];
    this.#shown = null;
    this.#hides += 1;
    this.video.classList.remove("shown");
  }

  destroy(): void {
    this.#isOver = true;
    this.#parent?.destroy();
    this.video.remove();
  }

  #covers(date: number): boolean {
    const [from, to] = this.#range;
    return this.#frames !== null && date >= from && date < to;
  }

  async #work(): Promise<void> {
    while (!this.#isOver) {
      const date = this.#wanted.shift();
      if (date === undefined) {
        return;
      }
      const hides = this.#hides;
      try {
        this.#shown = date;
        await this.prepare(date);
        if ((await this.#load(date)) && hides === this.#hides) {
          this.video.classList.add("shown");
          this.onShown(date);
        }
      } catch {
        // Nothing was recorded at this time. The picture before stays.
      }
    }
  }

  /** Returns the position of the keyframe at or before a date; the date itself if the playlist does not contain it. */
  #keyframeAt(date: number): number {
    const place = this.#covers(date) ? placeOf(this.#segments, date) : null;
    return place === null ? date : keyframeOf(this.#segments, place.position);
  }

  /** Loads a keyframe. Returns whether it is shown. */
  async #load(date: number): Promise<boolean> {
    const place = placeOf(this.#segments, date);
    if (!place || !this.#frames) {
      return false;
    }
    for (let attempt = 0; attempt <= MAX_REPEATS && !this.#isOver; attempt += 1) {
      const shown = this.#nextPicture();
      // A little after the beginning of the keyframe, so that rounding does not lead to the one before.
      this.#frames.loadMediaAt(place.position + (attempt === 0 ? 0 : 0.001));
      if (await shown) {
        return true;
      }
    }
    return false;
  }

  #nextPicture(): Promise<boolean> {
    const { video } = this;
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), REPEAT_MS);
      const done = () => {
        clearTimeout(timer);
        resolve(true);
      };
      if ("requestVideoFrameCallback" in video) {
        video.requestVideoFrameCallback(done);
      }
      video.addEventListener("seeked", () => requestAnimationFrame(done), { once: true });
    });
  }

  async #open(date: number): Promise<void> {
    const from = Math.max(0, date - PLAYLIST_MS / 2);
    const to = from + PLAYLIST_MS;
    this.#parent?.destroy();
    this.#frames = null;
    const { stream, isConverted } = this.recording;
    await this.source.ready(cameraOf(stream));
    const parent = new Hls(settingsFor(this.source, isConverted));
    this.#parent = parent;
    const query = { ...queryFor(this.source, from, to), ...(isConverted ? CONVERTED : {}) };
    await new Promise<void>((resolve, reject) => {
      parent.once(Hls.Events.MANIFEST_PARSED, () => resolve());
      parent.on(Hls.Events.ERROR, (_, { fatal, details }) => fatal && reject(new Error(details)));
      parent.loadSource(this.source.addressOf(stream, "index.m3u8", query));
    });
    const frames = parent.createIFramePlayer({ iframeCacheLimit: CACHE_BYTES });
    if (!frames) {
      throw new Error("the playlist has no keyframes");
    }
    frames.attachMedia(this.video);
    this.#segments = await new Promise<readonly Segment[]>((resolve, reject) => {
      frames.once(Hls.Events.LEVEL_LOADED, (_, { details }) => resolve(details.fragments));
      frames.on(Hls.Events.ERROR, (_, { fatal, details }) => fatal && reject(new Error(details)));
      frames.startLoad(0);
    });
    frames.stopLoad();
    this.#frames = frames;
    this.#range = [from, to];
  }
}
