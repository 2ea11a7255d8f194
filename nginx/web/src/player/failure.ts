// Evaluates the errors of hls.js and of the service.
import Hls, { type ErrorData } from "hls.js/dist/hls.light.min.mjs";

import { type Coded, Problem, problemOf } from "../api/problem";
import type { Reason } from "./transport";

/** Errors that hls.js reports if the browser does not support a codec. A retry would not help. */
const UNPLAYABLE = ["manifestIncompatibleCodecsError", "bufferAddCodecError"];
/**
 * Refusals by the camera itself. A retry does not help, and cameras lock an account after several attempts.
 */
const REFUSED = [
  "source_unauthorized",
  "source_login_unsupported",
  "source_not_found",
  "source_unsupported",
];
/**
 * Errors that a retry does not fix. They are refusals by the camera, errors that the manager detects without
 * contacting the camera, and codecs that the browser does not support.
 */
const FINAL = [
  ...REFUSED,
  "source_forbidden",
  "invalid_source",
  "unknown_camera",
  "forbidden",
  "unplayable",
  "transport_unavailable",
];

/** The player recovers from at most this many media errors within RECOVERIES_WITHIN_MS without a restart. */
const MAX_RECOVERIES = 3;
const RECOVERIES_WITHIN_MS = 30_000;

/** Returns whether the camera itself has refused the stream. */
export function isRefusal({ code }: Problem): boolean {
  return REFUSED.includes(code);
}

/** Returns whether a retry cannot help. */
export function isFinal({ code }: Problem): boolean {
  return FINAL.includes(code);
}

/** Returns a thrown value, or an error that the service has reported, as a problem. */
export function problemFrom(error: unknown): Problem {
  if (error instanceof Problem) {
    return error;
  }
  const { code, detail } = (error ?? {}) as Partial<Coded>;
  return typeof code === "string"
    ? new Problem(0, code, detail ?? null)
    : new Problem(0, "unexpected", String(error));
}

/**
 * Returns the problem of a tile on which all transports have failed, the last one for this reason. `cause` is what the
 * service has reported.
 */
export function problemOfReason(reason: Reason, cause?: Coded): Problem {
  if (cause) {
    return problemFrom(cause);
  }
  if (reason === "codec") {
    return new Problem(0, "unplayable");
  }
  if (reason === "browser") {
    return new Problem(0, "transport_unavailable");
  }
  return new Problem(0, "interrupted");
}

/** Returns whether the browser does not support the codec. */
export function isUnplayable({ details }: ErrorData): boolean {
  return UNPLAYABLE.includes(details);
}

/** Returns the problem that the service has reported in the response, or a general problem. */
export function problemOfMedia(error: ErrorData): Problem {
  const problem = problemOf(error.response?.code ?? 0, bodyOf(error));
  return problem ?? new Problem(0, "interrupted");
}

/**
 * Returns the body of a failed response, which usually is a problem document of the service; null if there is
 * no body, or if the body is not text.
 */
function bodyOf(error: ErrorData): string | null {
  const request = error.networkDetails as XMLHttpRequest | undefined;
  const isText = request && "responseType" in request && request.responseType !== "arraybuffer";
  return isText ? request.responseText : null;
}

/** Decides from which media errors the player recovers without a restart. */
export class MediaErrors {
  /** Times of the latest recoveries. */
  private recovered: number[] = [];

  /** Returns whether hls.js should recover from the error. Frequent media errors require a restart. */
  canRecover(error: ErrorData): boolean {
    if (error.type !== Hls.ErrorTypes.MEDIA_ERROR) {
      return false;
    }
    const now = performance.now();
    this.recovered = this.recovered.filter((at) => now - at < RECOVERIES_WITHIN_MS);
    this.recovered.push(now);
    return this.recovered.length <= MAX_RECOVERIES;
  }
}
