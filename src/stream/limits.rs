//! The limits that streams live by.

use std::time::Duration;

/// The limits of every stream, from the settings of the same names.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// A start must be playable within this time.
    pub start_timeout: Duration,
    /// The picture of a live stream must advance within this time.
    pub stale_timeout: Duration,
    /// A live stream whose ingest ends has stalled if its picture stood still for this long: an
    /// ingest can give up before `stale_timeout`.
    pub stalled_after: Duration,
    /// A stream without any interest for this long ends.
    pub idle_timeout: Duration,
    /// An ingest that was asked to end is killed after this time.
    pub stop_grace: Duration,
    /// Viewers of one stream at the same time; `None` for any number.
    pub max_viewers: Option<usize>,
}
