//! How requests fail, by what they need.

use crate::base::error::ErrorKind;

/// An API key or a playback token.
pub(super) const CREDENTIALS: &[ErrorKind] =
    &[ErrorKind::Unauthorized, ErrorKind::Forbidden, ErrorKind::TooManyAttempts];
/// A body.
pub(super) const BODY: &[ErrorKind] =
    &[ErrorKind::InvalidRequest, ErrorKind::BodyTooLarge, ErrorKind::RequestTimeout];
/// A query.
pub(super) const QUERY: &[ErrorKind] = &[ErrorKind::InvalidRequest];
/// The database.
pub(super) const DATABASE: &[ErrorKind] =
    &[ErrorKind::StorageUnavailable, ErrorKind::RequestTimeout];
/// A camera that is known.
pub(super) const CAMERA: &[ErrorKind] = &[ErrorKind::InvalidId, ErrorKind::UnknownCamera];
/// A stream that is started.
pub(super) const START: &[ErrorKind] = &[
    ErrorKind::InvalidId,
    ErrorKind::InvalidSource,
    ErrorKind::SourceForbidden,
    ErrorKind::UnknownCamera,
    ErrorKind::RequestTimeout,
    ErrorKind::Stopped,
    ErrorKind::SourceNotFound,
    ErrorKind::SourceUnauthorized,
    ErrorKind::SourceUnreachable,
    ErrorKind::SourceUnsupported,
    ErrorKind::TooManyStreams,
    ErrorKind::FfmpegUnavailable,
    ErrorKind::StorageUnavailable,
    ErrorKind::ShuttingDown,
    ErrorKind::SourceTimeout,
];
