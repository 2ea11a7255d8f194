//! What happens to cameras and their streams, for those who are interested.
//!
//! | Module | Owns |
//! |---|---|
//! | [`bus`] | where events are published, and who hears of them |
//!
//! Which transition of a stream is worth an event is decided by `crate::stream::reporter`; how one gets
//! to a back end, by `crate::webhooks`.

use std::time::SystemTime;

use serde::Serialize;
use utoipa::ToSchema;

use crate::base::error::Error;
use crate::camera::id::StreamId;

pub(crate) mod bus;

/// Something that happened to a camera.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    /// When it happened.
    pub(crate) at: SystemTime,
    /// The camera, and which of its streams.
    pub(crate) stream: StreamId,
    /// What happened.
    pub(crate) kind: EventKind,
}

/// What happened, by subject.
#[derive(Debug, Clone)]
pub(crate) enum EventKind {
    /// The stream went on to another state.
    Stream(StreamEvent),
}

/// A stream went on to another state.
#[derive(Debug, Clone)]
pub(crate) struct StreamEvent {
    /// What happened.
    pub(crate) kind: StreamEventKind,
    /// The run of the ingest during which it happened.
    pub(crate) epoch: u64,
    /// Why the stream has gone, with `Stopped`.
    pub(crate) reason: Option<StopReason>,
    /// What went wrong, if anything did.
    pub(crate) error: Option<Error>,
}

/// What happened to a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, ToSchema)]
#[schema(as = EventKind)]
pub(crate) enum StreamEventKind {
    /// FFmpeg starts for a camera that had no stream, or whose stream had failed.
    #[serde(rename = "stream.started")]
    Started,
    /// The stream is playable; also after an interruption, or with another source.
    #[serde(rename = "stream.live")]
    Live,
    /// The camera sent no video for `STALE_TIMEOUT_SECONDS`. It is tried again while the stream has
    /// viewers.
    #[serde(rename = "stream.stalled")]
    Stalled,
    /// A stream that was live broke off. The camera is tried again while the stream has viewers.
    #[serde(rename = "stream.interrupted")]
    Interrupted,
    /// The stream could not be started. Only another start tries again.
    #[serde(rename = "stream.failed")]
    Failed,
    /// The stream has gone, with its files.
    #[serde(rename = "stream.stopped")]
    Stopped,
}

/// Why a stream has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum StopReason {
    /// It had no viewers any more.
    Idle,
    /// A client stopped it.
    Stop,
    /// The manager ended.
    Shutdown,
    /// The camera refused or was away, and the stream had no viewers any more.
    Failed,
}
