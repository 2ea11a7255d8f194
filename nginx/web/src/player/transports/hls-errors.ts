// Evaluates the errors of hls.js.
import Hls, { type ErrorData } from "hls.js/dist/hls.light.min.mjs";

import { Problem, problemOf } from "../../api/problem";

/** Errors that hls.js reports if the browser does not support a codec. A retry would not help. */
const UNPLAYABLE = ["manifestIncompatibleCodecsError", "bufferAddCodecError"];

/** The player recovers from at most this many media errors within RECOVERIES_WITHIN_MS without a restart. */
const MAX_RECOVERIES = 3;
const RECOVERIES_WITHIN_MS = 30_000;

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
