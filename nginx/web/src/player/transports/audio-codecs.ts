// Finds out which audio the browser can decode with WebCodecs. It differs between browsers and systems.

/** The codecs that the service sends, with usual parameters. */
const CONFIGS: AudioDecoderConfig[] = [
  { codec: "ulaw", sampleRate: 8000, numberOfChannels: 1 },
  { codec: "alaw", sampleRate: 8000, numberOfChannels: 1 },
  { codec: "mp4a.40.2", sampleRate: 48_000, numberOfChannels: 2 },
  { codec: "opus", sampleRate: 48_000, numberOfChannels: 2 },
];

export interface AudioCodecs {
  /** The codecs that the browser can decode. */
  codecs: string[];
  /** Whether these are all codecs that the service sends. */
  areAll: boolean;
}

let found: Promise<AudioCodecs> | null = null;

/** Returns the codecs of audio that the browser can decode. */
export function audioCodecs(): Promise<AudioCodecs> {
  found ??= find();
  return found;
}

async function find(): Promise<AudioCodecs> {
  const supported = await Promise.all(CONFIGS.map(isSupported));
  const codecs = CONFIGS.filter((_, index) => supported[index]).map(({ codec }) => codec);
  return { codecs, areAll: codecs.length === CONFIGS.length };
}

async function isSupported(config: AudioDecoderConfig): Promise<boolean> {
  try {
    // Some browsers have only the decoder of video.
    return (await AudioDecoder.isConfigSupported(config)).supported ?? false;
  } catch {
    return false;
  }
}
