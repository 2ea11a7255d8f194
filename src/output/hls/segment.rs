//! A segment and its parts, as playlists describe them.

use std::time::{Duration, SystemTime};

use crate::output::hls::fragment::InitId;

/// The beginning of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PartStart {
    /// The part does not begin with a keyframe.
    Between,
    /// The part begins with a keyframe, which the playlist does not mark.
    Unmarked,
    /// The part begins with a keyframe, which the playlist marks as `INDEPENDENT`.
    Keyframe,
}

/// A part of a segment: a byte range of the segment's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    /// The playing time.
    pub duration: Duration,
    /// The offset of the first byte in the file.
    pub offset: u64,
    /// The length in bytes.
    pub length: u64,
    /// The beginning of the part: a keyframe or not.
    pub begin: PartStart,
}

/// A segment, finished or growing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Segment {
    /// The media sequence number. It is unique among all segments of a stream, even across restarts of
    /// the manager.
    pub sequence: u64,
    /// The wall-clock time of the first frame.
    pub begins_at: SystemTime,
    /// The init segment that players need for the segment.
    pub init: InitId,
    /// True if the time line breaks before the segment.
    pub is_discontinuity: bool,
    /// The parts, in order.
    pub parts: Vec<Part>,
    /// The playing time that the durations of the parts leave out. Zero, unless a single frame lasts longer than the
    /// target duration, which is the longest duration that the playlist can declare. This happens if a camera
    /// suddenly sends only one frame every few seconds.
    pub undeclared: Duration,
}

impl Segment {
    /// Returns the duration that the playlist declares.
    pub(crate) fn duration(&self) -> Duration {
        self.parts.iter().map(|part| part.duration).sum()
    }

    /// Returns the playing time.
    pub(crate) fn playing_time(&self) -> Duration {
        self.duration() + self.undeclared
    }

    /// Returns whether the segment begins with a keyframe.
    pub(super) fn has_keyframe(&self) -> bool {
        self.begin().is_some_and(|begin| begin != PartStart::Between)
    }

    /// Returns the beginning of the segment; `None` while the segment is empty.
    pub(super) fn begin(&self) -> Option<PartStart> {
        self.parts.first().map(|part| part.begin)
    }

    /// Returns the length of the segment's file, in bytes.
    pub(crate) fn length(&self) -> u64 {
        self.parts.last().map_or(0, |part| part.offset + part.length)
    }
}
