//! Events that back ends report, and motion: storing them once, adding their end, and their limit.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Map, Value};
use tokio::time::Instant;

use crate::base::error::{Error, ErrorKind};
use crate::camera::id::CameraId;
use crate::camera::identity::Identity;
use crate::events::kinds::MOTION;
use crate::events::{Event, EventKind, ReportedEvent, Subject};
use crate::store::db::WriteTransaction;
use crate::store::db::event_table::EventRow;

/// The largest number of new events that back ends can report for one camera within [`WINDOW`]. Otherwise, the events of
/// one camera could replace those of all others.
const MAX_REPORTS: u32 = 600;
/// The time over which the events are counted.
const WINDOW: Duration = Duration::from_hours(1);
/// The number of cameras after which the ones without recent events are forgotten.
const MANY_CAMERAS: usize = 1000;

/// An event that a back end reports, or motion. Times are in Unix milliseconds.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    /// The camera.
    pub(crate) camera: CameraId,
    /// Which camera of which owner has the id.
    pub(crate) identity: Identity,
    /// The type, which begins with `reported.`, or is [`MOTION`].
    pub(crate) kind: String,
    /// The id that the back end has given to the event; `None` if each report is a new event.
    pub(crate) id: Option<String>,
    /// The number of the stored event that gets this end and these details; `None` if it is not known. If this event was
    /// deleted in the meantime, the report is a new event.
    pub(crate) number: Option<i64>,
    /// The time of the event, or of its beginning.
    pub(crate) at: i64,
    /// The end of the event; `None` if the event has no duration, or has not ended yet.
    pub(crate) until: Option<i64>,
    /// The text for people.
    pub(crate) label: Option<String>,
    /// The details.
    pub(crate) data: Arc<Map<String, Value>>,
}

/// The result of a report.
#[derive(Debug, Clone)]
pub(crate) struct Reported {
    /// The event as it is stored.
    pub(crate) row: EventRow,
    /// What the report has changed.
    pub(crate) effect: Effect,
}

/// What a report has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// The event was added.
    Added,
    /// The event was known, and has got another end.
    Ended,
    /// The event was known as it is.
    Unchanged,
}

/// Returns the end of an event that began at `at`; `None` if `until` is earlier. The time of a back end may have a precision
/// of seconds, so an end less than a second earlier counts as `at`.
pub(crate) fn end_after(at: i64, until: i64) -> Option<i64> {
    (until > at - 1000).then_some(until.max(at))
}

/// The numbers of new events that back ends have reported, by camera and its incarnation.
#[derive(Debug, Default)]
pub(super) struct ReportRates(HashMap<(CameraId, i64), (Instant, u32)>);

impl ReportRates {
    /// Returns an error if there were too many new events of the camera.
    fn ensure_below_limit(&self, camera: &CameraId, incarnation: i64) -> Result<(), Error> {
        let recent = self
            .0
            .get(&(camera.clone(), incarnation))
            .filter(|(since, _)| since.elapsed() < WINDOW);
        let Some((since, _)) = recent.filter(|(_, count)| *count >= MAX_REPORTS) else {
            return Ok(());
        };
        let detail = format!(
            "{MAX_REPORTS} events were reported for camera {camera} within an hour; report fewer events"
        );
        let wait = WINDOW.saturating_sub(since.elapsed());
        Err(Error::new(ErrorKind::TooManyEvents, detail).retry_after(wait))
    }

    /// Counts a new event of the camera.
    pub(super) fn count(&mut self, camera: &CameraId, incarnation: i64) {
        if self.0.len() >= MANY_CAMERAS {
            self.0.retain(|_, (since, _)| since.elapsed() < WINDOW);
        }
        let (since, count) =
            self.0.entry((camera.clone(), incarnation)).or_insert((Instant::now(), 0));
        if since.elapsed() >= WINDOW {
            (*since, *count) = (Instant::now(), 0);
        }
        *count += 1;
    }
}

impl Report {
    /// Stores the event within a transaction, unless it is known. `last` is the last number that was used.
    pub(super) async fn store(
        &self,
        write: &mut WriteTransaction,
        last: &mut i64,
        rates: &ReportRates,
    ) -> Result<Result<Reported, Error>, sqlx::Error> {
        let (camera, incarnation) = (self.camera.as_str(), self.identity.incarnation);
        if let Some(id) = &self.id
            && let Some(known) = write.reported_event(camera, incarnation, id).await?
        {
            return self.update(known, write, last).await;
        }
        if let Some(number) = self.number
            && let Some(known) = write.event(number).await?
        {
            return self.replace(known, write, last).await.map(Ok);
        }
        // Motion cannot have too many events, because `crate::analysis` prolongs the pauses between them.
        if self.kind != MOTION
            && let Err(error) = rates.ensure_below_limit(&self.camera, incarnation)
        {
            return Ok(Err(error));
        }
        if self.until.is_some_and(|until| end_after(self.at, until).is_none()) {
            let detail =
                "until is earlier than the time of the event, and no event with this id is known";
            return Ok(Err(Error::new(ErrorKind::InvalidRequest, detail)));
        }
        *last += 1;
        let row = EventRow {
            id: *last,
            change: *last,
            at: self.at,
            until: self.until,
            camera: Some(camera.to_owned()),
            incarnation,
            owner: self.identity.owner.as_deref().map(str::to_owned),
            kind: self.kind.clone(),
            label: self.label.clone(),
            data: Value::Object(self.data.as_ref().clone()).to_string(),
            reported_id: self.id.clone(),
            repeats: 0,
            seen: false,
        };
        write.add_event(&row).await?;
        Ok(Ok(Reported { row, effect: Effect::Added }))
    }

    /// Sets the end and the details of a known event.
    async fn replace(
        &self,
        mut row: EventRow,
        write: &mut WriteTransaction,
        last: &mut i64,
    ) -> Result<Reported, sqlx::Error> {
        *last += 1;
        (row.until, row.change) = (self.until, *last);
        row.data = Value::Object(self.data.as_ref().clone()).to_string();
        write.change_event(&row).await?;
        Ok(Reported { row, effect: Effect::Ended })
    }

    /// Adds the end of a known event.
    async fn update(
        &self,
        mut row: EventRow,
        write: &mut WriteTransaction,
        last: &mut i64,
    ) -> Result<Result<Reported, Error>, sqlx::Error> {
        let invalid = |kind, detail: &str| Ok(Err(Error::new(kind, detail)));
        if row.kind != self.kind {
            let detail = "an event with this id and another type was reported for this camera";
            return invalid(ErrorKind::EventExists, detail);
        }
        let Some(until) = self.until else {
            return Ok(Ok(Reported { row, effect: Effect::Unchanged }));
        };
        let Some(until) = end_after(row.at, until) else {
            let detail = "until is earlier than the time of the event";
            return invalid(ErrorKind::InvalidRequest, detail);
        };
        if row.until == Some(until) {
            return Ok(Ok(Reported { row, effect: Effect::Unchanged }));
        }
        *last += 1;
        write.end_event(row.id, until, *last).await?;
        (row.until, row.change) = (Some(until), *last);
        Ok(Ok(Reported { row, effect: Effect::Ended }))
    }
}

/// Returns the event for subscribers that is stored as `row`.
pub(super) fn event(row: &EventRow, camera: CameraId, identity: Identity) -> Event {
    let time = |millis: i64| UNIX_EPOCH + Duration::from_millis(millis.unsigned_abs());
    Event {
        at: time(row.at),
        subject: Some(Subject::camera(camera, identity)),
        kind: EventKind::Reported(ReportedEvent {
            number: row.id,
            name: row.kind.clone(),
            until: row.until.map(time),
            label: row.label.clone(),
            data: Arc::new(serde_json::from_str(&row.data).unwrap_or_default()),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn reports_are_limited_for_an_hour() {
        let mut rates = ReportRates::default();
        let id = |id: &str| CameraId::parse(id).expect("an id");
        for _ in 0..MAX_REPORTS {
            rates.ensure_below_limit(&id("a"), 1).expect("below the limit");
            rates.count(&id("a"), 1);
        }
        tokio::time::advance(WINDOW / 2).await;
        let error = rates.ensure_below_limit(&id("a"), 1).expect_err("the limit");
        assert_eq!((error.kind, error.retry_after), (ErrorKind::TooManyEvents, Some(WINDOW / 2)));
        rates.ensure_below_limit(&id("b"), 1).expect("another camera");
        rates.ensure_below_limit(&id("a"), 2).expect("another camera with the same id");
        tokio::time::advance(WINDOW / 2).await;
        rates.ensure_below_limit(&id("a"), 1).expect("an hour later");
        for number in 0..2 * MANY_CAMERAS {
            rates.count(&id(&number.to_string()), 1);
            tokio::time::advance(WINDOW / 100).await;
        }
        assert!(rates.0.len() <= MANY_CAMERAS, "cameras without recent reports are forgotten");
    }
}
