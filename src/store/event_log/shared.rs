//! What the log of events and the task that stores them share.

use tokio::sync::{oneshot, watch};

use super::report::{Report, Reported};
use crate::base::error::Error;
use crate::events::bus::Bus;
use crate::events::counters::EventCounters;
use crate::store::db::Database;

/// What the log and its task share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) database: Database,
    pub(super) bus: Bus,
    pub(super) counters: EventCounters,
    /// The last number that was used for an event or a change. Readers wait here for further events.
    pub(super) last: watch::Sender<i64>,
    /// Becomes true when the task has ended, so that there will be no further events.
    pub(super) is_closed: watch::Sender<bool>,
}

/// A report that waits to be stored.
#[derive(Debug)]
pub(super) struct PendingReport {
    pub(super) report: Report,
    pub(super) result: oneshot::Sender<Result<Reported, Error>>,
}
