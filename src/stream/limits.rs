//! The time limits of a stream, and the largest number of its viewers.

use std::time::Duration;

/// The limits that apply to every stream. They come from settings.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// A stream must become playable within this time after its start.
    pub start_timeout: Duration,
    /// The picture of a live stream must advance within this time.
    pub stale_timeout: Duration,
    /// If the ingest of a live stream ends after the picture has been frozen for at least this long, the end
    /// counts as a stall. FFmpeg may end before `stale_timeout`, because it has its own time limit for a silent camera.
    pub stalled_after: Duration,
    /// A stream ends if it is not kept, and there has been no interest in it for this long.
    pub idle_timeout: Duration,
    /// An ingest is killed if it has not ended this long after the request to end.
    pub stop_grace: Duration,
    /// The largest number of viewers of one stream at the same time; `None` for any number.
    pub max_viewers: Option<usize>,
}
