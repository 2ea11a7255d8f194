//! Responses: JSON, RFC 9457 problems, and the HTTP status of each kind of error.

use std::error::Error as StdError;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Frame;
use hyper::header::{
    ACCEPT_RANGES, ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderName,
    HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use hyper::{Method, Response, StatusCode};
use serde::Serialize;
use tokio::sync::mpsc;
use tracing::warn;
use utoipa::ToSchema;

use super::byte_range::ByteRange;
use crate::base::error::{Error, ErrorKind, chain};
use crate::recordings::body::Content;
use crate::service::readiness::{Check, FailedCheck};

/// The content type of most responses.
pub(super) const JSON: &str = "application/json";
/// The content type of responses to failed requests.
pub(super) const PROBLEM: &str = "application/problem+json";
/// The content type of playlists.
pub(super) const PLAYLIST: &str = "application/vnd.apple.mpegurl";
/// The content type of WebRTC's offers and answers.
pub(super) const SDP: &str = "application/sdp";
/// The content type of pictures.
pub(super) const JPEG: &str = "image/jpeg";
/// The content type of recorded files and exports.
pub(super) const MP4: &str = "video/mp4";

/// The body of a response: bytes in memory, or bytes that are produced while the client reads them.
pub(super) type Body = UnsyncBoxBody<Bytes, Box<dyn StdError + Send + Sync>>;

/// A response.
pub(super) type Reply = Response<Body>;

/// The response to a request that failed (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Problem<'a> {
    /// The HTTP status in words.
    title: &'a str,
    /// The HTTP status as a number.
    status: u16,
    /// The stable code, for programs.
    code: ErrorKind,
    /// The error and what to do about it, for people.
    detail: &'a str,
    /// The SHA-256 fingerprint of the certificate that was not accepted; only with the codes
    /// `onvif_certificate_unknown` and `onvif_certificate_changed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    onvif_certificate: Option<String>,
    /// The readiness checks that failed; only in responses of `/readyz`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<FailedCheckOutput<'a>>,
}

/// A readiness check that failed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FailedCheck)]
pub(crate) struct FailedCheckOutput<'a> {
    /// The check.
    check: Check,
    /// The stable code, for programs.
    code: ErrorKind,
    /// The reason, for people.
    detail: &'a str,
}

/// Returns a response with this body, which caches must not store.
pub(super) fn with_body(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Reply {
    let mut reply = Response::new(whole(body.into()));
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}

/// Returns the response 200 whose body are the bytes from this channel, which caches must not store. The response
/// ends when the channel does. If the client leaves, the receiver is dropped.
pub(super) fn streaming(content_type: HeaderValue, bytes: mpsc::Receiver<Bytes>) -> Reply {
    let mut reply = with_body(StatusCode::OK, "", Bytes::new());
    reply.headers_mut().insert(CONTENT_TYPE, content_type);
    *reply.body_mut() = Streamed(bytes).boxed_unsync();
    reply
}

/// Returns a response with the range of `content` that a client requests, which caches must not store. The response ends
/// early if `ended` resolves. `ended` is dropped at the end of the response. A response to HEAD has no body.
pub(super) fn range(
    is_head: bool,
    content_type: &'static str,
    content: &Content,
    range: ByteRange,
    ended: impl Future<Output = ()> + Send + 'static,
) -> Reply {
    let size = content.size();
    let Some((first, end)) = range.within(size) else {
        let detail = format!("the requested range is not in the file, which has {size} bytes");
        let mut reply = problem(&Error::new(ErrorKind::RangeNotSatisfiable, detail));
        set(&mut reply, CONTENT_RANGE, format!("bytes */{size}"));
        return reply;
    };
    let mut reply = with_body(StatusCode::OK, content_type, Bytes::new());
    if range.is_partial() {
        *reply.status_mut() = StatusCode::PARTIAL_CONTENT;
        set(&mut reply, CONTENT_RANGE, format!("bytes {first}-{}/{size}", end.saturating_sub(1)));
    }
    set(&mut reply, CONTENT_LENGTH, (end - first).to_string());
    set(&mut reply, ACCEPT_RANGES, "bytes".to_owned());
    if !is_head {
        let bytes = content.range(first, end).read(ended);
        *reply.body_mut() = Streamed(bytes).boxed_unsync();
    }
    reply
}

fn set(reply: &mut Reply, name: HeaderName, value: String) {
    if let Ok(value) = HeaderValue::try_from(value) {
        reply.headers_mut().insert(name, value);
    }
}

/// A body that is produced while the client reads it.
struct Streamed(mpsc::Receiver<Bytes>);

impl hyper::body::Body for Streamed {
    type Data = Bytes;
    type Error = Box<dyn StdError + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(context).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}

fn whole(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

/// Returns the response 200 with JSON, or 500 if the value cannot be serialized.
pub(super) fn json(value: &impl Serialize) -> Reply {
    match serde_json::to_vec(value) {
        Ok(body) => with_body(StatusCode::OK, JSON, body),
        Err(error) => problem(&Error::new(
            ErrorKind::Internal,
            format!("cannot serialize the response: {error}"),
        )),
    }
}

/// Returns the response 204.
pub(super) fn no_content() -> Reply {
    let mut reply = Response::new(whole(Bytes::new()));
    *reply.status_mut() = StatusCode::NO_CONTENT;
    reply
}

/// Returns the response to a failed request.
pub(super) fn problem(error: &Error) -> Reply {
    with_failed_checks(error, Vec::new())
}

/// Returns the response of a service that is not ready. The response lists all failed checks, and
/// has the status and the code of the first failed check.
pub(super) fn not_ready(failed: &[FailedCheck]) -> Reply {
    let details: Vec<_> = failed.iter().map(|failed| failed.error.detail.as_str()).collect();
    let first = failed.first().map(|failed| &failed.error);
    let kind = first.map_or(ErrorKind::Internal, |error| error.kind);
    let mut error = Error::new(kind, details.join("; "));
    error.retry_after = first.and_then(|error| error.retry_after);
    let all = failed.iter().map(|FailedCheck { check, error }| FailedCheckOutput {
        check: *check,
        code: error.kind,
        detail: &error.detail,
    });
    with_failed_checks(&error, all.collect())
}

fn with_failed_checks(error: &Error, problems: Vec<FailedCheckOutput<'_>>) -> Reply {
    let status = status(error.kind);
    // The cause of a server error is logged, because the response does not contain the cause.
    if error.source.is_some() && status.is_server_error() {
        warn!(code = error.kind.code(), error = chain(error), "request failed");
    }
    let body = Problem {
        title: status.canonical_reason().unwrap_or_default(),
        status: status.as_u16(),
        code: error.kind,
        detail: &error.detail,
        onvif_certificate: error.certificate.map(|certificate| certificate.to_string()),
        problems,
    };
    let body = serde_json::to_vec(&body).unwrap_or_default();
    let mut reply = with_body(status, PROBLEM, body);
    if status == StatusCode::UNAUTHORIZED {
        reply.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let Some(delay) = error.retry_after {
        let seconds = delay.as_secs().max(1);
        reply.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    reply
}

/// Returns the response 405, with the methods that the path allows.
pub(super) fn method_not_allowed(method: &Method, allowed: &[Method]) -> Reply {
    let allowed = allowed.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
    let detail = format!("{method} is not allowed here; allowed: {allowed}");
    let mut reply = problem(&Error::new(ErrorKind::MethodNotAllowed, detail));
    if let Ok(allowed) = HeaderValue::from_str(&allowed) {
        reply.headers_mut().insert(ALLOW, allowed);
    }
    reply
}

/// Returns the HTTP status for a kind of error.
pub(crate) fn status(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::InvalidRequest | ErrorKind::InvalidId | ErrorKind::InvalidSource => {
            StatusCode::BAD_REQUEST
        }
        ErrorKind::Unauthorized => StatusCode::UNAUTHORIZED,
        ErrorKind::Forbidden | ErrorKind::SourceForbidden | ErrorKind::PushForbidden => {
            StatusCode::FORBIDDEN
        }
        ErrorKind::TooManyAttempts | ErrorKind::TooManyEvents => StatusCode::TOO_MANY_REQUESTS,
        ErrorKind::NotFound
        | ErrorKind::UnknownCamera
        | ErrorKind::UnknownSession
        | ErrorKind::UnknownShare
        | ErrorKind::UnknownSubscription
        | ErrorKind::NoRecordings
        | ErrorKind::RecordingsOff
        | ErrorKind::WebrtcUnavailable => StatusCode::NOT_FOUND,
        ErrorKind::WebrtcUnsupported => StatusCode::UNPROCESSABLE_ENTITY,
        ErrorKind::RangeNotSatisfiable => StatusCode::RANGE_NOT_SATISFIABLE,
        ErrorKind::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
        ErrorKind::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        ErrorKind::CodecUnsupported => StatusCode::NOT_ACCEPTABLE,
        ErrorKind::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
        ErrorKind::Stopped
        | ErrorKind::CameraExists
        | ErrorKind::FormatsDiffer
        | ErrorKind::EventExists
        | ErrorKind::OnvifCertificateUnknown
        | ErrorKind::OnvifCertificateChanged => StatusCode::CONFLICT,
        ErrorKind::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        ErrorKind::SourceNotFound
        | ErrorKind::SourceUnauthorized
        | ErrorKind::SourceLoginUnsupported
        | ErrorKind::SourceUnreachable
        | ErrorKind::SourceUnsupported
        | ErrorKind::AudioUnsupported
        | ErrorKind::SourceChanged
        | ErrorKind::PushFailed => StatusCode::BAD_GATEWAY,
        ErrorKind::StorageUnavailable
        | ErrorKind::StorageFull
        | ErrorKind::FfmpegUnavailable
        | ErrorKind::StreamEnded
        | ErrorKind::AwaitingKeyframe
        | ErrorKind::Busy
        | ErrorKind::SourceBusy
        | ErrorKind::TooManyStreams
        | ErrorKind::TooManyStarts
        | ErrorKind::TooManyViewers
        | ErrorKind::TooManyCameras
        | ErrorKind::TooManySessions
        | ErrorKind::TooManySubscriptions
        | ErrorKind::ShuttingDown => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::SourceTimeout => StatusCode::GATEWAY_TIMEOUT,
    }
}
