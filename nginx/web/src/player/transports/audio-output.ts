// Plays decoded audio as it arrives, with a short buffer against uneven arrival.
import type { ReadonlySignal } from "@preact/signals-core";

import { onUse } from "../sound";

/** Seconds of audio that are buffered before the audio begins. */
const BUFFER = 0.08;
/** If more seconds than this are buffered, audio is left out. */
const MAX_BUFFER = 0.35;
/**
 * If, for DRAIN_AFTER_MS, never less than this many seconds were buffered, the audio plays faster by DRAIN, which is
 * hardly audible, until its delay is short again.
 */
const TOO_LATE = BUFFER + 0.04;
const DRAIN_AFTER_MS = 2000;
const DRAIN = 1.05;

/** Decides how fast audio plays, from the seconds that are buffered when audio arrives. */
export class AudioPace {
  private lowest = Number.POSITIVE_INFINITY;
  private beganAt: number | null = null;
  private speed = 1;

  /** Records the seconds that are buffered. Returns the speed at which the audio that has arrived must play. */
  arrived(now: number, ahead: number): number {
    this.beganAt ??= now;
    this.lowest = Math.min(this.lowest, ahead);
    if (ahead <= BUFFER) {
      this.speed = 1;
    }
    if (now - this.beganAt > DRAIN_AFTER_MS) {
      this.speed = this.lowest > TOO_LATE ? DRAIN : this.speed;
      this.lowest = ahead;
      this.beganAt = now;
    }
    return this.speed;
  }
}

export class AudioOutput {
  private readonly context = new AudioContext({ latencyHint: "interactive" });
  private readonly gain = this.context.createGain();
  private readonly pace = new AudioPace();
  private readonly ended = new AbortController();
  /** The time of the context at which the next audio begins. */
  private next = 0;
  private readonly stopVolume: () => void;

  constructor(private readonly volume: ReadonlySignal<number>) {
    const { signal } = this.ended;
    this.gain.connect(this.context.destination);
    this.stopVolume = volume.subscribe((level) => this.apply(level));
    // Browsers start the context only after a user's action, and stop it, for example during a phone call.
    this.resume();
    onUse(signal, () => this.resume());
    document.addEventListener("visibilitychange", () => this.resume(), { signal });
  }

  private isOn = true;

  set sound(isOn: boolean) {
    this.isOn = isOn;
    this.apply(this.volume.peek());
  }

  private apply(level: number): void {
    this.gain.gain.value = this.isOn ? level : 0;
  }

  private resume(): void {
    if (this.context.state !== "running" && !this.ended.signal.aborted) {
      this.context.resume().catch(() => undefined);
    }
  }

  /** Plays the data after the audio that was played before. Closes the data. */
  play(data: AudioData): void {
    const { numberOfChannels, numberOfFrames, sampleRate } = data;
    const now = this.context.currentTime;
    if (this.next < now) {
      this.next = now + BUFFER;
    }
    if (this.next - now > MAX_BUFFER || this.context.state !== "running") {
      data.close();
      return;
    }
    const buffer = this.context.createBuffer(numberOfChannels, numberOfFrames, sampleRate);
    for (let channel = 0; channel < numberOfChannels; channel += 1) {
      data.copyTo(buffer.getChannelData(channel), { planeIndex: channel, format: "f32-planar" });
    }
    data.close();
    const source = this.context.createBufferSource();
    const speed = this.pace.arrived(performance.now(), this.next - now);
    source.buffer = buffer;
    source.playbackRate.value = speed;
    source.connect(this.gain);
    source.start(this.next);
    this.next += buffer.duration / speed;
  }

  close(): void {
    this.ended.abort();
    this.stopVolume();
    this.context.close().catch(() => undefined);
  }
}
