// Distinguishes failures of the stream, which concern all transports, from failures of one transport.
import { type Coded, problemOf } from "../../api/problem";
import type { Failure, Job, Reason } from "../transport";

/** Codes with which no transport can play. The codes of cameras begin with `source_`. */
const OF_STREAM = [
  "unauthorized",
  "forbidden",
  "unknown_camera",
  "unknown_session",
  "invalid_source",
  "stopped",
  "stream_ended",
  "awaiting_keyframe",
  "shutting_down",
  "too_many_streams",
  "too_many_viewers",
];
const REASONS: Record<string, Reason> = {
  codec_unsupported: "codec",
  webrtc_unsupported: "codec",
  webrtc_unavailable: "not_offered",
  not_found: "not_offered",
  method_not_allowed: "not_offered",
};
/**
 * A file that no stream has. The service checks the permission before it looks for a file, so the response shows whether
 * the permission is missing, and the request has no other effect.
 */
const PROBE = "permission.m4s";
/** The response is not waited for longer than this, so that another transport is started soon. */
const PROBE_MS = 500;

/** A stream, and how its files are found. */
export type Stream = Pick<Job, "host" | "key">;

/** Returns the failure that follows from an error that the service has reported to one transport. */
export function failureOf(error: Coded): Failure {
  const isOfStream = OF_STREAM.includes(error.code) || error.code.startsWith("source_");
  return {
    reason: REASONS[error.code] ?? "connection",
    ...(isOfStream ? { problem: error } : { cause: error }),
  };
}

/**
 * Returns the failure of a connection to this stream, such as a WebSocket that was closed before it was open. Browsers
 * do not show why, so an HTTP request finds out whether the permission has ended.
 */
export async function unexplained({ host, key }: Stream): Promise<Failure> {
  try {
    const response = await fetch(host.addressOf(key, PROBE), {
      cache: "no-store",
      signal: AbortSignal.timeout(PROBE_MS),
    });
    if (response.status === 401 || response.status === 403) {
      const problem = problemOf(response.status, await response.text());
      return problem ? failureOf(problem) : { reason: "connection" };
    }
  } catch {
    // The service does not respond, or not in time.
  }
  return { reason: "connection" };
}
