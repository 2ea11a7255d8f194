//! The error of requests and streams: a kind for programs, a message for people, and the cause for the
//! log.
//!
//! `api::reply` maps each kind to an HTTP status. Errors can be cloned, because a failed start returns the
//! same error to every caller that waited for the stream. No error contains a source's secrets, because messages
//! of FFmpeg become part of an error only after the secrets have been removed.

use std::error::Error as StdError;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

use super::fingerprint::Fingerprint;

macro_rules! error_kinds {
    ($($kind:ident $code:literal $meaning:literal)*) => {
        /// The kind of an error, for programs. It is serialized as the stable `code` of the API, which
        /// webhooks and the labels of metrics contain as well.
        ///
        /// Some kinds occur only in HTTP responses, such as [`ErrorKind::MethodNotAllowed`]. They are
        /// listed here so that all codes are in one table.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum ErrorKind {
            $(
                #[doc = $meaning]
                $kind,
            )*
        }

        impl ErrorKind {
            /// All kinds, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$kind),*];

            /// Returns the stable code of the API.
            pub fn code(self) -> &'static str {
                match self {
                    $(Self::$kind => $code,)*
                }
            }

            /// Returns the meaning of the kind for the documentation, in one or two sentences.
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Self::$kind => $meaning,)*
                }
            }
        }
    };
}

error_kinds! {
    InvalidRequest "invalid_request"
        "The request cannot be parsed, or one of its fields has an invalid value."
    InvalidId "invalid_id"
        "The id of a camera or stream is missing or invalid, or two entries of an import have the same id."
    InvalidSource "invalid_source"
        "The address of a camera, such as its RTSP link, is missing or invalid."
    NotFound "not_found"
        "No resource exists at this path, or there is no picture of this camera."
    MethodNotAllowed "method_not_allowed"
        "The path does not support this method."
    RequestTimeout "request_timeout"
        "The request did not arrive completely in time, or the manager could not respond in time."
    BodyTooLarge "body_too_large"
        "The body of the request is larger than the limit."
    Unauthorized "unauthorized"
        "The API key or playback token is missing, invalid or expired, or the playback session was ended."
    Forbidden "forbidden"
        "The API key or playback token does not permit this request. Or `ALLOW_ANONYMOUS` is true, and the request comes from another machine, from a page of another site, or through a proxy."
    TooManyAttempts "too_many_attempts"
        "Too many requests with invalid API keys came from this address."
    UnknownCamera "unknown_camera"
        "No camera has this id, or the camera has no such stream."
    CameraExists "camera_exists"
        "A camera with this id already exists."
    TooManyCameras "too_many_cameras"
        "The manager has reached its limit of cameras."
    EventExists "event_exists"
        "An event with this id and another type was reported for this camera."
    TooManyEvents "too_many_events"
        "Too many events were reported for this camera within an hour."
    UnknownSession "unknown_session"
        "No playback session has this id."
    TooManySessions "too_many_sessions"
        "The manager, or the API key, has reached its limit of playback sessions."
    Stopped "stopped"
        "The stream was stopped while this request waited for the stream to become playable."
    StreamEnded "stream_ended"
        "The stream ended while a viewer watched, or while a request for a playlist or a picture waited. A repeated request usually starts the stream again."
    SourceNotFound "source_not_found"
        "The camera has no stream at the path of its RTSP link."
    SourceUnauthorized "source_unauthorized"
        "The camera rejected the user name or password, or forbids access to the stream."
    SourceLoginUnsupported "source_login_unsupported"
        "The camera requires a login method that FFmpeg does not support."
    SourceUnreachable "source_unreachable"
        "The camera cannot be reached, or the connection to it has ended."
    SourceUnsupported "source_unsupported"
        "The device is not an RTSP server, refuses the request, or sends media that cannot be used with the camera's options."
    SourceBusy "source_busy"
        "The camera refuses another connection, because it has reached its limit of connections."
    SourceTimeout "source_timeout"
        "The camera did not respond in time, or sent no video or no new picture in time."
    AwaitingKeyframe "awaiting_keyframe"
        "The camera sends video, but has not sent a keyframe yet. The stream becomes playable with the keyframe."
    AudioUnsupported "audio_unsupported"
        "The camera refuses to send its audio, or the audio cannot be used. The stream has video only."
    SourceChanged "source_changed"
        "A live stream needs other settings, for example because the camera's clock is wrong. The manager reconnects."
    SourceForbidden "source_forbidden"
        "The address of the camera is in a network that the manager must not connect to."
    OnvifCertificateUnknown "onvif_certificate_unknown"
        "The certificate of the camera's ONVIF service is not confirmed, and is not a valid certificate for the service's host from a certificate authority that the manager trusts. `onvif_certificate` is the SHA-256 fingerprint of the certificate."
    OnvifCertificateChanged "onvif_certificate_changed"
        "The certificate of the camera's ONVIF service is not the confirmed one. `onvif_certificate` is the SHA-256 fingerprint of the new certificate."
    CodecUnsupported "codec_unsupported"
        "The player cannot decode the stream's video. Another transport may convert the video."
    StorageUnavailable "storage_unavailable"
        "The database or the directory for segments cannot be read or written."
    StorageFull "storage_full"
        "There is not enough disk space for HLS."
    FfmpegUnavailable "ffmpeg_unavailable"
        "FFmpeg cannot be started, runs out of memory, or fails to convert the video."
    Busy "busy"
        "Too many operations of this type are in progress."
    TooManyStreams "too_many_streams"
        "The manager has reached its limit of streams (`MAX_STREAMS`), or cannot open enough files for another stream."
    TooManyStarts "too_many_starts"
        "Too many streams are waiting to start, so this stream could not start in time."
    TooManyViewers "too_many_viewers"
        "The stream has reached its viewer limit, or this viewer has too many live connections open."
    WebrtcUnavailable "webrtc_unavailable"
        "WebRTC is off. Players use another transport."
    WebrtcUnsupported "webrtc_unsupported"
        "The video, or the offer of the player, cannot be used with WebRTC, for example because the video has B-frames. Players use another transport."
    NoRecordings "no_recordings"
        "Nothing was recorded of the camera in the requested time. The message reports when there are recordings."
    FormatsDiffer "formats_differ"
        "The video changes within the requested time, for example its resolution, so that it cannot be exported as one file. The message lists the times that can be exported."
    UnknownShare "unknown_share"
        "The camera has no share link with this id."
    RecordingsOff "recordings_off"
        "Recordings are off, because `RECORDINGS_DIRS` is not set."
    UnknownSubscription "unknown_subscription"
        "No push subscription has this id."
    TooManySubscriptions "too_many_subscriptions"
        "The manager, the API key or the user has reached its limit of push subscriptions."
    PushForbidden "push_forbidden"
        "The address of the push server is not public, and not in `PUSH_ALLOW_NETS`."
    PushFailed "push_failed"
        "The push server cannot be reached, or did not accept the notification."
    RangeNotSatisfiable "range_not_satisfiable"
        "The file has no bytes in the range of the header `Range`."
    PreconditionFailed "precondition_failed"
        "The header `If-Match` does not match the resource."
    ShuttingDown "shutting_down"
        "The manager is shutting down."
    Internal "internal"
        "An unexpected error occurred in the manager."
}

impl ErrorKind {
    /// Returns whether retries are pointless until the camera, its link or a setting is changed.
    pub fn is_permanent(self) -> bool {
        matches!(
            self,
            Self::SourceNotFound
                | Self::SourceUnauthorized
                | Self::SourceLoginUnsupported
                | Self::SourceUnsupported
                | Self::SourceForbidden
        )
    }
}

/// An error of a request or a stream.
///
/// Two errors are equal if clients see no difference. So the cause is not compared.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{detail}")]
pub struct Error {
    /// The kind, for programs.
    pub kind: ErrorKind,
    /// A message for people: what failed, and what to do next.
    pub detail: String,
    /// The time that the client should wait before it retries.
    pub retry_after: Option<Duration>,
    /// The fingerprint of a device's certificate that was not accepted.
    pub certificate: Option<Fingerprint>,
    /// The cause, which is logged but not sent to clients.
    pub source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Error {
    /// Creates an error without a cause.
    pub fn new(kind: ErrorKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), retry_after: None, certificate: None, source: None }
    }

    /// Sets the time that the client should wait before it retries.
    #[must_use]
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay);
        self
    }

    /// Adds the fingerprint of a device's certificate that was not accepted.
    #[must_use]
    pub fn with_certificate(mut self, certificate: Option<Fingerprint>) -> Self {
        self.certificate = certificate;
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn caused_by(mut self, cause: impl StdError + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(cause));
        self
    }

    /// Creates the error of a request that arrives while the manager is shutting down.
    pub fn shutting_down() -> Self {
        Self::new(ErrorKind::ShuttingDown, "the manager is shutting down")
            .retry_after(Duration::from_secs(5))
    }
}

impl PartialEq for Error {
    fn eq(&self, other: &Self) -> bool {
        (self.kind, &self.detail, self.retry_after, self.certificate)
            == (other.kind, &other.detail, other.retry_after, other.certificate)
    }
}

impl Eq for Error {}

/// Returns the reason why a TCP connection failed, without the address; `None` for an unusual reason.
pub(crate) fn connect_failure(error: &io::Error) -> Option<&'static str> {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Some("connection refused; check the port"),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            Some("no route to host; check the network")
        }
        _ => None,
    }
}

/// Returns the messages of an error and its causes: `error: cause: cause of the cause`.
pub(crate) fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let reason = error.to_string();
        // Some libraries include the message of the cause in their own message.
        if !text.ends_with(&reason) {
            text = format!("{text}: {reason}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::io;

    use super::*;

    #[test]
    fn every_kind_has_its_own_code_and_a_meaning() {
        let codes: HashSet<_> = ErrorKind::ALL.iter().map(|kind| kind.code()).collect();
        assert_eq!(codes.len(), ErrorKind::ALL.len());
        for kind in ErrorKind::ALL {
            assert_eq!(serde_json::to_value(kind).expect("a string"), kind.code());
            assert!(kind.meaning().ends_with('.'), "{kind:?}");
        }
    }

    #[test]
    fn causes_are_for_the_log_and_not_for_clients() {
        let plain = Error::new(ErrorKind::StorageUnavailable, "the database cannot be read");
        let caused = plain.clone().caused_by(io::Error::other("disk I/O error"));
        assert_eq!(caused, plain);
        assert_eq!(caused.to_string(), "the database cannot be read");
        assert_eq!(chain(&caused), "the database cannot be read: disk I/O error");
        assert_eq!(chain(&plain), "the database cannot be read");
    }

    #[test]
    fn a_cause_that_is_repeated_is_shown_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot read: {0}")]
        struct Repeating(#[source] io::Error);

        let error = Repeating(io::Error::other("no disk"));
        assert_eq!(chain(&error), "cannot read: no disk");
    }
}
