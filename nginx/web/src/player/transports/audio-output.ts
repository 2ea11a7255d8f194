// Plays decoded audio as it arrives, with a short buffer against uneven arrival.
import { volume } from "../sound";

/** Seconds of audio that are buffered before the audio begins. */
const BUFFER = 0.08;
/** If more seconds than this are buffered, audio is left out. */
const MAX_BUFFER = 0.35;

export class AudioOutput {
  private readonly context = new AudioContext({ latencyHint: "interactive" });
  private readonly gain = this.context.createGain();
  /** The time of the context at which the next audio begins. */
  private next = 0;
  private readonly stopVolume: () => void;

  constructor() {
    this.gain.connect(this.context.destination);
    this.stopVolume = volume.subscribe((level) => this.apply(level));
    // Browsers start the context at once only if the user has used the page.
    this.context.resume().catch(() => undefined);
  }

  private isOn = true;

  set sound(isOn: boolean) {
    this.isOn = isOn;
    this.apply(volume.peek());
  }

  private apply(level: number): void {
    this.gain.gain.value = this.isOn ? level : 0;
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
    source.buffer = buffer;
    source.connect(this.gain);
    source.start(this.next);
    this.next += buffer.duration;
  }

  close(): void {
    this.stopVolume();
    this.context.close().catch(() => undefined);
  }
}
