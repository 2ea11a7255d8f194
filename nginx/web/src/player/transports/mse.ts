// Plays the live socket's fragmented MP4 by Media Source Extensions, or by ManagedMediaSource on Apple phones.
import { BufferPace } from "../buffer-pace";
import { type Fragment, fragmentOf, type Tracks, tracksOf } from "../fragments";
import { applyTo, play } from "../sound";
import { AgeClock } from "../sync";
import { Timeline } from "../timeline";
import type { Figures, Job, Reason, Transport, TransportEvents } from "../transport";
import { onFirstFrame } from "./first-frame";
import { isFullScreenOnPhone } from "./phone";
import { LiveSocket, type SocketMedia } from "./socket";
import { BufferQueue } from "./source-buffer";

/** Codecs that are offered to the service if the browser plays them. */
const CODECS = ["avc1.640029", "hvc1.1.6.L153.B0", "hev1.1.6.L153.B0", "mp4a.40.2", "opus"];
/**
 * Wanted lowest amount of buffered video, in seconds. A picture is about 60 ms older than that, because it waits for
 * the next one and for the decoder. With less on a wall, pictures stop several times a minute.
 */
const TARGET = 0.04;
const WALL_TARGET = 0.1;
/** Browsers stop video and audio when the audio runs out, and audio arrives less evenly. */
const AUDIO_MARGIN = 0.1;
/** The service sends the kept frames at once. If no frame has arrived for this time, the newest is known. */
const BURST_PAUSE_MS = 6;
const BURST_MAX_MS = 200;
/**
 * The video begins this many seconds, or one frame, before the end of the buffer, in addition to the wanted amount of
 * buffered video, because the next frame arrives only when the newest one has lasted.
 */
const BEGIN_BEFORE_END = 0.04;
/**
 * On a slow line, the kept frames arrive over a longer time. If more than CATCH_UP seconds are buffered within
 * CATCH_UP_MS after the beginning, the video jumps to the end again, at most every CATCH_UP_EVERY_MS.
 */
const CATCH_UP = 0.5;
const CATCH_UP_MS = 3000;
const CATCH_UP_EVERY_MS = 300;
/** Seconds of played video that are kept, beside the group of pictures that is playing. */
const KEPT = 10;
/** A removal ends this many seconds before a keyframe, because browsers extend it to the next keyframe. */
const BEFORE_KEYFRAME = 0.05;
/** More messages than this do not wait for the source, which never opens if the browser has suspended the page. */
const MAX_EARLY = 5000;

type SourceClass = typeof MediaSource;

/** Returns the class that plays fragmented MP4; undefined if the browser has none. */
export function sourceClass(): SourceClass | undefined {
  const { ManagedMediaSource } = globalThis as { ManagedMediaSource?: SourceClass };
  return globalThis.MediaSource ?? ManagedMediaSource;
}

export class MseTransport implements Transport {
  readonly name = "mse";
  readonly element: HTMLVideoElement;
  private readonly source: MediaSource;
  private readonly socket: LiveSocket;
  private readonly ended = new AbortController();
  private readonly clock = new AgeClock();
  private readonly pace: BufferPace;
  private readonly hasAudio: boolean;
  private queue: BufferQueue | null = null;
  private buffer: SourceBuffer | null = null;
  private mime = "";
  private hasPicture = false;
  /** Whether the media that arrives needs another MediaSource, and so another transport. */
  private isOutdated = false;
  private tracks: Tracks | null = null;
  /** Messages that have arrived before the source was open. */
  private early: ArrayBuffer[] = [];
  private isOpen = false;
  /** The frames of the burst at the beginning; null once the video plays. */
  private burst: ArrayBuffer[] | null = [];
  private burstAt = 0;
  /** The times at which the video began and jumped last. */
  private beganAt = 0;
  private jumpedAt = 0;
  private burstTimer: ReturnType<typeof setTimeout> | undefined;
  /** The video in the buffer, including frames that are still being appended. */
  private readonly timeline = new Timeline();
  /** Positions of the keyframes in the buffer. */
  private keyframes: number[] = [];
  /** The difference between the Unix time at which a frame was taken and its position, in milliseconds. */
  private takenOffset: number | null = null;
  /** The number of the newest frame of video. */
  private lastNumber = 0;

  constructor(
    private readonly job: Job,
    private readonly events: TransportEvents,
  ) {
    const Source = sourceClass() as SourceClass;
    this.source = new Source();
    this.hasAudio = job.sound.isOn;
    const target = job.isWall ? WALL_TARGET : TARGET;
    this.pace = new BufferPace(target + (this.hasAudio ? AUDIO_MARGIN : 0), this.hasAudio);
    this.element = job.screen.takeVideo();
    const codecs = CODECS.filter((codec) => Source.isTypeSupported(`video/mp4; codecs="${codec}"`));
    const listener = {
      media: (media: SocketMedia) => this.onMedia(media),
      data: (data: ArrayBuffer) => this.onData(data),
      gap: () => this.onGap(),
    };
    const request = { format: "mp4", codecs, audio: this.hasAudio } as const;
    this.socket = new LiveSocket(job, request, listener, events);
  }

  get motion() {
    return this.element;
  }

  get isSkipping(): boolean {
    return this.socket.isSkipping;
  }

  start(): void {
    const { element, source } = this;
    const { signal } = this.ended;
    source.addEventListener("sourceopen", () => this.onOpen(), { signal, once: true });
    element.addEventListener("waiting", () => this.burst || this.pace.stalled(performance.now()), {
      signal,
    });
    element.addEventListener("error", () => this.onBroken(), { signal });
    onFirstFrame(element, signal, () => {
      this.hasPicture = true;
      this.events.picture();
    });
    applyTo(element, this.job.sound);
    const url = URL.createObjectURL(source);
    element.src = url;
    signal.addEventListener("abort", () => URL.revokeObjectURL(url));
  }

  stop(): void {
    this.ended.abort();
    this.socket.close();
    clearTimeout(this.burstTimer);
  }

  applySound(): boolean {
    applyTo(this.element, this.job.sound);
    return this.hasAudio || !this.job.sound.isOn;
  }

  keepUp(): Figures {
    const now = performance.now();
    this.socket.check(now);
    if (this.burst === null) {
      this.adjust(now);
    }
    this.trim();
    const taken = this.takenOffset;
    const age = taken === null ? null : this.clock.age(this.element.currentTime * 1000 + taken);
    const { meter } = this.socket;
    const interval = Math.max(meter.interval, this.timeline.interval * 1000);
    return { age: this.burst ? null : age, rate: meter.rate(now), interval };
  }

  private fail(reason: Reason): void {
    this.socket.fail({ reason });
  }

  /** Handles an error of the decoder. A decoder that has shown pictures of the stream can usually play it. */
  private onBroken(): void {
    this.fail(this.hasPicture ? "stalled" : "codec");
  }

  /** Frames are missing. Until the next keyframe, shows the newest picture that there is. */
  private onGap(): void {
    if (this.burst && this.burst.length > 0) {
      clearTimeout(this.burstTimer);
      this.begin();
    }
  }

  private onOpen(): void {
    this.isOpen = true;
    // An endless duration marks the video as live, so that Chromium does not fill a buffer before it begins.
    this.source.duration = Number.POSITIVE_INFINITY;
    if (this.mime) {
      this.applyType();
    }
    for (const data of this.early.splice(0)) {
      this.onData(data);
    }
  }

  private onMedia({ mime }: SocketMedia): void {
    const Source = sourceClass();
    if (typeof mime !== "string" || !Source?.isTypeSupported(mime)) {
      this.fail("codec");
      return;
    }
    const hasChanged = this.mime !== mime;
    if (this.mime && tracksIn(this.mime) !== tracksIn(mime)) {
      // A SourceBuffer takes no other set of tracks.
      this.isOutdated = true;
      this.events.renew();
      return;
    }
    this.mime = mime;
    if (this.isOpen && hasChanged) {
      this.applyType();
    }
  }

  /** Creates the SourceBuffer, or changes its type. */
  private applyType(): void {
    const { mime } = this;
    if (this.queue) {
      this.queue.afterwards(() => this.buffer?.changeType(mime));
      return;
    }
    try {
      this.buffer = this.source.addSourceBuffer(mime);
    } catch {
      this.fail("codec");
      return;
    }
    const onError = (isFull: boolean) => (isFull ? this.fail("too_slow") : this.onBroken());
    this.queue = new BufferQueue(this.buffer, () => this.onAppended(), onError, this.ended.signal);
  }

  private onData(data: ArrayBuffer): void {
    if (this.isOutdated) {
      return;
    }
    if (!this.queue) {
      this.early.push(data);
      if (this.early.length > MAX_EARLY) {
        this.fail("no_picture");
      }
      return;
    }
    const fragment = this.tracks && fragmentOf(data, this.tracks);
    if (fragment) {
      this.onFrame(data, fragment);
      return;
    }
    const tracks = tracksOf(data);
    if (tracks) {
      this.tracks = tracks;
      this.flushBurst();
      this.queue.append(data);
    }
  }

  private onFrame(data: ArrayBuffer, fragment: Fragment): void {
    const now = performance.now();
    const { takenAt, isVideo } = fragment;
    if (isVideo) {
      this.lastNumber = fragment.number;
    }
    if (takenAt !== null) {
      this.clock.arrived(takenAt);
      this.socket.meter.received(now, data.byteLength, takenAt, isVideo);
    }
    this.events.media();
    if (isVideo) {
      this.place(fragment, now);
    }
    if (this.burst) {
      this.burst.push(data);
      this.burstAt ||= now;
      clearTimeout(this.burstTimer);
      const wait = now - this.burstAt > BURST_MAX_MS ? 0 : BURST_PAUSE_MS;
      this.burstTimer = setTimeout(() => this.begin(), wait);
    } else {
      this.queue?.append(data);
      this.catchUp(now);
    }
  }

  /** Closes a hole or a jump of the times before the frame, and notes where the frame is in the buffer. */
  private place(fragment: Fragment, now: number): void {
    const { time, decodeTime, duration, takenAt, isKeyframe } = fragment;
    const { timeline } = this;
    if (this.burst === null && timeline.end !== null) {
      this.pace.note(now, timeline.end - this.element.currentTime);
    }
    if (timeline.add(decodeTime, duration)) {
      this.shift(timeline.offset);
    }
    const position = time + timeline.offset;
    if (isKeyframe) {
      this.keyframes.push(position);
    }
    if (takenAt !== null) {
      this.takenOffset = takenAt - position * 1000;
    }
  }

  /** Changes the seconds that are added to the times of the frames that follow. */
  private shift(offset: number): void {
    this.flushBurst();
    this.queue?.afterwards(() => {
      if (this.buffer) {
        this.buffer.timestampOffset = offset;
      }
    });
  }

  private flushBurst(): void {
    for (const data of this.burst?.splice(0) ?? []) {
      this.queue?.append(data);
    }
  }

  /** Begins to play at the end of the burst. */
  private begin(): void {
    this.flushBurst();
    this.queue?.afterwards(() => {
      this.burst = null;
      this.beganAt = performance.now();
      this.jump();
      this.resume();
    });
  }

  private resume(): void {
    play(this.element, this.job.sound, this.ended.signal);
  }

  /** Jumps if the kept frames continue to arrive after the beginning. */
  private catchUp(now: number): void {
    const { end, interval } = this.timeline;
    const ahead = (end ?? 0) - interval - this.element.currentTime;
    const isEarly = now - this.beganAt < CATCH_UP_MS;
    if (isEarly && ahead > CATCH_UP && now - this.jumpedAt > CATCH_UP_EVERY_MS) {
      this.jumpedAt = now;
      this.queue?.afterwards(() => this.jump());
    }
  }

  private jump(): void {
    const { buffered } = this.element;
    if (buffered.length > 0) {
      const end = buffered.end(buffered.length - 1);
      const now = performance.now();
      const before = Math.max(BEGIN_BEFORE_END, this.timeline.interval) + this.pace.wanted(now);
      this.element.currentTime = Math.max(buffered.start(buffered.length - 1), end - before);
      this.jumpedAt = now;
      this.pace.reset(now);
    }
  }

  private adjust(now: number): void {
    const { element } = this;
    const speed = this.pace.speed(now);
    if (speed === null) {
      this.jump();
    } else if (element.playbackRate !== speed) {
      element.playbackRate = speed;
    }
    if (element.paused && !element.ended && !isFullScreenOnPhone(element)) {
      this.resume();
    }
  }

  private onAppended(): void {
    this.socket.ack(this.lastNumber);
  }

  /** Removes played video, up to the newest keyframe that was played at least KEPT seconds ago. */
  private trim(): void {
    const limit = this.element.currentTime - KEPT;
    const key = this.keyframes.findLast((position) => position < limit);
    if (key === undefined || this.keyframes[0] === key) {
      return;
    }
    this.keyframes = this.keyframes.filter((position) => position >= key);
    this.queue?.afterwards(() => {
      if (key > BEFORE_KEYFRAME) {
        this.buffer?.remove(0, key - BEFORE_KEYFRAME);
      }
    });
  }
}

/** Returns the number of tracks of a MIME type. */
function tracksIn(mime: string): number {
  return mime.split(",").length;
}
