// Distinguishes failures of the stream, which concern all transports, from failures of one transport.
import type { Coded } from "../../api/problem";
import type { Failure, Reason } from "../transport";

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

/** Returns the failure that follows from an error that the service has reported to one transport. */
export function failureOf(error: Coded): Failure {
  const isOfStream = OF_STREAM.includes(error.code) || error.code.startsWith("source_");
  return {
    reason: REASONS[error.code] ?? "connection",
    ...(isOfStream && { problem: error }),
  };
}
