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
use crate::events::{Event, EventKind, StopReason, kinds};

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
    /// The camera's stream; null unless the event is about a stream or its recording.
    profile: Option<Profile>,
    /// Number of the run of FFmpeg, as in the stream's state; null unless the event is about a stream.
    generation: Option<u64>,
    /// The reason why the stream ended; null unless the type is `stream.stopped`.
    reason: Option<StopReason>,
    /// The error that led to the event; null without an error.
    error: Option<EventErrorOutput<'a>>,
    /// The number of the event in `/api/events`; only in motion, and in events that a back end has reported.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    event: Option<i64>,
    /// End of the event, in UTC; only in motion that has ended, and in events that a back end has reported with an end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = "date-time")]
    until: Option<String>,
    /// Text for people; only in events that a back end has reported with a text.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    label: Option<&'a str>,
    /// Details; only in events about recordings and directories, in motion, and in events that a back end has reported.
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
        let own = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(kinds::names()));
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, UNIX_EPOCH};

    use serde_json::json;

    use super::*;
    use crate::camera::id::StreamId;
    use crate::camera::identity::Identity;
    use crate::events::{
        CameraEvent, CameraEventKind, RecordingEvent, RecordingEventKind, ReportedEvent,
        StorageEvent, StorageEventKind, StreamEvent, StreamEventKind, Subject,
    };

    /// Returns the body of an event of the sub stream of the camera `cam`, without its random id.
    fn text(kind: EventKind) -> String {
        let stream = StreamId::parse("cam~sub").expect("an id");
        let is_storage = matches!(kind, EventKind::Storage(_));
        let subject = Subject::stream(stream, Identity::default());
        let at = UNIX_EPOCH + Duration::from_secs(1_763_719_201);
        let event = Event { at, subject: Some(subject).filter(|_| !is_storage), kind };
        let body = String::from_utf8(body(&event).to_vec()).expect("text");
        let (id, rest) = body.split_once(',').expect("fields");
        assert!(id.starts_with("{\"id\":\"evt_") && id.len() == 44, "{id}");
        rest.to_owned()
    }

    #[test]
    fn bodies_of_streams_and_cameras_keep_their_fields() {
        let error = Some(Error::new(ErrorKind::SourceTimeout, "no picture"));
        let (kind, reason) = (StreamEventKind::Stopped, Some(StopReason::Failed));
        let stopped = StreamEvent { kind, epoch: 7, reason, error: error.clone() };
        let expected = r#""type":"stream.stopped","at":"2025-11-21T10:00:01.000Z","camera":"cam","profile":"sub","generation":7,"reason":"failed","error":{"code":"source_timeout","detail":"no picture"}}"#;
        assert_eq!(text(EventKind::Stream(stopped)), expected);
        let online = CameraEvent { kind: CameraEventKind::Online, error: None };
        let expected = r#""type":"camera.online","at":"2025-11-21T10:00:01.000Z","camera":"cam","profile":null,"generation":null,"reason":null,"error":null}"#;
        assert_eq!(text(EventKind::Camera(online)), expected);
    }

    #[test]
    fn bodies_of_other_events_have_details() {
        let recording = RecordingEvent { kind: RecordingEventKind::Started, error: None };
        let expected = r#""type":"recording.started","at":"2025-11-21T10:00:01.000Z","camera":"cam","profile":"sub","generation":null,"reason":null,"error":null,"data":{"profile":"sub"}}"#;
        assert_eq!(text(EventKind::Recording(recording)), expected);
        let (kind, directory) = (StorageEventKind::Full, "/recordings".to_owned());
        let storage = StorageEvent { kind, directory, error: None };
        let expected = r#""type":"storage.full","at":"2025-11-21T10:00:01.000Z","camera":null,"profile":null,"generation":null,"reason":null,"error":null,"data":{"directory":"/recordings"}}"#;
        assert_eq!(text(EventKind::Storage(storage)), expected);
        let reported = ReportedEvent {
            number: 9,
            name: "reported.door".to_owned(),
            until: Some(UNIX_EPOCH + Duration::from_secs(1_763_719_202)),
            label: Some("Door".to_owned()),
            data: Arc::new(Map::from_iter([("user".to_owned(), json!("Anna"))])),
        };
        let expected = r#""type":"reported.door","at":"2025-11-21T10:00:01.000Z","camera":"cam","profile":null,"generation":null,"reason":null,"error":null,"event":9,"until":"2025-11-21T10:00:02.000Z","label":"Door","data":{"user":"Anna"}}"#;
        assert_eq!(text(EventKind::Reported(reported)), expected);
    }
}
