//! The kinds of errors that a request can have, grouped by what the request uses.

use crate::base::error::ErrorKind;

/// Errors of requests that require an API key or a playback token.
pub(super) const CREDENTIALS: &[ErrorKind] =
    &[ErrorKind::Unauthorized, ErrorKind::Forbidden, ErrorKind::TooManyAttempts];
/// Errors of requests that have a body.
pub(super) const BODY: &[ErrorKind] =
    &[ErrorKind::InvalidRequest, ErrorKind::BodyTooLarge, ErrorKind::RequestTimeout];
/// Errors of requests that have a query.
pub(super) const QUERY: &[ErrorKind] = &[ErrorKind::InvalidRequest];
/// Errors of requests that use the database.
pub(super) const DATABASE: &[ErrorKind] =
    &[ErrorKind::StorageUnavailable, ErrorKind::RequestTimeout];
/// Errors of requests for a known camera.
pub(super) const CAMERA: &[ErrorKind] = &[ErrorKind::InvalidId, ErrorKind::UnknownCamera];
/// Errors of requests that start a stream.
pub(super) const START: &[ErrorKind] = &[
    ErrorKind::InvalidId,
    ErrorKind::InvalidSource,
    ErrorKind::SourceForbidden,
    ErrorKind::UnknownCamera,
    ErrorKind::RequestTimeout,
    ErrorKind::Stopped,
    ErrorKind::SourceNotFound,
    ErrorKind::SourceUnauthorized,
    ErrorKind::SourceLoginUnsupported,
    ErrorKind::SourceUnreachable,
    ErrorKind::SourceUnsupported,
    ErrorKind::SourceBusy,
    ErrorKind::TooManyStreams,
    ErrorKind::TooManyStarts,
    ErrorKind::StorageFull,
    ErrorKind::FfmpegUnavailable,
    ErrorKind::StorageUnavailable,
    ErrorKind::ShuttingDown,
    ErrorKind::SourceTimeout,
];
