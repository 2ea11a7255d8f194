//! The one error of the service: a kind that programs act on and a sentence for people.
//!
//! The HTTP status of a kind is chosen in one place, `api/reply.rs`. An error is cheap to clone,
//! since one failed start answers everybody who waited for it. No error holds a source's secret:
//! what FFmpeg says is redacted before it gets here.

use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

/// What went wrong, as a program needs to know it. Serialized as the stable `code` of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The request cannot be understood.
    InvalidRequest,
    /// The camera's id is none.
    InvalidId,
    /// The RTSP link is none.
    InvalidSource,
    /// No such path.
    NotFound,
    /// The camera was never started, so no link is known for it.
    UnknownCamera,
    /// There is a camera of that id already.
    CameraExists,
    /// As many cameras are known as there may be.
    TooManyCameras,
    /// The path does not take this method.
    MethodNotAllowed,
    /// The request did not arrive in time.
    RequestTimeout,
    /// The body is larger than the limit.
    BodyTooLarge,
    /// Somebody stopped the stream while this caller waited for it.
    Stopped,
    /// The stream ended while a player waited for its next part. Asking again starts it anew.
    StreamEnded,
    /// The camera has nothing at this path.
    SourceNotFound,
    /// The camera wants other credentials.
    SourceUnauthorized,
    /// The camera cannot be reached, or ended the connection.
    SourceUnreachable,
    /// What answers is no RTSP camera, or sends no video that can be used.
    SourceUnsupported,
    /// The camera did not answer, or sent no video, in time.
    SourceTimeout,
    /// The camera's settings were changed while it was watched; it is taken up anew.
    SourceChanged,
    /// Segments cannot be written.
    StorageUnavailable,
    /// There is no room for the files of one more stream.
    StorageFull,
    /// FFmpeg cannot be run.
    FfmpegUnavailable,
    /// As much of this is done at once as may be.
    Busy,
    /// As many streams run as are allowed.
    TooManyStreams,
    /// More streams start at once than can be served in time.
    TooManyStarts,
    /// As many watch this stream as are allowed.
    TooManyViewers,
    /// No API key, or a wrong one.
    Unauthorized,
    /// The API key's role, or the camera's owner, does not allow it.
    Forbidden,
    /// No such playback session.
    UnknownSession,
    /// As many playback sessions are open as there may be.
    TooManySessions,
    /// Too many wrong API keys.
    TooManyAttempts,
    /// The camera has an address that cameras may not have here.
    SourceForbidden,
    /// The manager is ending.
    ShuttingDown,
    /// A fault of the manager.
    Internal,
}

impl ErrorKind {
    /// The camera refused for a reason that waiting does not cure.
    pub fn is_permanent(self) -> bool {
        matches!(
            self,
            Self::SourceNotFound
                | Self::SourceUnauthorized
                | Self::SourceUnsupported
                | Self::SourceForbidden
        )
    }
}

/// An error with its kind, a sentence for people and, where trying again helps, when.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Error {
    /// What went wrong, for programs.
    pub kind: ErrorKind,
    /// What went wrong and what to do, for people.
    pub detail: String,
    /// When trying again makes sense.
    pub retry_after: Option<Duration>,
}

impl Error {
    /// An error of `kind`, told by `detail`.
    pub fn new(kind: ErrorKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), retry_after: None }
    }

    /// The same error, with the advice to try again after `delay`.
    #[must_use]
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay);
        self
    }

    /// The manager is ending: nothing new is begun.
    pub fn shutting_down() -> Self {
        Self::new(ErrorKind::ShuttingDown, "the manager is shutting down")
            .retry_after(Duration::from_secs(5))
    }
}
