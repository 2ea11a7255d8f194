//! The task that stores events: takes them from the journal, and reports of back ends from their queue, and writes
//! them in the order in which they arrived.
//!
//! If the database fails, for example because the disk is full, the task keeps its events and tries again. Further events
//! wait in the journal, which counts those that do not fit. Reports are refused, so that back ends can repeat them.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{error, info, warn};

use super::report::{self, Effect, ReportRates, Reported};
use super::shared::{PendingReport, Shared};
use crate::base::backoff::Exponential;
use crate::base::error::Error;
use crate::base::tasks::EndedTasks;
use crate::base::time::unix_millis;
use crate::events::journal::Journal;
use crate::events::kinds::MOTION;
use crate::events::{Event, Subject};
use crate::store::db::WriteTransaction;
use crate::store::db::event_table::EventRow;
use crate::store::error::query_failed;

/// The largest number of events that are stored in one transaction, so that other writers do not wait for long.
const BATCH: usize = 100;
/// The largest number of events of one camera and type that are stored within [`WINDOW`]. Further ones are counted as
/// repetitions of the last one.
const MAX_OF_A_TYPE: i64 = 20;
/// The time over which the events are counted, in milliseconds.
const WINDOW: i64 = 3_600_000;
/// The pauses between attempts while the database fails.
const PAUSES: Exponential =
    Exponential { first: Duration::from_millis(500), ceiling: Duration::from_secs(10) };
/// The shortest time between two log lines about the same problem.
const LOG_INTERVAL: Duration = Duration::from_mins(1);
/// When the manager shuts down, the waiting events must be stored within this time.
const STORE_AT_END_WITHIN: Duration = Duration::from_secs(3);

/// The task that stores events.
pub(super) struct Writer {
    shared: Arc<Shared>,
    journal: Journal,
    reports: mpsc::Receiver<PendingReport>,
    /// Keeps the queue of reports open.
    _open: mpsc::Sender<PendingReport>,
    /// The events that are being stored.
    events: Vec<Arc<Event>>,
    /// The reports that are being stored.
    waiting: Vec<PendingReport>,
    rates: ReportRates,
    failure: Option<Failure>,
    /// The number of lost events that the log has mentioned.
    lost_logged: u64,
    last_logged: Option<Instant>,
}

/// A failure of the database that has not ended.
struct Failure {
    attempts: u32,
    retry_at: Instant,
}

/// The running task. It ends when this value is dropped.
#[derive(Debug)]
pub(crate) struct WriterEnd {
    task: JoinHandle<()>,
    end: oneshot::Sender<()>,
}

/// Notes that there will be no further events when it is dropped.
struct Closed(Arc<Shared>);

impl Drop for Closed {
    fn drop(&mut self) {
        self.0.is_closed.send_replace(true);
    }
}

/// The events of a transaction.
#[derive(Default)]
struct Batch {
    last: i64,
    stored: u64,
    summarized: u64,
    reported: Vec<Result<Reported, Error>>,
}

impl WriterEnd {
    /// Runs the task. If it ends early, `ended_tasks` records this.
    pub(super) fn spawn(writer: Writer, ended_tasks: &EndedTasks) -> Self {
        let (end, ended) = oneshot::channel();
        Self { task: tokio::spawn(ended_tasks.watch("storing of events", writer.run(ended))), end }
    }

    /// Ends the task, after it has stored the events that have been published. Waits at most [`STORE_AT_END_WITHIN`].
    pub(crate) async fn finish(self) {
        let Self { mut task, end } = self;
        drop(end);
        match timeout(STORE_AT_END_WITHIN, &mut task).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => error!(%error, "the storing of events ended unexpectedly"),
            Err(_) => {
                task.abort();
                error!("the database did not store the last events in time; these events are lost");
            }
        }
    }
}

impl Writer {
    /// Creates the task. `open` is a sender of `reports`.
    pub(super) fn new(
        shared: Arc<Shared>,
        journal: Journal,
        open: mpsc::Sender<PendingReport>,
        reports: mpsc::Receiver<PendingReport>,
    ) -> Self {
        Self {
            shared,
            journal,
            reports,
            _open: open,
            events: Vec::new(),
            waiting: Vec::new(),
            rates: ReportRates::default(),
            failure: None,
            lost_logged: 0,
            last_logged: None,
        }
    }

    /// Stores events until the sender of `ended` is dropped. Then stores the events that have been published by that
    /// time, in one attempt each.
    async fn run(mut self, mut ended: oneshot::Receiver<()>) {
        let _closed = Closed(Arc::clone(&self.shared));
        loop {
            tokio::select! {
                biased;
                _ = &mut ended => break,
                () = self.receive() => {}
            }
            self.store().await;
        }
        loop {
            let free = BATCH.saturating_sub(self.events.len());
            self.journal.take_waiting(&mut self.events, free);
            if self.events.is_empty() {
                return;
            }
            self.store().await;
            if self.failure.is_some() {
                self.give_up();
                return;
            }
        }
    }

    /// Waits until there is something to store. Can be cancelled without losing anything.
    async fn receive(&mut self) {
        let Self { journal, reports, events, waiting, failure, .. } = self;
        let retry_at = failure.as_ref().map(|failure| failure.retry_at);
        tokio::select! {
            _ = reports.recv_many(waiting, BATCH) => {}
            () = until(retry_at) => {}
            has_more = journal.next(events, BATCH), if retry_at.is_none() => {
                // Without publishers, there are only reports.
                if !has_more {
                    reports.recv_many(waiting, BATCH).await;
                }
            }
        }
    }

    /// Stores the events and reports in one transaction, and responds to the reports. After a failure, keeps the events.
    async fn store(&mut self) {
        let stored = self.try_store().await;
        let reports = std::mem::take(&mut self.waiting);
        match stored {
            Ok(batch) => {
                self.events.clear();
                self.shared.counters.stored(batch.stored);
                self.shared.counters.summarized(batch.summarized);
                self.shared.last.send_replace(batch.last);
                for (pending, result) in reports.into_iter().zip(batch.reported) {
                    self.finish_report(pending, result);
                }
                self.note_success();
            }
            Err(error) => {
                let failed = query_failed(error);
                for pending in reports {
                    // Fails if the client has left.
                    let _ = pending.result.send(Err(failed.clone()));
                }
                self.note_failure(&failed);
            }
        }
    }

    async fn try_store(&mut self) -> Result<Batch, sqlx::Error> {
        let mut write = self.shared.database.write().await?;
        let first = write.event_log().await?.last;
        let mut batch = Batch { last: first, ..Batch::default() };
        for event in &self.events {
            store_event(&mut write, event, &mut batch).await?;
        }
        for PendingReport { report, .. } in &self.waiting {
            let reported = report.store(&mut write, &mut batch.last, &self.rates).await?;
            if reported.as_ref().is_ok_and(|reported| reported.effect == Effect::Added) {
                batch.stored += 1;
            }
            batch.reported.push(reported);
        }
        if batch.last > first {
            write.set_last_event(batch.last).await?;
        }
        write.commit().await?;
        Ok(batch)
    }

    fn finish_report(&mut self, pending: PendingReport, result: Result<Reported, Error>) {
        let PendingReport { report, result: to } = pending;
        if let Ok(Reported { row, effect }) = &result {
            if *effect == Effect::Added && report.kind != MOTION {
                self.rates.count(&report.camera, report.identity.incarnation);
            }
            if *effect != Effect::Unchanged {
                let event = report::event(row, report.camera.clone(), report.identity.clone());
                self.shared.bus.announce(Arc::new(event));
            }
        }
        // Fails if the client has left.
        let _ = to.send(result);
    }

    fn note_success(&mut self) {
        if self.failure.take().is_some() {
            info!("events are stored in the database again");
            self.last_logged = None;
        }
        self.log_lost();
    }

    fn note_failure(&mut self, cause: &Error) {
        let attempts = self.failure.as_ref().map_or(0, |failure| failure.attempts);
        let retry_at = Instant::now() + PAUSES.delay(attempts);
        self.failure = Some(Failure { attempts: attempts.saturating_add(1), retry_at });
        if attempts == 0 {
            let error = crate::base::error::chain(cause);
            warn!(error, "cannot store events in the database; retrying");
        }
        self.log_lost();
    }

    /// Logs how many events were lost since the last log line about them, unless that line is recent.
    fn log_lost(&mut self) {
        let lost = self.shared.counters.lost();
        let is_due = self.last_logged.is_none_or(|logged| logged.elapsed() >= LOG_INTERVAL);
        if lost > self.lost_logged && is_due {
            let count = lost - self.lost_logged;
            warn!(count, "events were not stored, because too many were waiting for the database");
            (self.lost_logged, self.last_logged) = (lost, Some(Instant::now()));
        }
    }

    /// Counts and logs the events that have not been stored at the end.
    fn give_up(mut self) {
        let before = self.shared.counters.lost();
        loop {
            self.shared.counters.add_lost(self.events.len() as u64);
            self.events.clear();
            self.journal.take_waiting(&mut self.events, BATCH);
            if self.events.is_empty() {
                break;
            }
        }
        let count = self.shared.counters.lost() - before;
        error!(count, "the last events were not stored, because the database cannot be written");
    }
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// Stores an event within a transaction. If there were many events of this camera and type, counts the event as a
/// repetition of the last one instead.
async fn store_event(
    write: &mut WriteTransaction,
    event: &Event,
    batch: &mut Batch,
) -> Result<(), sqlx::Error> {
    batch.last += 1;
    let row = row(event, batch.last);
    let (count, newest) = write.recent_events(&row, row.at - WINDOW).await?;
    if count >= MAX_OF_A_TYPE
        && let Some(newest) = newest
    {
        batch.summarized += 1;
        return write.repeat_event(newest, row.at, batch.last).await;
    }
    batch.stored += 1;
    write.add_event(&row).await
}

/// Returns the row of a new event with the number `id`.
fn row(event: &Event, id: i64) -> EventRow {
    let subject = event.subject.as_ref();
    let identity = subject.map(|subject| &subject.identity);
    let profile = subject.map(|Subject { stream, .. }| stream.profile());
    EventRow {
        id,
        change: id,
        at: unix_millis(event.at),
        until: None,
        camera: event.camera().map(|camera| camera.as_str().to_owned()),
        incarnation: identity.map_or(0, |identity| identity.incarnation),
        owner: identity.and_then(|identity| identity.owner.as_deref()).map(str::to_owned),
        kind: event.kind.name().to_owned(),
        label: None,
        data: serde_json::Value::Object(event.kind.data(profile)).to_string(),
        reported_id: None,
        repeats: 0,
        seen: false,
    }
}
