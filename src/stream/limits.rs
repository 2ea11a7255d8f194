//! The time limits of a stream, and the largest number of its viewers.

use std::time::Duration;

/// The limits that apply to every stream. They come from settings.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// A start must be playable within this time.
    pub start_timeout: Duration,
    /// The picture of a live stream must advance within this time.
    pub stale_timeout: Duration,
    /// If the ingest of a live stream ends when the picture has been frozen for this long, that counts
    /// as a stall. An ingest may end before `stale_timeout`.
    pub stalled_after: Duration,
    /// A stream in which there is no interest for this long ends.
    pub idle_timeout: Duration,
    /// An ingest that was told to end is killed after this time.
    pub stop_grace: Duration,
    /// The largest number of viewers of one stream at the same time; `None` for any number.
    pub max_viewers: Option<usize>,
}
