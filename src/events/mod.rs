//! Events: notifications of what happens to cameras and their streams.
//!
//! | Module | Owns |
//! |---|---|
//! | [`bus`] | publishing events, and subscribing to them |
//!
//! `crate::stream::reporter` decides which changes of a stream are published as events, and
//! `crate::reachability::monitor` which changes of a camera.
//! `crate::webhooks` sends events to the back end.

use std::time::SystemTime;

use serde::Serialize;
use utoipa::ToSchema;

use crate::base::error::Error;
use crate::camera::id::StreamId;

pub(crate) mod bus;

/// A notification of what happened to a camera or one of its streams.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    /// The time of the event.
    pub(crate) at: SystemTime,
    /// The stream that the event is about, which also names the camera. The main stream if the event is about
    /// the camera itself.
    pub(crate) stream: StreamId,
    /// The kind and details of the event.
    pub(crate) kind: EventKind,
}

/// The subject and the details of an event.
#[derive(Debug, Clone)]
pub(crate) enum EventKind {
    /// A change of a stream.
    Stream(StreamEvent),
    /// A change of a camera itself.
    Camera(CameraEvent),
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

/// A change of a camera itself.
#[derive(Debug, Clone)]
pub(crate) struct CameraEvent {
    /// The type of the event.
    pub(crate) kind: CameraEventKind,
    /// The error that caused the event, if any.
    pub(crate) error: Option<Error>,
}

/// The type of an event about a camera itself. These events require `CHECK_INTERVAL_SECONDS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) enum CameraEventKind {
    /// Three checks in a row have failed to reach the camera.
    #[serde(rename = "camera.offline")]
    Offline,
    /// The camera is reachable again: it streams, or responded to two checks in a row.
    #[serde(rename = "camera.online")]
    Online,
}

/// The type of an event about a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, ToSchema)]
pub(crate) enum StreamEventKind {
    /// The manager starts FFmpeg for a stream that was not running, or that had failed.
    #[serde(rename = "stream.started")]
    Started,
    /// The stream is playable: for the first time, after an interruption, or with another source or other
    /// options.
    #[serde(rename = "stream.live")]
    Live,
    /// The picture of a live stream did not advance for `STALE_TIMEOUT_SECONDS`, or FFmpeg ended because the
    /// camera had stopped sending. The manager keeps reconnecting while the stream has viewers, or if it is
    /// the main stream of a camera with `keep: always`.
    #[serde(rename = "stream.stalled")]
    Stalled,
    /// A live stream was interrupted, and `stream.stalled` does not apply; or reconnecting failed with
    /// another error code than before. The manager keeps reconnecting while the stream has viewers, or if it
    /// is the main stream of a camera with `keep: always`. If the first start of such a main stream fails, this
    /// event is sent as well.
    #[serde(rename = "stream.interrupted")]
    Interrupted,
    /// The stream could not be started. The manager does not retry until a client starts the stream, or
    /// requests its playlist or a picture.
    #[serde(rename = "stream.failed")]
    Failed,
    /// The stream has ended. There is no such event if FFmpeg was never started for the stream.
    #[serde(rename = "stream.stopped")]
    Stopped,
}

/// The reason why a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum StopReason {
    /// No client used the stream any more.
    Idle,
    /// The stream was stopped over the API: a client stopped it, deleted the camera, or removed the stream
    /// from the camera.
    Stop,
    /// The manager shut down.
    Shutdown,
    /// An internal error ended the stream; or no client used the stream any more after its start had failed
    /// or it had been interrupted.
    Failed,
}
