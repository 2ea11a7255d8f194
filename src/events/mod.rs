//! Events: notifications of what happens to cameras and their streams.
//!
//! | Module | Owns |
//! |---|---|
//! | [`bus`] | publishing events, and subscribing to them |
//!
//! `crate::stream::reporter` decides which changes of a stream are published as events.
//! `crate::webhooks` sends events to the back end.

use std::time::SystemTime;

use serde::Serialize;
use utoipa::ToSchema;

use crate::base::error::Error;
use crate::camera::id::StreamId;

pub(crate) mod bus;

/// A notification of what happened to a camera.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    /// The time of the event.
    pub(crate) at: SystemTime,
    /// The stream that the event is about, which also names the camera.
    pub(crate) stream: StreamId,
    /// The kind and details of the event.
    pub(crate) kind: EventKind,
}

/// The details of an event, by what the event is about.
#[derive(Debug, Clone)]
pub(crate) enum EventKind {
    /// A change of a stream.
    Stream(StreamEvent),
}

/// A change of a stream.
#[derive(Debug, Clone)]
pub(crate) struct StreamEvent {
    /// The type of the event.
    pub(crate) kind: StreamEventKind,
    /// The epoch in which the change happened.
    pub(crate) epoch: u64,
    /// The reason why the stream ended; only with `Stopped`.
    pub(crate) reason: Option<StopReason>,
    /// The error that caused the event, if any.
    pub(crate) error: Option<Error>,
}

/// The type of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, ToSchema)]
#[schema(as = EventKind)]
pub(crate) enum StreamEventKind {
    /// The manager starts FFmpeg for a camera that had no stream, or whose stream had failed.
    #[serde(rename = "stream.started")]
    Started,
    /// The stream is playable: for the first time, after an interruption, or with another source.
    #[serde(rename = "stream.live")]
    Live,
    /// The picture of a live stream did not advance for `STALE_TIMEOUT_SECONDS`. The manager keeps
    /// reconnecting while the stream has viewers, or if its camera has `keep: always`.
    #[serde(rename = "stream.stalled")]
    Stalled,
    /// A live stream was interrupted, or reconnecting failed for another reason than before. The manager
    /// keeps reconnecting while the stream has viewers, or if its camera has `keep: always`. If the camera has
    /// `keep: always`, the event also reports that the first start failed.
    #[serde(rename = "stream.interrupted")]
    Interrupted,
    /// The stream could not be started. The manager does not retry until the stream is started again.
    #[serde(rename = "stream.failed")]
    Failed,
    /// The stream has ended, and its files are deleted.
    #[serde(rename = "stream.stopped")]
    Stopped,
}

/// The reason why a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum StopReason {
    /// The stream had no viewers.
    Idle,
    /// A client stopped the stream.
    Stop,
    /// The manager shut down.
    Shutdown,
    /// An internal error ended the stream; or the camera refused the stream, stopped sending or was
    /// unreachable, and the stream had no viewers.
    Failed,
}
