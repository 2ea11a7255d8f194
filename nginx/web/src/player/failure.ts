// Evaluates the errors of the service.
import { type Coded, Problem } from "../api/problem";
import type { Reason } from "./transport";

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
