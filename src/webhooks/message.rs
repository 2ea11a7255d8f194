//! The JSON of an event. It contains no secrets, because errors are shown as in the API, and the
//! camera's URL is left out.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::base::error::{Error, ErrorKind};
use crate::camera::id::{CameraId, Profile};
use crate::events::{CameraEventKind, Event, EventKind, StopReason, StreamEventKind, kinds};

/// The body of a webhook.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventOutput<'a> {
    /// Id of the event, which stays the same when the event is sent again.
    id: String,
    /// The type of the event.
    #[serde(rename = "type")]
    kind: EventKindOutput<'a>,
    /// Time of the event, in UTC.
    #[schema(format = "date-time")]
    at: String,
    /// The camera's id; null if the event is about the service.
    camera: Option<&'a str>,
    /// The camera's stream; null unless the event is about a stream.
    profile: Option<Profile>,
    /// Number of the run of FFmpeg, as in the stream's state; null unless the event is about a stream.
    generation: Option<u64>,
    /// The reason why the stream ended; null unless the type is `stream.stopped`.
    reason: Option<StopReason>,
    /// The error that led to the event; null without an error.
    error: Option<EventErrorOutput<'a>>,
    /// The number of the event in `/api/events`; only in events that a back end has reported.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    event: Option<i64>,
    /// End of the event, in UTC; only in events that a back end has reported with an end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = "date-time")]
    until: Option<String>,
    /// Text for people; only in events that a back end has reported with a text.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    label: Option<&'a str>,
    /// Details; only in events that a back end has reported.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<Object>)]
    data: Option<Map<String, Value>>,
}

/// The name of an event's type.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct EventKindOutput<'a>(&'a str);

/// One list of all types, because clients need not distinguish the groups of events, and the types that back ends
/// choose.
impl PartialSchema for EventKindOutput<'_> {
    fn schema() -> RefOr<Schema> {
        let names = [StreamEventKind::NAMES, CameraEventKind::NAMES].concat();
        let own = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names));
        let reported = ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some(format!("^{}\\.", kinds::REPORTED)));
        let all = OneOfBuilder::new().item(own).item(reported);
        let description = "The type of an event. The types of events that a back end has reported begin with `reported.`.";
        all.description(Some(description)).into()
    }
}

impl ToSchema for EventKindOutput<'_> {
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
    let stream = match &event.kind {
        EventKind::Stream(stream) => Some(stream),
        _ => None,
    };
    let reported = match &event.kind {
        EventKind::Reported(reported) => Some(reported),
        _ => None,
    };
    let (has_profile, has_data) = match &event.kind {
        EventKind::Stream(_) => (true, false),
        EventKind::Camera(_) => (false, false),
        EventKind::Recording(_) => (true, true),
        EventKind::Storage(_) | EventKind::Reported(_) => (false, true),
    };
    let profile = event.subject.as_ref().map(|subject| subject.stream.profile());
    let profile = profile.filter(|_| has_profile);
    let time = |time| humantime::format_rfc3339_millis(time).to_string();
    let output = EventOutput {
        id: format!("evt_{:032x}", fastrand::u128(..)),
        kind: EventKindOutput(event.kind.name()),
        at: time(event.at),
        camera: event.camera().map(CameraId::as_str),
        profile,
        generation: stream.map(|stream| stream.epoch),
        reason: stream.and_then(|stream| stream.reason),
        error: event.kind.error().map(EventErrorOutput::new),
        event: reported.map(|reported| reported.number),
        until: reported.and_then(|reported| reported.until).map(time),
        label: reported.and_then(|reported| reported.label.as_deref()),
        data: has_data.then(|| event.kind.data(profile)),
    };
    // Every field can be converted to JSON, so serialization cannot fail.
    serde_json::to_vec(&output).unwrap_or_default().into()
}
