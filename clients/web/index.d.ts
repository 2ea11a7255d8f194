// The types of the package. tests/types.ts checks them against the implementation.

export type Transport = "auto" | "webrtc" | "webcodecs" | "mse" | "hls" | "mjpeg";
export type Quality = "auto" | "main" | "sub";

/**
 * - `idle`: stopped, or not visible
 * - `connecting`: there is no picture yet. After an error, the element tries again
 * - `playing`: video plays
 * - `waiting`: the picture has stopped, and continues automatically
 * - `pictures`: the connection is too slow for video; a new picture is shown every few seconds
 * - `failed`: the element tries again only after a call of `play` or a change of its attributes
 * - `ended`: the session has ended, and there is no other token
 */
export type CameraState =
  | "idle"
  | "connecting"
  | "playing"
  | "waiting"
  | "pictures"
  | "failed"
  | "ended";

export interface CameraError {
  /** A stable code, such as `unknown_camera`. */
  code: string;
  /** A description in English. */
  message: string;
}

/** The texts of the element. */
export interface Labels {
  play: string;
  stop: string;
  mute: string;
  unmute: string;
  fullscreen: string;
  connecting: string;
  waiting: string;
  ended: string;
  /** Begins the message of an error. */
  failed: string;
}

export interface StateChange {
  state: CameraState;
  /** The transport that plays; `native` is HLS without hls.js. Null while no transport plays. */
  transport: string | null;
  /** The age of the picture in seconds; null while it is unknown. */
  latency: number | null;
}

export interface StreamCameraEventMap {
  statechange: CustomEvent<StateChange>;
  /** `isRetried` is true if the element tries again automatically. */
  error: CustomEvent<CameraError & { isRetried: boolean }>;
  sessionend: CustomEvent<CameraError>;
  volumechange: Event;
}

export class StreamCamera extends HTMLElement {
  /** The address of a stream, such as `hls_url` of a playback session, or the address of the service. */
  src: string;
  /** The address of the service. */
  server: string;
  /** The id of the camera. */
  camera: string;
  /** The token of a playback session. */
  token: string;
  transport: Transport;
  quality: Quality;
  /** The address of the picture before the video; `none` for no picture, empty for the camera's last picture. */
  poster: string;
  /** `contain`, `cover` or `fill`. */
  fit: string;
  controls: boolean;
  /** True by default. */
  muted: boolean;
  /** From 0 to 1. */
  volume: number;
  /**
   * Returns a token, or an address that contains one, such as `hls_url` of a session. The element calls it if it has no
   * token, before the token expires, and if the service rejects the token. Null means that the user is not permitted to
   * watch any more.
   */
  getToken: (() => Promise<string | null> | string | null) | null;
  labels: Partial<Labels>;

  readonly state: CameraState;
  readonly error: CameraError | null;
  readonly currentTransport: string | null;
  /** The age of the picture in seconds; null while it is unknown. */
  readonly latency: number | null;

  /** Plays, also after an error that the element does not retry. */
  play(): void;
  /** Stops playing, and ends all connections, until `play`. */
  stop(): void;
  /**
   * Fills the screen, or the page if the browser has no full screen for the picture. Browsers permit the full screen only
   * after an action of the user.
   */
  fullscreen(): Promise<void>;

  addEventListener<Name extends keyof StreamCameraEventMap>(
    type: Name,
    listener: (this: StreamCamera, event: StreamCameraEventMap[Name]) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject,
    options?: boolean | AddEventListenerOptions,
  ): void;
}

/** The attributes and properties of the element, for the types of frameworks. */
export type StreamCameraProps = Partial<
  Pick<
    StreamCamera,
    | "src"
    | "server"
    | "camera"
    | "token"
    | "transport"
    | "quality"
    | "poster"
    | "fit"
    | "controls"
    | "muted"
    | "volume"
    | "getToken"
    | "labels"
  >
>;

declare global {
  interface HTMLElementTagNameMap {
    "stream-camera": StreamCamera;
  }
}
