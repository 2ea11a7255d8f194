//! An event as it is sent. It holds no secret: errors are shown as in the API, and links are left
//! out.

use bytes::Bytes;
use serde::Serialize;
use utoipa::ToSchema;

use crate::base::error::{Error, ErrorKind};
use crate::camera::id::Profile;
use crate::events::{Event, EventKind, StopReason, StreamEventKind};

/// The body of a webhook.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventOutput<'a> {
    /// Id of the event, which is the same when the event is sent again.
    id: String,
    /// What happened.
    #[serde(rename = "type")]
    kind: StreamEventKind,
    /// When it happened, in UTC.
    #[schema(format = "date-time")]
    at: String,
    /// The camera's id.
    camera: &'a str,
    /// Which of the camera's streams.
    profile: Profile,
    /// Number of the run of FFmpeg, as in the stream's state.
    generation: u64,
    /// Why the stream has gone; null with the other types.
    reason: Option<StopReason>,
    /// What went wrong; null if nothing did.
    error: Option<EventErrorOutput<'a>>,
}

/// What went wrong.
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

/// Returns the body for `event`, with an id of its own.
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
    // Texts and numbers always have a form in JSON.
    serde_json::to_vec(&output).unwrap_or_default().into()
}
