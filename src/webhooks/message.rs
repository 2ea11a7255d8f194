//! The JSON of an event. It contains no secrets, because errors are shown as in the API, and the
//! camera's URL is left out.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Serialize;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::base::error::{Error, ErrorKind};
use crate::camera::id::Profile;
use crate::events::{CameraEventKind, Event, EventKind, StopReason, StreamEventKind};

/// The body of a webhook.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventOutput<'a> {
    /// Id of the event, which stays the same when the event is sent again.
    id: String,
    /// The type of the event.
    #[serde(rename = "type")]
    kind: EventKindOutput,
    /// Time of the event, in UTC.
    #[schema(format = "date-time")]
    at: String,
    /// The camera's id.
    camera: &'a str,
    /// The camera's stream; null if the event is about the camera itself.
    profile: Option<Profile>,
    /// Number of the run of FFmpeg, as in the stream's state; null if the event is about the camera itself.
    generation: Option<u64>,
    /// The reason why the stream ended; null unless the type is `stream.stopped`.
    reason: Option<StopReason>,
    /// The error that led to the event; null without an error.
    error: Option<EventErrorOutput<'a>>,
}

/// The type of an event.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum EventKindOutput {
    Stream(StreamEventKind),
    Camera(CameraEventKind),
}

/// One list of all types, because clients need not distinguish the two kinds of events.
impl PartialSchema for EventKindOutput {
    fn schema() -> RefOr<Schema> {
        let mut schema = StreamEventKind::schema();
        if let RefOr::T(Schema::Object(kinds)) = &mut schema
            && let RefOr::T(Schema::Object(more)) = CameraEventKind::schema()
        {
            kinds.enum_values.get_or_insert_default().extend(more.enum_values.unwrap_or_default());
            kinds.description = Some("The type of an event.".to_owned());
        }
        schema
    }
}

impl ToSchema for EventKindOutput {
    fn name() -> Cow<'static, str> {
        "EventKind".into()
    }
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
    let (kind, stream, error) = match &event.kind {
        EventKind::Stream(stream) => {
            (EventKindOutput::Stream(stream.kind), Some(stream), &stream.error)
        }
        EventKind::Camera(camera) => (EventKindOutput::Camera(camera.kind), None, &camera.error),
    };
    let output = EventOutput {
        id: format!("evt_{:032x}", fastrand::u128(..)),
        kind,
        at: humantime::format_rfc3339_millis(event.at).to_string(),
        camera: event.stream.camera().as_str(),
        profile: stream.map(|_| event.stream.profile()),
        generation: stream.map(|stream| stream.epoch),
        reason: stream.and_then(|stream| stream.reason),
        error: error.as_ref().map(EventErrorOutput::new),
    };
    // Every field can be converted to JSON, so serialization cannot fail.
    serde_json::to_vec(&output).unwrap_or_default().into()
}
