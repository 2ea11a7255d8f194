// Plays the recordings of one stream by date, across playlists and gaps.
import { signal } from "@preact/signals-core";

import { Problem } from "../../api/problem";
import type { Timeline } from "../../api/types";
import { Attempts, isTemporary } from "./attempts";
import { PlaylistPlayer } from "./playlist-player";
import { CONVERTED, cameraOf, queryFor, readFile, type Source } from "./source";

/** The API's longest playlist in milliseconds. */
const PLAYLIST_MS = 2 * 3600 * 1000;
/** The part of a playlist before the requested date, so that steps back need no further playlist. */
const BEFORE_MS = PLAYLIST_MS / 4;
/** The next playlist is requested this many seconds of playing before the end of the current one. */
const AHEAD_SECONDS = 20;
/** The time in which the next recording after a gap is searched: the API's limit. */
const SEARCH_MS = 31 * 24 * 3600 * 1000;
/** Less than this before the end of what can be requested, in milliseconds, there is nothing more to play. */
const MIN_LENGTH_MS = 1000;
/** A pause in the dates that is longer than this is a gap, in milliseconds. */
export const GAP_MS = 1500;

/** What a player plays. */
export interface Recording {
  stream: string;
  /** Whether the service converts the video to H.264, because the browser cannot play it. */
  isConverted: boolean;
}

export type RecordedState =
  /** A picture is being loaded. */
  | "loading"
  /** The picture of the date is shown. */
  | "ready"
  /** Nothing was recorded at the date. The next recording is ready. */
  | "gap"
  /** All recordings up to the end were played, or the last picture was requested. */
  | "end"
  /** Nothing was recorded at the requested date, nor later. If there is a picture, it is that of another date. */
  | "none"
  /** The recordings cannot be played. */
  | "failed";

/** Returns the state after a seek to a date, which has led to the picture of the date `shown`. */
function stateOf(date: number, shown: number | null): RecordedState {
  if (shown === null) {
    return "none";
  }
  return shown > date + GAP_MS ? "gap" : "ready";
}

export class RecordedPlayer {
  readonly state = signal<RecordedState>("loading");
  readonly problem = signal<Problem | null>(null);
  /** The video that is shown. */
  readonly video = signal<HTMLVideoElement | null>(null);
  #current: PlaylistPlayer;
  /** A player that opens the next playlist while the current one is shown. */
  #spare: PlaylistPlayer | null = null;
  /** The date of the beginning of the playlist that the spare player has opened; null if it has opened none. */
  #nextAt: number | null = null;
  #isOpeningNext = false;
  #openings = new Attempts();
  #retries = new Attempts();
  /** Counts seeks. A seek that is not the latest one has no effect. */
  #seeks = 0;
  #isSeeking = false;
  /** The date of the latest seek. */
  #sought = 0;
  #isPlaying = false;
  #rate = 1;
  #isMuted = true;
  #volume = 1;

  constructor(
    private readonly source: Source,
    readonly recording: Recording,
    private readonly box: HTMLElement,
  ) {
    this.#current = this.#create();
  }

  /** The date of the picture; null before the first one. */
  get date(): number | null {
    return this.video.value ? this.#current.date : null;
  }

  get isReady(): boolean {
    return this.state.value === "ready" && this.#current.isReady;
  }

  /** Whether the picture of another date is being loaded. */
  get isSeeking(): boolean {
    return this.#isSeeking;
  }

  /** Whether all recordings up to now were played, or a date just after them was requested, and further ones may follow. */
  get isWaitingForMore(): boolean {
    const state = this.state.value;
    const mayFollow = state === "end" || (state === "none" && this.#sought <= Date.now());
    return mayFollow && this.#current.isGrowing;
  }

  /** Whether the player has failed, but can succeed later. */
  get willRetry(): boolean {
    return this.state.value === "failed" && isTemporary(this.problem.value);
  }

  /** Whether a seek should be tried again now. */
  get isRetryDue(): boolean {
    return this.willRetry && this.#retries.isDue;
  }

  /** The dates of the beginning and the end of the loaded playlist; null before it is loaded. */
  get loaded(): [number, number] | null {
    const begin = this.#current.segments[0]?.programDateTime;
    const end = this.#current.end;
    return begin == null || end == null ? null : [begin, end];
  }

  /**
   * Shows the picture of a date. If nothing was recorded then, prepares the next recording. Returns the date of the
   * picture; null without a picture, or if another seek has begun.
   */
  async seek(date: number): Promise<number | null> {
    this.#seeks += 1;
    const seek = this.#seeks;
    this.#sought = date;
    this.problem.value = null;
    if (this.state.value === "failed") {
      this.state.value = "loading";
    }
    this.#isSeeking = true;
    try {
      const shown = await this.#show(date, seek);
      if (seek !== this.#seeks) {
        return null;
      }
      this.state.value = stateOf(date, shown);
      this.#apply();
      return shown;
    } catch (error) {
      if (seek === this.#seeks) {
        this.#fail(error);
      }
      return null;
    } finally {
      this.#isSeeking &&= seek !== this.#seeks;
    }
  }

  setPlaying(isPlaying: boolean): void {
    this.#isPlaying = isPlaying;
    this.#apply();
  }

  setRate(rate: number): void {
    this.#rate = rate;
    this.#apply();
  }

  setSound(isMuted: boolean, volume: number): void {
    this.#isMuted = isMuted;
    this.#volume = volume;
    this.#apply();
  }

  /** Shows the next frame or the previous one, also across the end of a playlist. */
  async step(direction: 1 | -1): Promise<void> {
    this.#seeks += 1;
    const { date } = this;
    if (!(await this.#current.step(direction)) && date !== null) {
      await this.seek(date + direction * 100);
    }
  }

  /** Marks the date as one at which nothing was recorded, until the next seek. */
  wait(): void {
    this.state.value = "gap";
    this.#apply();
  }

  /** Leaves the gap: the date of the picture has come. */
  resume(): void {
    this.state.value = "ready";
    this.#apply();
  }

  /** Prepares the next playlist in time, and continues with it. Must be called several times per second. */
  keep(): void {
    const { end, date, isGrowing, video } = this.#current;
    // A seek may need the spare player, too.
    if (end === null || date === null || this.#isSeeking || this.state.value === "failed") {
      return;
    }
    const isAtEnd = video.ended || end - date < 50;
    if (isGrowing) {
      this.#keepGrowing(end, isAtEnd);
      return;
    }
    if ((end - date) / 1000 < AHEAD_SECONDS * Math.max(1, this.#rate)) {
      void this.#openNext(end);
    }
    if (this.#isPlaying && isAtEnd && this.state.value === "ready") {
      this.#continue();
    }
  }

  /** Notes whether the playlist, which is still being written, has the pictures of the date. */
  #keepGrowing(end: number, isAtEnd: boolean): void {
    const { state } = this;
    if (state.value === "ready" && isAtEnd) {
      // The recording has stopped, or the playlist is about to grow.
      state.value = "end";
    } else if (state.value === "end" && !isAtEnd) {
      state.value = "ready";
    } else if (state.value === "none" && end > this.#sought) {
      void this.seek(this.#sought);
    }
  }

  destroy(): void {
    this.#seeks += 1;
    this.#current.destroy();
    this.#spare?.destroy();
  }

  #create(): PlaylistPlayer {
    const player = new PlaylistPlayer(this.source, this.recording.isConverted);
    player.onFailure = (error) => {
      if (player === this.#spare && Number.isFinite(this.#nextAt)) {
        this.#nextAt = null;
        this.#onNextFailure(error);
      } else if (player === this.#current && this.state.value !== "loading") {
        this.#fail(error);
      }
    };
    this.box.append(player.video);
    return player;
  }

  #fail(error: unknown): void {
    const problem = error instanceof Problem ? error : new Problem(0, "interrupted", String(error));
    // A failure during a seek is reported twice: to the seek, and as a failure of the player.
    if (problem !== this.problem.value) {
      this.#retries.failed();
    }
    this.problem.value = problem;
    this.state.value = "failed";
    this.#apply();
  }

  async #show(date: number, seek: number): Promise<number | null> {
    const place = this.#current.hasFailed ? null : this.#current.placeOf(date);
    if (place && this.video.value) {
      const { date: shown, position } = place;
      await this.#current.seek(position);
      return shown;
    }
    this.state.value = "loading";
    await this.source.ready(cameraOf(this.recording.stream));
    try {
      return await this.#open(date, Math.max(0, date - BEFORE_MS), seek);
    } catch (error) {
      if (!(error instanceof Problem) || error.code !== "no_recordings" || seek !== this.#seeks) {
        throw error;
      }
    }
    const next = await this.#nextRecorded(date);
    if (next === null || seek !== this.#seeks) {
      return null;
    }
    return this.#open(next, next, seek);
  }

  /** Opens a playlist in the spare player, and shows that player. Returns the date of the picture. */
  async #open(date: number, from: number, seek: number): Promise<number | null> {
    const spare = this.video.value ? this.#takeSpare() : this.#current;
    this.#nextAt = null;
    const place = await spare.open(this.#addressOf(from), date);
    if (seek !== this.#seeks) {
      return null;
    }
    if (place.date < date - GAP_MS) {
      // The playlist ends before the date.
      throw new Problem(404, "no_recordings");
    }
    this.#use(spare);
    return place.date;
  }

  #addressOf(from: number): string {
    const { stream, isConverted } = this.recording;
    const query = queryFor(this.source, from, from + PLAYLIST_MS);
    const more = isConverted ? CONVERTED : {};
    return this.source.addressOf(stream, "stream.m3u8", { ...query, ...more });
  }

  #takeSpare(): PlaylistPlayer {
    this.#spare ??= this.#create();
    return this.#spare;
  }

  #use(player: PlaylistPlayer): void {
    const before = this.#current;
    if (player !== before) {
      this.#current = player;
      this.#spare = before;
      before.rest();
      before.video.classList.remove("shown");
    }
    player.video.classList.add("shown");
    this.video.value = player.video;
  }

  async #openNext(end: number): Promise<void> {
    if (this.#nextAt !== null || this.#isOpeningNext || !this.#openings.isDue) {
      return;
    }
    this.#isOpeningNext = true;
    const seek = this.#seeks;
    try {
      const next = await this.#nextRecorded(end);
      if (seek !== this.#seeks) {
        return;
      }
      if (next === null) {
        this.#nextAt = Number.POSITIVE_INFINITY;
        return;
      }
      const spare = this.#takeSpare();
      const { date } = await spare.open(this.#addressOf(next), next);
      if (seek === this.#seeks) {
        this.#nextAt = date;
      }
    } catch (error) {
      if (seek === this.#seeks) {
        this.#onNextFailure(error);
      }
    } finally {
      this.#isOpeningNext = false;
    }
  }

  /** Tries again after a pause, unless the browser cannot play the next playlist. */
  #onNextFailure(error: unknown): void {
    if (error instanceof Problem && error.code === "codec_unsupported") {
      this.#fail(error);
    } else {
      this.#openings.failed();
    }
  }

  /** Continues with the next playlist, if it is open. */
  #continue(): void {
    if (this.#nextAt === Number.POSITIVE_INFINITY) {
      this.state.value = "end";
      return;
    }
    if (this.#nextAt === null || !this.#spare) {
      return;
    }
    this.#nextAt = null;
    this.#use(this.#spare);
    this.#apply();
  }

  /** Returns the first date from `date` on at which there is a recording; null if nothing was recorded since. */
  async #nextRecorded(date: number): Promise<number | null> {
    const { source } = this;
    const { stream } = this.recording;
    if (date > (source.limit?.to ?? Number.POSITIVE_INFINITY) - MIN_LENGTH_MS) {
      return null;
    }
    const query = queryFor(source, date, date + SEARCH_MS);
    const { spans, first, last } = await readFile<Timeline>(source, stream, "timeline.json", query);
    const next = spans.find(({ to }) => Date.parse(to) > date + 1);
    if (next) {
      return Math.max(date, Date.parse(next.from));
    }
    const later = Math.max(date + SEARCH_MS, Date.parse(first ?? last ?? ""));
    return last && Date.parse(last) > later ? this.#nextRecorded(later) : null;
  }

  #apply(): void {
    const { video } = this.#current;
    video.muted = this.#isMuted;
    video.volume = this.#volume;
    video.defaultPlaybackRate = this.#rate;
    if (video.playbackRate !== this.#rate) {
      video.playbackRate = this.#rate;
    }
    const plays = this.#isPlaying && !["gap", "none", "failed"].includes(this.state.value);
    if (plays && video.paused && !video.ended) {
      // The browser refuses to play sound before the user has clicked.
      video.play().catch(() => undefined);
    } else if (!plays && !video.paused) {
      video.pause();
    }
  }
}
