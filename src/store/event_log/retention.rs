//! Deletes events that are too old, events above the largest number, and events of cameras that were deleted.
//!
//! Few events are deleted in one transaction, so that other writers do not wait for long.

use std::time::{Duration, Instant, SystemTime};

use tokio::time::{MissedTickBehavior, interval};
use tracing::{debug, warn};

use crate::base::age_clock::AgeClock;
use crate::base::time::unix_millis;
use crate::store::db::Database;
use crate::store::db::event_table::Expired;

/// The time between two deletions of old events.
const INTERVAL: Duration = Duration::from_mins(1);
/// The number of such times after which the events of deleted cameras are deleted as well. Finding them takes about
/// 0.3 s for 500,000 events. They are not visible any more, so there is no hurry.
const ORPHANS_EVERY: u64 = 60;
/// The number of events that are deleted in one transaction.
const AT_ONCE: u32 = 50;
/// The largest number of events of deleted cameras that are found at once.
const ORPHANS: u32 = 10_000;

/// The limits of the log of events.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EventLimits {
    /// The time after which an event is deleted.
    pub(crate) keep: Duration,
    /// The largest number of events. The oldest ones above it are deleted.
    pub(crate) max: u64,
}

impl EventLimits {
    /// Returns the time in Unix milliseconds before which events are deleted.
    pub(crate) fn oldest(self, now: SystemTime) -> i64 {
        now.checked_sub(self.keep).map_or(0, unix_millis)
    }
}

/// Deletes events from time to time. Never returns.
pub(super) async fn run(database: &Database, limits: EventLimits) {
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut has_failed, mut clock) = (false, AgeClock::default());
    for round in 0_u64.. {
        ticks.tick().await;
        let now = SystemTime::now();
        let is_trusted = clock.is_trusted("events", now, Instant::now());
        let now = if is_trusted { now } else { SystemTime::UNIX_EPOCH };
        let mut deleted = delete_expired(database, limits, now).await;
        if deleted.is_ok() && round % ORPHANS_EVERY == 0 {
            deleted = delete_orphans(database).await;
        }
        match deleted {
            Ok(()) => has_failed = false,
            Err(error) if has_failed => debug!(%error, "cannot delete old events; retrying"),
            Err(error) => {
                has_failed = true;
                warn!(%error, "cannot delete old events from the database; retrying every minute");
            }
        }
    }
}

/// Deletes the events that are too old at the time `now`, and the oldest ones above the largest number.
pub(super) async fn delete_expired(
    database: &Database,
    limits: EventLimits,
    now: SystemTime,
) -> Result<(), sqlx::Error> {
    delete(database, Expired::Before(limits.oldest(now))).await?;
    let max = i64::try_from(limits.max).unwrap_or(i64::MAX);
    let mut excess = database.count_events().await? - max;
    while excess > 0 {
        let deleted = delete_once(database, Expired::Excess(excess)).await?;
        excess = if deleted == 0 { 0 } else { excess - i64::from(AT_ONCE) };
    }
    Ok(())
}

async fn delete(database: &Database, expired: Expired) -> Result<(), sqlx::Error> {
    while delete_once(database, expired).await? >= u64::from(AT_ONCE) {}
    Ok(())
}

async fn delete_once(database: &Database, expired: Expired) -> Result<u64, sqlx::Error> {
    let mut write = database.write().await?;
    let deleted = write.delete_expired(expired, AT_ONCE).await?;
    write.commit().await?;
    Ok(deleted)
}

/// Deletes the events of cameras that were deleted.
pub(super) async fn delete_orphans(database: &Database) -> Result<(), sqlx::Error> {
    loop {
        let orphans = database.orphaned_events(ORPHANS).await?;
        for ids in orphans.chunks(AT_ONCE as usize) {
            let mut write = database.write().await?;
            write.delete_events(ids).await?;
            write.commit().await?;
        }
        if orphans.len() < ORPHANS as usize {
            return Ok(());
        }
    }
}
