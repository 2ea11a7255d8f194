//! Use cases of events: finding them, following them, marking them as seen, and reporting them.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value};
use tokio::sync::watch;

use super::core::Core;
use super::live;
use super::live_places::LivePlace;
use super::permission::{self, ensure_can_see};
use super::streams::unknown_camera;
use super::watching::Visitor;
use crate::access::Caller;
use crate::access::permit::Permit;
use crate::base::error::{Error, ErrorKind};
use crate::base::time::unix_millis;
use crate::camera::id::CameraId;
use crate::events::kinds;
use crate::store::EventLog;
use crate::store::db::event_counts::EventCount;
use crate::store::db::event_table::{EventFilter, EventRow};
use crate::store::event_log::report::{Report, Reported, end_after};

/// The largest number of events in one page.
pub(crate) const MAX_PAGE: u32 = 500;
/// The largest number of events that a client that follows events gets at once.
const AT_ONCE: u32 = 50;
/// The greatest length of a type that a back end chooses, in bytes.
const MAX_TYPE: usize = 50;
/// The greatest length of the id that a back end gives to an event, in bytes.
const MAX_REPORTED_ID: usize = 128;
/// The greatest length of the text of an event, in characters.
const MAX_LABEL: usize = 200;
/// The greatest length of the details of an event as JSON, in bytes.
const MAX_DATA: usize = 4096;
/// The time by which the clock of a back end can be ahead.
const MAX_AHEAD: Duration = Duration::from_hours(1);
/// The longest duration of an event.
const MAX_DURATION: Duration = Duration::from_hours(366 * 24);

/// The longest time in which events are counted.
const MAX_COUNTED: Duration = Duration::from_hours(31 * 24);
/// The time in which events are counted by default.
const COUNTED_BY_DEFAULT: Duration = Duration::from_hours(24);

/// A selection of events.
#[derive(Debug, Clone, Default)]
pub(crate) struct EventQuery {
    /// The camera; `None` for all cameras, and events about the service.
    pub(crate) camera: Option<CameraId>,
    /// The name of a type, or the part of such names before the dot.
    pub(crate) kind: Option<String>,
    /// The earliest time, in Unix milliseconds.
    pub(crate) from: Option<i64>,
    /// The time, in Unix milliseconds, before which the events happened.
    pub(crate) to: Option<i64>,
    /// Whether the events are marked as seen.
    pub(crate) seen: Option<bool>,
}

/// An event that a back end reports.
#[derive(Debug, Clone)]
pub(crate) struct NewEvent {
    /// The type, without the prefix.
    pub(crate) kind: String,
    /// The id that the back end has given to the event.
    pub(crate) id: Option<String>,
    /// The time of the event; `None` for now.
    pub(crate) at: Option<SystemTime>,
    /// The end of the event.
    pub(crate) until: Option<SystemTime>,
    /// The text for people.
    pub(crate) label: Option<String>,
    /// The details.
    pub(crate) data: Map<String, Value>,
}

/// A page of events.
#[derive(Debug)]
pub(crate) struct EventPage {
    /// The events, the newest first.
    pub(crate) events: Vec<EventRow>,
    /// True if there are further events.
    pub(crate) has_more: bool,
    /// The number from which a client that follows events continues after this page.
    pub(crate) last: i64,
}

/// The position in the list of events after which a page begins: the time in Unix milliseconds and the id of an event.
pub(crate) type Position = (i64, i64);

/// The events that are marked as seen: those with ids from the first to the second number.
pub(crate) type SeenIds = (i64, i64);

/// A client that follows events.
pub(crate) struct EventView {
    /// The events.
    pub(crate) events: EventChanges,
    /// Resolves with the reason when the view must end.
    pub(crate) end: Pin<Box<dyn Future<Output = Error> + Send>>,
    /// True if the client has missed events that are not stored any more.
    pub(crate) is_reset: bool,
    /// The place of the connection.
    pub(crate) place: LivePlace,
}

/// The events and changes of events that a client has not got yet.
pub(crate) struct EventChanges {
    log: EventLog,
    filter: EventFilter,
    /// The number of the last change that the client has got, or that is not for the client.
    position: i64,
    last: watch::Receiver<i64>,
}

/// Returns a page of the events that the caller can see and that match `query`, the newest first. If `before` is given,
/// returns only the events after this time and id in this order.
pub(crate) async fn list(
    core: &Core,
    caller: &Caller,
    query: EventQuery,
    before: Option<Position>,
    limit: u32,
) -> Result<EventPage, Error> {
    if !(1..=MAX_PAGE).contains(&limit) {
        let detail = format!("limit must be 1 to {MAX_PAGE}");
        return Err(Error::new(ErrorKind::InvalidRequest, detail));
    }
    let filter = filter(core, caller, query).await?;
    // Read before the events, so that a client that continues from this number misses none.
    let last = *core.events.last().borrow();
    let mut events = core.events.page(&filter, before, limit + 1).await?;
    let has_more = events.len() > limit as usize;
    events.truncate(limit as usize);
    Ok(EventPage { events, has_more, last })
}

/// Counts the events that the caller can see and that match `query`, for each hour, camera and type with events, in this
/// order. Without an end, counts until now, and without a beginning, for a day.
pub(crate) async fn count_by_hour(
    core: &Core,
    caller: &Caller,
    query: EventQuery,
) -> Result<Vec<EventCount>, Error> {
    let to = query.to.unwrap_or_else(|| unix_millis(SystemTime::now()).saturating_add(1));
    let from = query.from.unwrap_or_else(|| to.saturating_sub(millis(COUNTED_BY_DEFAULT)));
    if to.saturating_sub(from) > millis(MAX_COUNTED) {
        let detail = "the time from `from` to `to` must be at most 31 days";
        return Err(Error::new(ErrorKind::InvalidRequest, detail));
    }
    let query = EventQuery { from: Some(from), to: Some(to), ..query };
    let filter = filter(core, caller, query).await?;
    core.events.count_by_hour(&filter).await?.ok_or_else(|| {
        let detail = "there are too many events in this time; choose a shorter time, a camera, or a type of events";
        Error::new(ErrorKind::InvalidRequest, detail)
    })
}

/// Marks events that the caller can see and that match `query` as seen. Returns the number of events that were not marked
/// before.
pub(crate) async fn mark_seen(
    core: &Core,
    caller: &Caller,
    query: EventQuery,
    ids: SeenIds,
) -> Result<usize, Error> {
    let filter = filter(core, caller, query).await?;
    core.events.mark_seen(&filter, ids).await
}

/// Stores an event that a back end reports about a camera. An event whose id is known is not stored again, but can get
/// another end.
pub(crate) async fn report(
    core: &Core,
    caller: &Caller,
    id: &CameraId,
    new: NewEvent,
) -> Result<Reported, Error> {
    let record = core.cameras.get(id).await?.ok_or_else(|| unknown_camera(id))?;
    caller.ensure_owns(record.owner.as_deref(), id)?;
    let now = SystemTime::now();
    let at = new.at.unwrap_or(now);
    ensure_is_reportable(&new, at, now, core.events.limits().oldest(now))?;
    let report = Report {
        camera: id.clone(),
        identity: record.identity(),
        kind: format!("{}.{}", kinds::REPORTED, new.kind),
        id: new.id,
        number: None,
        at: unix_millis(at),
        until: new.until.map(|until| {
            let until = unix_millis(until);
            end_after(unix_millis(at), until).unwrap_or(until)
        }),
        label: new.label,
        data: Arc::new(new.data),
    };
    core.events.report(report).await
}

/// Returns a view of the events that the caller can see and that match `query`, from the change with the number `last_id`
/// on, or from now on.
pub(crate) async fn follow(
    core: &Arc<Core>,
    caller: &Caller,
    query: EventQuery,
    visitor: Visitor<'_>,
    last_id: Option<&str>,
) -> Result<EventView, Error> {
    let filter = filter(core, caller, query).await?;
    let permit = Permit::of_caller(caller);
    // Permissions of API keys do not end.
    open(core, filter, &permit, visitor, last_id, Box::pin(std::future::pending())).await
}

/// Returns a view of the events of one camera that a viewer can see, from the change with the number `last_id` on, or
/// from now on.
pub(crate) async fn follow_camera(
    core: &Arc<Core>,
    id: &CameraId,
    visitor: Visitor<'_>,
    last_id: Option<&str>,
) -> Result<EventView, Error> {
    let permit = permission::permit_to_watch(core, &visitor.shown, id).await?;
    core.cameras.get(id).await?.ok_or_else(|| unknown_camera(id))?;
    let query = EventQuery { camera: Some(id.clone()), ..EventQuery::default() };
    let filter = restricted(query, &permit)?;
    let end = {
        let (core, permit, id) = (Arc::clone(core), permit.clone(), id.clone());
        async move { live::refusal(&core, &permit, &id, || Ok(())).await }
    };
    open(core, filter, &permit, visitor, last_id, Box::pin(end)).await
}

impl EventChanges {
    /// Returns the number of the last change that the client has got, or that is not for the client.
    pub(crate) fn position(&self) -> i64 {
        self.position
    }

    /// Waits for events and changes of events, by the numbers of the changes. Can be cancelled without losing events.
    pub(crate) async fn next(&mut self) -> Result<Vec<EventRow>, Error> {
        loop {
            if let Some(rows) = self.read().await? {
                return Ok(rows);
            }
            // The sender is in the log.
            let _ = self.last.changed().await;
        }
    }

    /// Returns the waiting events and changes; `None` if there are none.
    pub(crate) async fn read(&mut self) -> Result<Option<Vec<EventRow>>, Error> {
        let last = *self.last.borrow_and_update();
        if last <= self.position {
            return Ok(None);
        }
        let rows = self.log.changes(&self.filter, self.position, AT_ONCE).await?;
        let newest = rows.last().map_or(self.position, |row| row.change);
        let is_all = rows.len() < AT_ONCE as usize;
        self.position = if is_all { newest.max(last) } else { newest };
        Ok(Some(rows).filter(|rows| !rows.is_empty()))
    }
}

async fn open(
    core: &Arc<Core>,
    filter: EventFilter,
    permit: &Permit,
    visitor: Visitor<'_>,
    last_id: Option<&str>,
    permission_end: Pin<Box<dyn Future<Output = Error> + Send>>,
) -> Result<EventView, Error> {
    let place = core.live_places.take(permit.user(), visitor.shown.address.unwrap_or_default())?;
    let log = core.events.clone();
    let last = log.last();
    let numbers = log.numbers().await?;
    let known = last_id.map(|id| {
        let number = id.trim().parse::<i64>().ok();
        number.filter(|number| (numbers.forgotten..=numbers.last).contains(number))
    });
    let position = known.flatten().unwrap_or(numbers.last);
    let closing = log.clone();
    let end = async move {
        tokio::select! {
            error = permission_end => error,
            () = closing.closed() => Error::shutting_down(),
        }
    };
    Ok(EventView {
        events: EventChanges { log, filter, position, last },
        end: Box::pin(end),
        is_reset: known == Some(None),
        place,
    })
}

/// Returns the filter for the events that the caller can see and that match `query`.
async fn filter(core: &Core, caller: &Caller, query: EventQuery) -> Result<EventFilter, Error> {
    if let Some(camera) = &query.camera {
        ensure_can_see(core, caller, camera).await?;
    }
    restricted(query, &Permit::of_caller(caller))
}

/// Returns the filter for the events that the permission covers and that match `query`.
fn restricted(query: EventQuery, permit: &Permit) -> Result<EventFilter, Error> {
    let EventQuery { camera, kind, from, to, seen } = query;
    if let Some(kind) = &kind
        && !kinds::is_known(kind)
    {
        let detail =
            "unknown type of events; use a type such as `stream.live`, or a group such as `stream`";
        return Err(Error::new(ErrorKind::InvalidRequest, detail));
    }
    let covered = permission::events_of(permit, SystemTime::now());
    let from = from.max(covered.from);
    let to = [to, covered.to].into_iter().flatten().min();
    let camera = camera.map(|camera| camera.as_str().to_owned());
    Ok(EventFilter { owner: covered.owner, camera, kind, from, to, seen })
}

/// Returns an error if a field of a reported event is invalid. `oldest` is the time in Unix milliseconds before which
/// events are deleted.
fn ensure_is_reportable(
    new: &NewEvent,
    at: SystemTime,
    now: SystemTime,
    oldest: i64,
) -> Result<(), Error> {
    let NewEvent { kind, id, until, label, data, .. } = new;
    let invalid = |detail: String| Err(Error::new(ErrorKind::InvalidRequest, detail));
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(is_word);
    if kind.len() > MAX_TYPE || !kind.split(['.', '-', '_']).all(is_word) {
        return invalid(format!(
            "type must be at most {MAX_TYPE} characters: words of a-z and 0-9, separated by single dots, hyphens or underscores"
        ));
    }
    let is_printable = |id: &String| id.bytes().all(|byte| byte.is_ascii_graphic());
    let fits = |id: &String| (1..=MAX_REPORTED_ID).contains(&id.len());
    if id.as_ref().is_some_and(|id| !fits(id) || !is_printable(id)) {
        return invalid(format!(
            "id must be 1 to {MAX_REPORTED_ID} ASCII characters without spaces"
        ));
    }
    let is_label =
        |label: &String| label.chars().count() <= MAX_LABEL && !label.chars().any(char::is_control);
    if label.as_ref().is_some_and(|label| !is_label(label)) {
        return invalid(format!("label must be at most {MAX_LABEL} characters in one line"));
    }
    let length = serde_json::to_vec(data).map_or(usize::MAX, |json| json.len());
    if length > MAX_DATA {
        return invalid(format!("data must be at most {MAX_DATA} bytes as JSON"));
    }
    if now.checked_add(MAX_AHEAD).is_some_and(|latest| at > latest) {
        return invalid("at is in the future; check the clock of the sender".to_owned());
    }
    if unix_millis(at) < oldest {
        return invalid("at is so long ago that the event would be deleted at once".to_owned());
    }
    let Some(until) = until else { return Ok(()) };
    if until.duration_since(at).is_ok_and(|duration| duration > MAX_DURATION) {
        return invalid("until is more than 366 days after at".to_owned());
    }
    // A known event has begun earlier than now.
    let is_perhaps_known = id.is_some() && new.at.is_none();
    if !is_perhaps_known && end_after(unix_millis(at), unix_millis(*until)).is_none() {
        return invalid("until is earlier than at".to_owned());
    }
    Ok(())
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
