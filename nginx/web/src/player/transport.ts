// The interface of a transport: one way in which the picture and the sound of a stream come into a tile.
import type { Coded } from "../api/problem";
import type { Host } from "./host";
import type { LineMeter } from "./line";
import type { Screen } from "./screen";
import type { Sound } from "./sound";

/**
 * - `webcodecs`: frames over a WebSocket, decoded by WebCodecs
 * - `webrtc`: WebRTC, which WHEP negotiates
 * - `mse`: fragmented MP4 over a WebSocket, played by Media Source Extensions or ManagedMediaSource
 * - `hls`: low-latency HLS, played by hls.js
 * - `native`: HLS, played by the browser itself
 * - `mjpeg`: JPEG pictures over a WebSocket
 */
export type TransportName = "webcodecs" | "webrtc" | "mse" | "hls" | "native" | "mjpeg";

/**
 * The reason why a transport is not used. The first group is known before an attempt; the other reasons are results of
 * an attempt. The page has a text for each reason.
 *
 * - `not_chosen`: the user has chosen another transport
 * - `not_needed`: a better transport plays
 * - `not_ready`: the transport has no picture yet, or is tried soon
 * - `browser`: the browser lacks the interface
 * - `insecure`: the browser has the interface only on HTTPS and on localhost
 * - `wall`: the transport needs too much processor time for several tiles
 * - `not_offered`: the service does not offer the transport
 * - `codec`: the browser cannot play the codec of the stream with this transport
 * - `connection`: the connection was refused or has ended
 * - `no_picture`: no picture has arrived in time
 * - `stalled`: the picture has stopped
 * - `too_slow`: the computer is too slow
 */
export type Reason =
  | "not_chosen"
  | "not_needed"
  | "not_ready"
  | "browser"
  | "insecure"
  | "wall"
  | "not_offered"
  | "codec"
  | "connection"
  | "no_picture"
  | "stalled"
  | "too_slow";

/** The end of a transport. With a `problem`, the stream itself has failed, and another transport would fail as well. */
export interface Failure {
  reason: Reason;
  problem?: Coded;
  /** An error that concerns only this transport, as the service has reported it. */
  cause?: Coded;
}

/** What a transport reports. A transport reports nothing after its failure and after `stop`. */
export interface TransportEvents {
  /** The first picture is in the element. */
  picture(): void;
  /** The service has accepted the connection, and sends media as soon as the camera does. */
  accepted(): void;
  /** Media has arrived. */
  media(): void;
  /** The playlist has grown. */
  grown(): void;
  /** The stream has begun again in such a way that only another attempt shows it soon. */
  restart(): void;
  /** The transport can show what follows only with another connection. Until then, its picture remains. */
  renew(): void;
  /** The browser cannot play the sound of the stream with this transport. The picture plays. */
  soundless(): void;
  /** The camera is away, and the service is reconnecting; or the camera is back. */
  away(isAway: boolean): void;
  /** The connection is too slow for the stream, which has this bit rate. */
  slow(bitsPerSecond: number): void;
  /** The connection has been fast enough for the stream for several seconds. */
  steady(): void;
  failed(failure: Failure): void;
}

/** The motion of the picture. HTMLVideoElement has these properties. */
export interface Motion {
  /** Position of the picture in seconds. It changes only with the picture. */
  readonly currentTime: number;
  readonly paused: boolean;
  readonly seeking: boolean;
}

/** Stands for the motion of the picture while no transport plays. */
export const NO_MOTION: Motion = { currentTime: 0, paused: false, seeking: false };

/** A transport's present figures. */
export interface Figures {
  /** Age of the picture in seconds; null while it is unknown. */
  age: number | null;
  /** Rate of the media that arrives, in bits per second; null while it is unknown. */
  rate: number | null;
  /** The largest number of pictures per second, if the service limits it. */
  picturesPerSecond?: number | null;
  /** Whether the sound is on, but the transport cannot play the sound of the stream. */
  isSoundless?: boolean;
  /** Milliseconds between two pictures; 0 while it is unknown. It is missing if the position moves between them. */
  interval?: number;
}

/** The figures while no transport plays. */
export const NO_FIGURES: Figures = { age: null, rate: null };

/** What a transport plays, and where. */
export interface Job {
  host: Host;
  /** The key of the stream, such as `front-door~sub`. */
  key: string;
  screen: Screen;
  /** The sound of the tile. A transport that gets the sound in its own connection asks for it only if it is on. */
  sound: Sound;
  /** Whether the service can continue with the camera's sub stream if the connection is too slow for this stream. */
  hasSub: boolean;
  /** Whether HLS is played with low latency. */
  isLowLatency: boolean;
  /** Whether the tile is one of many. Such a tile plays with a larger buffer. */
  isWall: boolean;
  /** Measures the connection by the transfers of hls.js. */
  meter: LineMeter;
}

export interface Transport {
  readonly name: TransportName;
  /** The element that shows the picture. */
  readonly element: HTMLVideoElement | HTMLCanvasElement;
  readonly motion: Motion;
  /** Whether the service leaves out frames until the next keyframe, because the connection is slow. */
  readonly isSkipping?: boolean;
  start(): void;
  /** Ends all transfers. The element keeps its last picture until the screen reuses the element. */
  stop(): void;
  /** Keeps the picture at its target age, and returns the figures. The player calls this several times a second. */
  keepUp(): Figures;
  /** Applies the tile's sound. Returns false if only a new attempt with this transport has the sound. */
  applySound(): boolean;
}

export type TransportFactory = (job: Job, events: TransportEvents) => Transport;
