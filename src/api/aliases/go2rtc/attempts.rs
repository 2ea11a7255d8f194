//! When a session tries again. Most players of go2rtc request their media only once, and some never connect again after
//! the server has closed the socket. So a session waits for a camera that is away, and for a stream that has ended.

use std::pin::Pin;
use std::time::Duration;

use tokio::time::sleep;

use crate::base::error::{Error, ErrorKind};

/// The time after which a session tries again if the error requests no time.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The result of a task that waits.
pub(super) type Pending<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What follows an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The session tries again.
    Retry,
    /// The request cannot be served. The player can request something else.
    Refuse,
    /// The player is not permitted to watch any more, or the manager is shutting down.
    Close,
}

impl Outcome {
    /// Returns what follows an error of this kind.
    pub(super) fn of(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Unauthorized
            | ErrorKind::Forbidden
            | ErrorKind::UnknownCamera
            | ErrorKind::ShuttingDown => Self::Close,
            ErrorKind::InvalidRequest
            | ErrorKind::CodecUnsupported
            | ErrorKind::WebrtcUnavailable
            | ErrorKind::WebrtcUnsupported
            | ErrorKind::Internal => Self::Refuse,
            _ => Self::Retry,
        }
    }
}

/// Waits for the time that an error requests before the next attempt.
pub(super) async fn pause(error: &Error) {
    sleep(error.retry_after.unwrap_or(RETRY_AFTER).max(Duration::from_secs(1))).await;
}
