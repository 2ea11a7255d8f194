// What a player needs from the page around it. The page of the service and <stream-camera> get the permission to watch,
// and start a stream, in different ways.
import type { ReadonlySignal } from "@preact/signals-core";

import type { Coded } from "../api/problem";
import type { Profile } from "../api/types";
import type { Refusals } from "./refused";

/** The output that a transport needs. With `none`, the stream is live as soon as there is a keyframe. */
export type Output = "hls" | "none";

export interface StartRequest {
  id: string;
  profile: Profile;
  output: Output;
  /** Whether the start request waits until the stream is live. */
  waits: boolean;
}

export interface StartListener {
  /** The stream starts, which takes some time. */
  onStarting: () => void;
  /** An error after which the service retries, or the reason why the start takes long. */
  onFailure: (error: Coded) => void;
}

export interface Host {
  /** The volume of the sound, from 0 to 1. */
  readonly volume: ReadonlySignal<number>;
  readonly refusals: Refusals;
  /**
   * The newest permission, with its lifetime in milliseconds; null before the first one. Connections that began with an
   * earlier permission are replaced within a part of this lifetime.
   */
  readonly newestPermission: ReadonlySignal<{ lifetime: number } | null>;
  /** Counts a new player of the camera. */
  addPlayer(id: string): void;
  removePlayer(id: string): void;
  /** Resolves when there is a permission to watch the camera. Rejects with the Problem. */
  obtainPermission(id: string): Promise<void>;
  /** Replaces the permission after the service has rejected it. */
  renew(): Promise<void>;
  /** Returns the absolute URL of a file of a stream, with the present permission. `file` can have a query. */
  addressOf(key: string, file: string): string;
  /** Returns the URL of a file of a stream with the present permission instead of an earlier one. */
  withPermission(url: string): string;
  /**
   * Called with the reason why the camera is away, and with null when it is back or the reason is unknown. The page of
   * the service has the reason in the list of streams.
   */
  onAway?(detail: string | null): void;
  /** Whether the service offers WebRTC, as far as it is known. */
  readonly webRtcOffered: ReadonlySignal<boolean>;
  /** Resolves when it is known what the service offers, or after a short time, unless the player depends on it. */
  learnOffers(dependsOnIt?: boolean): Promise<void>;
  /**
   * Starts a stream. Resolves when the transports can begin, with whether the stream is live. If it is not, it starts
   * with the first connection. Rejects with the Problem.
   */
  start(request: StartRequest, signal: AbortSignal, listener: StartListener): Promise<boolean>;
}
