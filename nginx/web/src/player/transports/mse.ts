// Plays the live socket's fragmented MP4 by Media Source Extensions, or by ManagedMediaSource on Apple phones.
import { BufferPace } from "../buffer-pace";
import { type Fragment, fragmentOf, type Tracks, tracksOf } from "../fragments";
import { applyTo } from "../sound";
import { AgeClock } from "../sync";
import type { Figures, Job, Reason, Transport, TransportEvents } from "../transport";
import { onFirstFrame } from "./first-frame";
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
/** Seconds that the video begins before the end of the buffer, in addition to the wanted amount of buffered video. */
const BEGIN_BEFORE_END = 0.04;
/**
 * On a slow line, the kept frames arrive over a longer time. If more than CATCH_UP seconds are buffered within
 * CATCH_UP_MS after the beginning, the video jumps to the end again, at most every CATCH_UP_EVERY_MS.
 */
const CATCH_UP = 0.5;
const CATCH_UP_MS = 3000;
const CATCH_UP_EVERY_MS = 300;
/** Seconds between the end of the buffer and the next frame that are closed, so that the video does not stop there. */
const MAX_HOLE = 0.12;
/** Seconds of played video that are kept, beside the group of pictures that is playing. */
const KEPT = 10;
/** A removal ends this many seconds before a keyframe, because browsers extend it to the next keyframe. */
const BEFORE_KEYFRAME = 0.05;

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
  /** Seconds that are added to the times of frames. */
  private offset = 0;
  /** The end of the video in the buffer, including frames that are still being appended. */
  private end: number | null = null;
  /** Seconds between two frames. */
  private interval = 0;
  /** Positions of the keyframes in the buffer. */
  private keyframes: number[] = [];
  /** The difference between the Unix time at which a frame was taken and its position, in milliseconds. */
  private takenOffset: number | null = null;
  private lastNumber = 0;

  constructor(
    private readonly job: Job,
    private readonly events: TransportEvents,
  ) {
    const Source = sourceClass() as SourceClass;
    this.source = new Source();
    this.hasAudio = job.sound.isOn;
    const target = job.isWall ? WALL_TARGET : TARGET;
    this.pace = new BufferPace(target + (this.hasAudio ? AUDIO_MARGIN : 0));
    this.element = job.screen.takeVideo();
    const codecs = CODECS.filter((codec) => Source.isTypeSupported(`video/mp4; codecs="${codec}"`));
    const listener = {
      media: (media: SocketMedia) => this.onMedia(media),
      data: (data: ArrayBuffer) => this.onData(data),
      gap: () => undefined,
    };
    const request = { format: "mp4", codecs, audio: this.hasAudio } as const;
    this.socket = new LiveSocket(job.key, request, listener, events);
  }

  get motion() {
    return this.element;
  }

  start(): void {
    const { element, source } = this;
    const { signal } = this.ended;
    source.addEventListener("sourceopen", () => this.onOpen(), { signal, once: true });
    element.addEventListener("waiting", () => this.burst || this.pace.stalled(performance.now()), {
      signal,
    });
    element.addEventListener("error", () => this.fail("codec"), { signal });
    onFirstFrame(element, signal, () => this.events.picture());
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
    return { age: this.burst ? null : age, rate: this.socket.meter.rate(now) };
  }

  private fail(reason: Reason): void {
    this.socket.fail({ reason });
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
    const onError = (isFull: boolean) => this.fail(isFull ? "too_slow" : "codec");
    this.queue = new BufferQueue(this.buffer, () => this.onAppended(), onError, this.ended.signal);
  }

  private onData(data: ArrayBuffer): void {
    if (!this.queue) {
      this.early.push(data);
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
    const { takenAt } = fragment;
    this.lastNumber = fragment.number;
    if (takenAt !== null) {
      this.clock.arrived(takenAt);
      this.socket.meter.received(now, data.byteLength, takenAt);
    }
    this.events.media();
    if (fragment.isVideo) {
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
  private place({ time, decodeTime, takenAt, isKeyframe }: Fragment, now: number): void {
    const end = this.end ?? decodeTime + this.offset;
    const distance = decodeTime + this.offset - end;
    if (Math.abs(distance) > MAX_HOLE) {
      this.shift(end - decodeTime);
    } else if (this.end !== null) {
      // The frame lasts until the next one, which is not known yet. So it counts as long as the one before.
      this.interval = Math.max(0, this.interval + distance);
    }
    if (this.burst === null) {
      this.pace.note(now, end - this.element.currentTime);
    }
    if (isKeyframe) {
      this.keyframes.push(time + this.offset);
    }
    if (takenAt !== null) {
      this.takenOffset = takenAt - (time + this.offset) * 1000;
    }
    this.end = decodeTime + this.offset + this.interval;
  }

  /** Changes the seconds that are added to the times of the frames that follow. */
  private shift(offset: number): void {
    this.flushBurst();
    this.offset = offset;
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
      this.element.play().catch((error) => this.onRefused(error));
    });
  }

  /** Without a user's action, browsers can refuse to play with sound. */
  private onRefused(error: unknown): void {
    if (error instanceof DOMException && error.name === "NotAllowedError") {
      this.element.muted = true;
      this.element.play().catch(() => undefined);
    }
  }

  /** Jumps if the kept frames continue to arrive after the beginning. */
  private catchUp(now: number): void {
    const ahead = (this.end ?? 0) - this.element.currentTime;
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
      const before = BEGIN_BEFORE_END + this.pace.wanted(now);
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
    if (element.paused && !element.ended) {
      element.play().catch(() => undefined);
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
