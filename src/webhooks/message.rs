//! The JSON of an event. It contains no secret: errors are shown as in the API, and the camera's
//! URL is left out.

use bytes::Bytes;
use serde::Serialize;
use utoipa::ToSchema;

use crate::base::error::{Error, ErrorKind};
use crate::camera::id::Profile;
use crate::events::{Event, EventKind, StopReason, StreamEventKind};

/// The body of a webhook.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventOutput<'a> {
    /// Id of the event, which stays the same when the event is sent again.
    id: String,
    /// The type of the event.
    #[serde(rename = "type")]
    kind: StreamEventKind,
    /// When the event happened, in UTC.
    #[schema(format = "date-time")]
    at: String,
    /// The camera's id.
    camera: &'a str,
    /// The camera's stream.
    profile: Profile,
    /// Number of the run of FFmpeg, as in the stream's state.
    generation: u64,
    /// The reason why the stream ended; null unless the type is `stream.stopped`.
    reason: Option<StopReason>,
    /// The error that led to the event; null without an error.
    error: Option<EventErrorOutput<'a>>,
}

/// The error that led to an event.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventErrorOutput<'a> {
    /// The stable code, as in the API's errors.
    code: ErrorKind,
    /// Description for people.
    detail: &'a str,
}

impl<'a> EventErrorOutput<'a> {
    fn new(error: &'a Error) -> Self {
        Self { code: error.kind, detail: &error.detail }
    }
}

/// Returns the body of a webhook for `event`, with a new random id.
pub(super) fn body(event: &Event) -> Bytes {
    let EventKind::Stream(stream) = &event.kind;
    let output = EventOutput {
        id: format!("evt_{:032x}", fastrand::u128(..)),
        kind: stream.kind,
        at: humantime::format_rfc3339_millis(event.at).to_string(),
        camera: event.stream.camera().as_str(),
        profile: event.stream.profile(),
        generation: stream.epoch,
        reason: stream.reason,
        error: stream.error.as_ref().map(EventErrorOutput::new),
    };
    // Every field can be converted to JSON, so serialization cannot fail.
    serde_json::to_vec(&output).unwrap_or_default().into()
}
