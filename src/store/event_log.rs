//! The log of events: stores what is published on the bus, and what back ends report, and finds stored events.
//!
//! | Module | Owns |
//! |---|---|
//! | [`writer`] | the task that stores events |
//! | [`shared`] | what the log and this task share |
//! | [`report`] | events that back ends report, and motion |
//! | [`retention`] | deleting old events |
//!
//! Only the task of [`writer`] adds and changes events, apart from marking them as seen. It numbers events and their
//! changes in the order in which they become visible. So a reader that has read everything up to a number never misses
//! what is added later.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use super::db::Database;
use super::db::event_counts::EventCount;
use super::db::event_table::{EventFilter, EventRow, LogNumbers};
use super::error::query_failed;
use crate::base::error::Error;
use crate::base::tasks::EndedTasks;
use crate::camera::id::CameraId;
use crate::camera::identity::Identity;
use crate::events::bus::Bus;
use crate::events::counters::EventCounters;
use crate::events::journal::Journal;
use crate::events::kinds::MOTION;
use report::{Report, Reported};
use shared::{PendingReport, Shared};
use writer::Writer;

pub(crate) mod report;
mod retention;
mod shared;
mod writer;

pub(crate) use retention::EventLimits;
pub(crate) use writer::WriterEnd;

/// The largest number of reports that wait to be stored.
const MAX_REPORTS: usize = 256;
/// The number of events that are marked as seen in one transaction, so that other writers do not wait for long.
const SEEN_AT_ONCE: u32 = 500;

/// The log of events. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct EventLog {
    shared: Arc<Shared>,
    limits: EventLimits,
    reports: mpsc::Sender<PendingReport>,
}

impl EventLog {
    /// Opens the log in `database`, and starts to store the events of `journal`, which belongs to `bus`. Also returns the
    /// end of this task. If the task ends early, `ended_tasks` records this. Publishes the ends of motion that an earlier manager
    /// has not ended, so webhooks must have subscribed.
    pub(crate) async fn start(
        database: Database,
        bus: Bus,
        journal: Journal,
        limits: EventLimits,
        ended_tasks: &EndedTasks,
    ) -> Result<(Self, WriterEnd), sqlx::Error> {
        // An earlier manager was killed while something moved.
        let mut write = database.write().await?;
        let ended = write.end_open_events(MOTION).await?;
        write.commit().await?;
        for row in &ended {
            let camera = row.camera.as_deref().and_then(|id| CameraId::parse(id).ok());
            if let Some(camera) = camera {
                let owner = row.owner.as_deref().map(Arc::from);
                let identity = Identity { incarnation: row.incarnation, owner };
                bus.announce(Arc::new(report::event(row, camera, identity)));
            }
        }
        let numbers = database.event_log().await?;
        let (reports, receiver) = mpsc::channel(MAX_REPORTS);
        let shared = Arc::new(Shared {
            database,
            bus,
            counters: journal.counters().clone(),
            last: watch::Sender::new(numbers.last),
            is_closed: watch::Sender::new(false),
        });
        let writer = Writer::new(Arc::clone(&shared), journal, reports.clone(), receiver);
        let log = Self { shared, limits, reports };
        Ok((log, WriterEnd::spawn(writer, ended_tasks)))
    }

    /// Returns the bus on which events are published.
    pub(crate) fn bus(&self) -> &Bus {
        &self.shared.bus
    }

    /// Returns the counters of events.
    pub(crate) fn counters(&self) -> &EventCounters {
        &self.shared.counters
    }

    /// Returns the limits of the log.
    pub(crate) fn limits(&self) -> EventLimits {
        self.limits
    }

    /// Returns the last number that was used for an event or a change, and its later values.
    pub(crate) fn last(&self) -> watch::Receiver<i64> {
        self.shared.last.subscribe()
    }

    /// Waits until there will be no further events, because the manager shuts down.
    pub(crate) async fn closed(&self) {
        // The sender is in this log.
        let _ = self.shared.is_closed.subscribe().wait_for(|is_closed| *is_closed).await;
    }

    /// Returns the numbers of the log.
    pub(crate) async fn numbers(&self) -> Result<LogNumbers, Error> {
        self.shared.database.event_log().await.map_err(query_failed)
    }

    /// Returns at most `limit` events that match `filter`, the newest first. If `before` is given, returns only the events
    /// after this time and number in this order.
    pub(crate) async fn page(
        &self,
        filter: &EventFilter,
        before: Option<(i64, i64)>,
        limit: u32,
    ) -> Result<Vec<EventRow>, Error> {
        self.shared.database.events(filter, before, limit).await.map_err(query_failed)
    }

    /// Returns at most `limit` events that match `filter` and have changed after the change with the number `after`, by
    /// the numbers of their last changes.
    pub(crate) async fn changes(
        &self,
        filter: &EventFilter,
        after: i64,
        limit: u32,
    ) -> Result<Vec<EventRow>, Error> {
        self.shared.database.event_changes(filter, after, limit).await.map_err(query_failed)
    }

    /// Returns at most `limit` events of a camera that happened between two times, at least in part, while the camera had
    /// this owner, the oldest first. `to` is not part of the span. Times are in Unix milliseconds.
    pub(crate) async fn in_span(
        &self,
        (camera, owner): (&CameraId, Option<&str>),
        (from, to): (i64, i64),
        limit: u32,
    ) -> Result<Vec<EventRow>, Error> {
        let rows =
            self.shared.database.events_in_span(camera.as_str(), owner, (from, to), limit).await;
        rows.map_err(query_failed)
    }

    /// Counts the events that match `filter`, for each hour, camera and type with events, in this order. Returns `None` if
    /// there are too many events or counts. The filter must have a beginning and an end.
    pub(crate) async fn count_by_hour(
        &self,
        filter: &EventFilter,
    ) -> Result<Option<Vec<EventCount>>, Error> {
        self.shared.database.count_by_hour(filter).await.map_err(query_failed)
    }

    /// Stores an event that a back end has reported, or motion, and publishes it.
    pub(crate) async fn report(&self, report: Report) -> Result<Reported, Error> {
        let (send, result) = oneshot::channel();
        let pending = PendingReport { report, result: send };
        self.reports.send(pending).await.map_err(|_| Error::shutting_down())?;
        result.await.map_err(|_| Error::shutting_down())?
    }

    /// Marks the events that match `filter` and whose ids are at least `first` and at most `last` as seen. Returns their
    /// number.
    pub(crate) async fn mark_seen(
        &self,
        filter: &EventFilter,
        (mut first, last): (i64, i64),
    ) -> Result<usize, Error> {
        let mut marked = 0;
        loop {
            let mut write = self.shared.database.write().await.map_err(query_failed)?;
            let ids = (first, last);
            let done = write.mark_seen(filter, ids, SEEN_AT_ONCE).await.map_err(query_failed)?;
            write.commit().await.map_err(query_failed)?;
            let (count, greatest) = done;
            marked += count;
            // The events up to the greatest id need not be read again.
            first = greatest.map_or(last, |id| id.saturating_add(1));
            if count < SEEN_AT_ONCE as usize {
                return Ok(marked);
            }
        }
    }

    /// Deletes old events from time to time, until the future is dropped.
    pub(crate) async fn delete_old(&self) {
        retention::run(&self.shared.database, self.limits).await;
    }
}

#[cfg(test)]
mod tests;
