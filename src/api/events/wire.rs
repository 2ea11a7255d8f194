//! Input and output of requests about events.

use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use crate::base::error::{Error, ErrorKind};
use crate::base::time::{parse_rfc3339, rfc3339, rfc3339_millis, unix_millis};
use crate::camera::id::CameraId;
use crate::service::events::{EventPage, EventQuery, NewEvent, Position, SeenIds};
use crate::store::db::event_counts::EventCount;
use crate::store::db::event_table::EventRow;

use crate::api::wire::{optional_flag, optional_number};

/// The number of events in a page by default.
const DEFAULT_LIMIT: u32 = 100;

/// A selection of events, and the page of it to return.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventsInput {
    /// The camera's id.
    #[param(nullable = false)]
    camera: Option<String>,
    /// The type, such as `stream.live`, or a group of types, such as `stream`.
    #[serde(rename = "type")]
    #[param(rename = "type", nullable = false)]
    kind: Option<String>,
    /// The earliest time of the events.
    #[param(nullable = false, format = DateTime)]
    from: Option<String>,
    /// The time before which the events happened.
    #[param(nullable = false, format = DateTime)]
    to: Option<String>,
    /// Whether the events are marked as seen; both by default.
    #[serde(default, deserialize_with = "optional_flag")]
    #[param(nullable = false)]
    seen: Option<bool>,
    /// The largest number of events.
    #[serde(default, deserialize_with = "optional_number")]
    #[param(nullable = false, default = 100, minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// The value of `next` in the previous page. The other parameters must stay the same.
    #[param(nullable = false)]
    cursor: Option<String>,
}

/// A selection of events to count.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct CountsInput {
    /// The camera's id.
    #[param(nullable = false)]
    camera: Option<String>,
    /// The type, such as `stream.live`, or a group of types, such as `stream`.
    #[serde(rename = "type")]
    #[param(rename = "type", nullable = false)]
    kind: Option<String>,
    /// The earliest time of the events; by default 24 hours before `to`.
    #[param(nullable = false, format = DateTime)]
    from: Option<String>,
    /// The time before which the events happened; now by default. At most 31 days after `from`.
    #[param(nullable = false, format = DateTime)]
    to: Option<String>,
}

/// A selection of events to follow.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct FollowInput {
    /// The camera's id.
    #[param(nullable = false)]
    camera: Option<String>,
    /// The type, such as `stream.live`, or a group of types, such as `stream`.
    #[serde(rename = "type")]
    #[param(rename = "type", nullable = false)]
    kind: Option<String>,
}

/// The events to mark as seen: one event, or all events up to an id.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "up_to": 1207 }))]
pub(crate) struct SeenInput {
    /// The id of one event.
    #[schema(nullable = false)]
    id: Option<i64>,
    /// The greatest id of the events. The other fields can limit them further.
    #[schema(nullable = false)]
    up_to: Option<i64>,
    /// The earliest time of the events.
    #[schema(nullable = false, format = DateTime)]
    from: Option<String>,
    /// The time before which the events happened.
    #[schema(nullable = false, format = DateTime)]
    to: Option<String>,
    /// The camera's id.
    #[schema(nullable = false)]
    camera: Option<String>,
    /// The type, such as `stream.live`, or a group of types, such as `stream`.
    #[serde(rename = "type")]
    #[schema(nullable = false)]
    kind: Option<String>,
}

/// The result of marking events as seen.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SeenOutput {
    /// The number of events that were not marked before.
    pub(super) marked: usize,
}

/// An event that a back end reports.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "type": "door",
    "id": "door-4711",
    "label": "Front door opened",
    "data": { "user": "Anna" },
}))]
pub(crate) struct ReportInput {
    /// The type, of at most 50 characters: words of a-z and 0-9, separated by single dots, hyphens or underscores. The
    /// event is stored with the type `reported.` followed by this type.
    #[serde(rename = "type")]
    #[schema(pattern = "^[a-z0-9]+([._-][a-z0-9]+)*$", max_length = 50)]
    kind: String,
    /// An id that the sender chooses, unique for the camera: 1 to 128 ASCII characters without spaces. A report with a
    /// known id adds no event, so that it can be repeated.
    #[schema(nullable = false, max_length = 128)]
    id: Option<String>,
    /// The time of the event, or of its beginning; by default the time of the request. At most an hour in the future.
    #[schema(nullable = false, format = DateTime)]
    at: Option<String>,
    /// The end of the event, at most 366 days after `at`. A later report with the same `id` can add or change it.
    #[schema(nullable = false, format = DateTime)]
    until: Option<String>,
    /// Text for people, of at most 200 characters in one line.
    #[schema(nullable = false, max_length = 200)]
    label: Option<String>,
    /// Details, of at most 4096 bytes as JSON.
    #[serde(default)]
    #[schema(nullable = false, value_type = Option<Object>)]
    data: Option<Map<String, Value>>,
}

/// A page of events.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventsOutput {
    /// The events, the newest first.
    events: Vec<StoredEventOutput>,
    /// The `cursor` of the next page; null if this is the last page.
    next: Option<String>,
    /// The value of the header `Last-Event-ID` with which a client follows the events after this response.
    last_event_id: i64,
}

/// Counts of events by hour.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CountsOutput {
    /// The counts, by hour, camera and type. Hours without events are left out.
    hours: Vec<EventCountOutput>,
}

/// The number of events of a camera and type in one hour.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EventCount)]
struct EventCountOutput {
    /// Beginning of the hour in UTC.
    #[schema(format = DateTime)]
    hour: String,
    /// The camera's id; null if the events are about the service.
    camera: Option<String>,
    /// The type of the events.
    #[serde(rename = "type")]
    kind: String,
    /// The number of events that began in this hour, including the `repeats` of these events.
    count: i64,
}

/// A stored event.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StoredEvent)]
pub(crate) struct StoredEventOutput {
    /// The number of the event. Later events have greater numbers.
    id: i64,
    /// The type of the event.
    #[serde(rename = "type")]
    kind: String,
    /// Time of the event, or of its beginning, in UTC.
    #[schema(format = DateTime)]
    at: String,
    /// End of the event, or time of its last repetition, in UTC; null if the event has no end, or has not ended.
    #[schema(format = DateTime)]
    until: Option<String>,
    /// The camera's id; null if the event is about the service.
    camera: Option<String>,
    /// Text for people; null unless a back end has reported the event with a text.
    label: Option<String>,
    /// Details, which depend on the type.
    #[schema(value_type = Object)]
    data: Box<RawValue>,
    /// The id that a back end has given to the event; null for all other events.
    reported_id: Option<String>,
    /// The number of later events of the same camera and type that were not stored separately.
    repeats: i64,
    /// Whether the event is marked as seen.
    seen: bool,
}

impl EventsInput {
    /// Returns the selection, the position after which the page begins, and the largest number of events.
    pub(super) fn parse(self) -> Result<(EventQuery, Option<Position>, u32), Error> {
        let cursor = self.cursor.as_deref().filter(|cursor| !cursor.is_empty());
        let before = cursor.map(position).transpose()?;
        let query = EventQuery { seen: self.seen, ..query(self.camera.as_deref(), self.kind)? };
        let query = in_time(query, self.from.as_deref(), self.to.as_deref())?;
        Ok((query, before, self.limit.unwrap_or(DEFAULT_LIMIT)))
    }
}

impl CountsInput {
    /// Returns the selection.
    pub(super) fn parse(self) -> Result<EventQuery, Error> {
        let query = query(self.camera.as_deref(), self.kind)?;
        in_time(query, self.from.as_deref(), self.to.as_deref())
    }
}

impl FollowInput {
    /// Returns the selection.
    pub(super) fn parse(self) -> Result<EventQuery, Error> {
        query(self.camera.as_deref(), self.kind)
    }
}

impl SeenInput {
    /// Returns the selection, and the ids of the events.
    pub(super) fn parse(self) -> Result<(EventQuery, SeenIds), Error> {
        let ids = match (self.id, self.up_to) {
            (Some(id), None) => (id, id),
            (None, Some(last)) => (0, last),
            _ => {
                let detail = "the body must have either `id` or `up_to`";
                return Err(Error::new(ErrorKind::InvalidRequest, detail));
            }
        };
        let query = query(self.camera.as_deref(), self.kind)?;
        Ok((in_time(query, self.from.as_deref(), self.to.as_deref())?, ids))
    }
}

impl ReportInput {
    /// Returns the event.
    pub(super) fn parse(self) -> Result<NewEvent, Error> {
        Ok(NewEvent {
            at: time("at", self.at.as_deref())?,
            until: time("until", self.until.as_deref())?,
            kind: self.kind,
            id: self.id,
            label: self.label.filter(|label| !label.is_empty()),
            data: self.data.unwrap_or_default(),
        })
    }
}

impl EventsOutput {
    /// Creates the output of a page.
    pub(super) fn new(page: EventPage) -> Self {
        let EventPage { events, has_more, last } = page;
        let next = events.last().filter(|_| has_more).map(cursor);
        let events = events.into_iter().map(StoredEventOutput::new).collect();
        Self { events, next, last_event_id: last }
    }
}

impl CountsOutput {
    /// Creates the output of counts.
    pub(super) fn new(counts: Vec<EventCount>) -> Self {
        let hours = counts.into_iter().map(|count| EventCountOutput {
            hour: rfc3339((count.hour / 1000).unsigned_abs()),
            camera: count.camera,
            kind: count.kind,
            count: count.count,
        });
        Self { hours: hours.collect() }
    }
}

impl StoredEventOutput {
    /// Creates the output of an event.
    pub(in crate::api) fn new(row: EventRow) -> Self {
        Self {
            id: row.id,
            kind: row.kind,
            at: rfc3339_millis(row.at),
            until: row.until.map(rfc3339_millis),
            camera: row.camera,
            label: row.label,
            // The manager has written the JSON, so this fails only if the database is damaged.
            data: RawValue::from_string(row.data).unwrap_or_default(),
            reported_id: row.reported_id,
            repeats: row.repeats,
            seen: row.seen,
        }
    }
}

/// Limits a selection to a time.
fn in_time(query: EventQuery, from: Option<&str>, to: Option<&str>) -> Result<EventQuery, Error> {
    let (from, to) = (time("from", from)?.map(unix_millis), time("to", to)?.map(unix_millis));
    Ok(EventQuery { from, to, ..query })
}

fn query(camera: Option<&str>, kind: Option<String>) -> Result<EventQuery, Error> {
    let camera = camera.map(str::trim).filter(|camera| !camera.is_empty());
    let camera = camera.map(CameraId::parse).transpose()?;
    let kind = kind.filter(|kind| !kind.is_empty());
    Ok(EventQuery { camera, kind, ..EventQuery::default() })
}

fn time(field: &str, text: Option<&str>) -> Result<Option<SystemTime>, Error> {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
    parse_rfc3339(text).map(Some).ok_or_else(|| {
        let detail = format!("{field} must be a time such as 2026-02-03T04:05:06Z");
        Error::new(ErrorKind::InvalidRequest, detail)
    })
}

/// Returns the cursor of the page after an event.
fn cursor(row: &EventRow) -> String {
    BASE64.encode(format!("{}.{}", row.at, row.id))
}

/// Returns the time and the number of the event after which the page with this cursor begins.
fn position(cursor: &str) -> Result<Position, Error> {
    let parse = || {
        let text = String::from_utf8(BASE64.decode(cursor).ok()?).ok()?;
        let (at, id) = text.split_once('.')?;
        Some((at.parse().ok()?, id.parse().ok()?))
    };
    parse().ok_or_else(|| {
        let detail = "cursor is invalid; use the value of `next` in the previous page";
        Error::new(ErrorKind::InvalidRequest, detail)
    })
}
