// Decodes the live socket's frames with WebCodecs, and draws each picture on a canvas as soon as it is decoded. Only if
// the network is uneven, pictures wait, so that they are shown evenly.
import { PictureQueue } from "../picture-queue";
import { type RawFrame, rawFrameOf } from "../raw-frames";
import { isHeard } from "../sound";
import { AgeClock } from "../sync";
import type { Figures, Job, Motion, Reason, Transport, TransportEvents } from "../transport";
import { audioCodecs } from "./audio-codecs";
import { AudioOutput } from "./audio-output";
import { LiveSocket, type SocketMedia, type WatchRequest } from "./socket";

const VIDEO_CODECS = ["avc1", "avc3", "hvc1", "hev1"];
/** If this many frames wait for the decoder after the beginning, frames are left out until the next keyframe. */
const MAX_WAITING = 25;
/** Decoders can drop frames, so frames are forgotten when this many newer ones are known. */
const MAX_KNOWN = 3000;
/** After this many such omissions within SLOW_WITHIN_MS, the computer is too slow for this transport. */
const MAX_OMISSIONS = 3;
const SLOW_WITHIN_MS = 30_000;

/**
 * On a network that loses packets, a frame arrives after one or several repetitions, and with it the frames behind it.
 * The losses of the last ten seconds, at 25 pictures per second, determine how long pictures wait.
 */
const SMOOTHNESS = { remembered: 250, inTime: 0.97, maxDepth: 150, minDepth: 60 };

/** A frame that is being decoded. */
type Known = Pick<RawFrame, "number" | "takenAt" | "isOld">;

/** A picture, and when it was taken; undefined if that is not known. */
interface Shown {
  frame: VideoFrame;
  takenAt: number | undefined;
}

export class WebCodecsTransport implements Transport {
  readonly name = "webcodecs";
  readonly element: HTMLCanvasElement;
  private readonly context: CanvasRenderingContext2D | null;
  private readonly socket: LiveSocket;
  private readonly clock = new AgeClock();
  private readonly hasAudio: boolean;
  /** Whether the browser can decode all audio that the service sends. */
  private hasAllCodecs = true;
  private isSoundless = false;
  private video: VideoDecoder | null = null;
  private audio: AudioDecoder | null = null;
  private output: AudioOutput | null = null;
  /** The frames that are being decoded, by timestamp. */
  private readonly known = new Map<number, Known>();
  private needsKeyframe = true;
  private lastNumber = 0;
  /** The number of the newest frame of video that the decoder has got. */
  private newest = 0;
  /** The newest decoded picture that was not shown, because a newer one was expected; null if each was shown. */
  private hidden: VideoFrame | null = null;
  /** The presentation time of the newest audio that is decoded but not played. */
  private silentUntil = Number.NEGATIVE_INFINITY;
  /** The pictures that wait until they are shown. */
  private readonly queue = new PictureQueue<Shown>(({ frame }) => frame.close(), SMOOTHNESS);
  private timer: ReturnType<typeof setTimeout> | undefined;
  private hasPicture = false;
  private shownAt: number | null = null;
  private position = 0;
  private omissions: number[] = [];
  private isStopped = false;

  constructor(
    private readonly job: Job,
    private readonly events: TransportEvents,
  ) {
    this.element = job.screen.takeCanvas();
    this.context = this.element.getContext("2d", { alpha: false, desynchronized: true });
    this.hasAudio = job.sound.isOn;
    const listener = {
      media: (media: SocketMedia) => this.onMedia(media),
      data: (data: ArrayBuffer) => this.onData(data),
      gap: () => this.onGap(),
    };
    this.socket = new LiveSocket(job, this.request(), listener, events);
  }

  private async request(): Promise<WatchRequest> {
    const { codecs, areAll } = this.hasAudio ? await audioCodecs() : { codecs: [], areAll: true };
    this.hasAllCodecs = areAll;
    return { format: "raw", codecs: [...VIDEO_CODECS, ...codecs], audio: this.hasAudio };
  }

  get motion(): Motion {
    return { currentTime: this.position, paused: false, seeking: false };
  }

  get isSkipping(): boolean {
    return this.socket.isSkipping;
  }

  start(): void {
    if (this.hasAudio) {
      this.output = new AudioOutput(this.job.sound.volume);
      this.applySound();
    }
  }

  stop(): void {
    this.isStopped = true;
    this.socket.close();
    closeDecoder(this.video);
    closeDecoder(this.audio);
    this.output?.close();
    this.forget();
  }

  applySound(): boolean {
    const { isOn } = this.job.sound;
    if (this.output) {
      this.output.sound = isHeard(this.job.sound);
    }
    return this.hasAudio || !isOn;
  }

  keepUp(): Figures {
    const now = performance.now();
    this.socket.check(now);
    const age = this.shownAt === null ? null : this.clock.age(this.shownAt);
    const { meter } = this.socket;
    const isSoundless = this.isSoundless && this.job.sound.isOn;
    return { age, rate: meter.rate(now), interval: meter.interval, isSoundless };
  }

  private fail(reason: Reason): void {
    this.socket.fail({ reason });
  }

  private onMedia({ video, audio }: SocketMedia): void {
    if (!video || typeof video.codec !== "string") {
      this.fail("codec");
      return;
    }
    // Without a description, frames are Annex B and carry their parameter sets, so a change of the size needs nothing.
    // Without `optimizeForLatency`, decoders keep a frame back.
    const config: VideoDecoderConfig = { codec: video.codec, optimizeForLatency: true };
    closeDecoder(this.video);
    this.forget();
    this.needsKeyframe = true;
    this.video = new VideoDecoder({
      output: (frame) => this.onPicture(frame),
      error: () => this.onBroken(),
    });
    try {
      this.video.configure(config);
    } catch {
      this.fail("codec");
    }
    VideoDecoder.isConfigSupported(config).then(
      ({ supported }) => supported || this.isStopped || this.fail("codec"),
      () => this.isStopped || this.fail("codec"),
    );
    this.configureAudio(audio);
  }

  /** Handles an error of the decoder. A decoder that has shown pictures of the stream can usually play it. */
  private onBroken(): void {
    this.fail(this.hasPicture ? "stalled" : "codec");
  }

  /** Forgets the frames that are being decoded. */
  private forget(): void {
    clearTimeout(this.timer);
    this.queue.restart();
    this.known.clear();
    this.hidden?.close();
    this.hidden = null;
    this.newest = 0;
    this.silentUntil = Number.NEGATIVE_INFINITY;
  }

  /** Frames are missing. Until the next keyframe, shows the newest picture that there is, even if it is old. */
  private onGap(): void {
    const { video } = this;
    this.needsKeyframe = true;
    this.lastNumber = 0;
    if (video?.state === "configured") {
      // If the decoder was closed in the meantime, the pictures are not needed.
      video.flush().then(
        () => this.video === video && this.reveal(),
        () => undefined,
      );
    }
  }

  private reveal(): void {
    const { hidden } = this;
    this.hidden = null;
    if (hidden && !this.isStopped) {
      this.showNow({ frame: hidden, takenAt: this.known.get(hidden.timestamp)?.takenAt });
    }
  }

  /** Sound that the browser cannot decode does not keep the picture from playing. */
  private onSoundless(): void {
    this.audio = null;
    if (!this.isStopped) {
      this.isSoundless = true;
      this.events.soundless();
    }
  }

  private configureAudio(audio: SocketMedia["audio"]): void {
    closeDecoder(this.audio);
    this.audio = null;
    this.isSoundless = false;
    if (!audio && !this.hasAllCodecs) {
      // The camera has no audio, or audio that the browser cannot decode. Another transport may have it.
      this.onSoundless();
    }
    if (!audio || !this.output) {
      return;
    }
    const { codec, sample_rate: sampleRate, channels: numberOfChannels, description } = audio;
    try {
      const decoder = new AudioDecoder({
        output: (data) => this.onSound(data),
        error: () => this.audio === decoder && this.onSoundless(),
      });
      this.audio = decoder;
      const config: AudioDecoderConfig = { codec, sampleRate, numberOfChannels };
      if (description) {
        config.description = Uint8Array.from(atob(description), (letter) => letter.charCodeAt(0));
      }
      decoder.configure(config);
    } catch {
      this.onSoundless();
    }
  }

  private onData(message: ArrayBuffer): void {
    const frame = rawFrameOf(message);
    if (!frame) {
      return;
    }
    const now = performance.now();
    this.clock.arrived(frame.takenAt);
    this.socket.meter.received(now, message.byteLength, frame.takenAt, frame.isVideo);
    this.events.media();
    // Decoders report no error for a missing frame, and show damaged pictures. So the numbers are checked.
    if (this.lastNumber > 0 && frame.number !== this.lastNumber + 1) {
      this.needsKeyframe = true;
    }
    this.lastNumber = frame.number;
    if (frame.isVideo) {
      this.decodeVideo(frame, now);
    } else {
      this.decodeAudio(frame);
    }
  }

  private decodeVideo(frame: RawFrame, now: number): void {
    const { video } = this;
    if (video?.state !== "configured") {
      return;
    }
    if (video.decodeQueueSize > MAX_WAITING && !frame.isOld && this.hasPicture) {
      this.omit(now);
    }
    if (this.needsKeyframe && !frame.isKeyframe) {
      this.socket.ack(frame.number);
      return;
    }
    this.needsKeyframe = false;
    const { number, takenAt, isOld, timestamp, data, isKeyframe } = frame;
    this.known.set(timestamp, { number, takenAt, isOld });
    this.newest = number;
    if (this.known.size > MAX_KNOWN) {
      this.known.delete(this.known.keys().next().value ?? 0);
    }
    const type = isKeyframe ? "key" : "delta";
    try {
      video.decode(new EncodedVideoChunk({ type, timestamp, data }));
    } catch {
      this.onBroken();
    }
  }

  /** Leaves out frames until the next keyframe. */
  private omit(now: number): void {
    if (this.needsKeyframe) {
      return;
    }
    this.needsKeyframe = true;
    this.omissions = this.omissions.filter((at) => now - at < SLOW_WITHIN_MS);
    this.omissions.push(now);
    if (this.omissions.length >= MAX_OMISSIONS) {
      this.fail("too_slow");
    }
  }

  private decodeAudio({ timestamp, data, isOld }: RawFrame): void {
    if (this.audio?.state === "configured") {
      if (isOld) {
        this.silentUntil = Math.max(this.silentUntil, timestamp);
      }
      try {
        this.audio.decode(new EncodedAudioChunk({ type: "key", timestamp, data }));
      } catch {
        this.onSoundless();
      }
    }
  }

  /** Plays decoded audio. Old audio was decoded only because the decoder needs the audio before. */
  private onSound(data: AudioData): void {
    const isOld = data.timestamp <= this.silentUntil;
    if (this.output && !isOld) {
      this.output.play(data);
    } else {
      data.close();
    }
  }

  private onPicture(frame: VideoFrame): void {
    const known = this.known.get(frame.timestamp);
    if (known) {
      this.socket.ack(known.number);
    }
    // Of the burst at the beginning, only the newest picture is shown.
    const isHidden = known?.isOld && known.number !== this.newest;
    this.hidden?.close();
    this.hidden = null;
    if (isHidden && !this.isStopped) {
      this.hidden = frame;
      return;
    }
    this.known.delete(frame.timestamp);
    if (this.isStopped) {
      frame.close();
    } else if (known?.isOld) {
      this.showNow({ frame, takenAt: known.takenAt });
    } else {
      this.queue.add({ frame, takenAt: known?.takenAt }, frame.timestamp / 1000, performance.now());
      this.showDue();
    }
  }

  /** Shows the picture whose time has come, and waits for the next one. */
  private showDue(): void {
    clearTimeout(this.timer);
    const due = this.queue.take(performance.now());
    if (due) {
      this.show(due.picture);
    }
    const next = this.queue.next(performance.now());
    if (next !== null) {
      this.timer = setTimeout(() => this.showDue(), next);
    }
  }

  /** Shows a picture at once, and drops the pictures that wait, because they are older. */
  private showNow(shown: Shown): void {
    clearTimeout(this.timer);
    this.queue.clear();
    this.show(shown);
  }

  private show({ frame, takenAt }: Shown): void {
    this.draw(frame);
    this.position = frame.timestamp / 1e6;
    this.shownAt = takenAt ?? this.shownAt;
    frame.close();
    if (!this.hasPicture) {
      this.hasPicture = true;
      this.element.dataset.picture = "";
      this.events.picture();
    }
  }

  private draw(frame: VideoFrame): void {
    const { element } = this;
    const { displayWidth: width, displayHeight: height } = frame;
    if (element.width !== width || element.height !== height) {
      element.width = width;
      element.height = height;
    }
    this.context?.drawImage(frame, 0, 0, width, height);
  }
}

function closeDecoder(decoder: VideoDecoder | AudioDecoder | null): void {
  if (decoder && decoder.state !== "closed") {
    decoder.close();
  }
}
