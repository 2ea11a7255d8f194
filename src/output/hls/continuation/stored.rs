//! The format of `continuation.json`, in JSON.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::moment::Moment;
use super::{Continuation, Unusable, left_files};
use crate::output::hls::fragment::{InitId, MediaEnd};
use crate::output::hls::layout::StreamDir;
use crate::output::hls::segment::{Part, PartStart, Segment};

/// The version of the file's format. Files of other versions are ignored.
const VERSION: u32 = 1;
/// The latest date of a segment, in microseconds since 1970: the year 9999, the last one that playlists can contain.
const LATEST: u64 = 253_402_300_799_000_000;

/// The beginning of every version of the file.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

/// The content of the file. Durations and positions are in nanoseconds.
#[derive(Serialize, Deserialize)]
pub(super) struct Stored {
    version: u32,
    written: Moment,
    origin: String,
    configured: u64,
    segment_time: u64,
    discontinuity_sequence: u64,
    /// Earlier managers called it `generation`.
    #[serde(alias = "generation")]
    epoch: u64,
    segments: Vec<StoredSegment>,
    growing: Option<StoredSegment>,
    video_end: u64,
    audio_end: Option<u64>,
}

impl Stored {
    /// Describes `continuation`. `parts_from` is the index of the first segment whose parts a playlist can name.
    pub(super) fn new(continuation: &Continuation, parts_from: usize) -> io::Result<Self> {
        let segments = continuation.segments.iter().enumerate();
        Ok(Self {
            version: VERSION,
            written: if continuation.is_complete() {
                continuation.written.clone()
            } else {
                Moment::now()?
            },
            origin: continuation.origin.to_string(),
            configured: nanos(continuation.configured),
            segment_time: nanos(continuation.segment_time),
            discontinuity_sequence: continuation.discontinuity_sequence,
            epoch: continuation.epoch,
            segments: segments
                .map(|(index, segment)| StoredSegment::new(segment, index >= parts_from))
                .collect(),
            growing: continuation.growing.as_ref().map(|growing| StoredSegment::new(growing, true)),
            video_end: nanos(continuation.end.video),
            audio_end: continuation.end.audio.map(nanos),
        })
    }

    /// Parses the content of the file.
    pub(super) fn parse(text: &[u8]) -> Result<Self, Unusable> {
        let damaged = |_| Unusable::Damaged;
        let Version { version } = serde_json::from_slice(text).map_err(damaged)?;
        if version != VERSION {
            return Err(Unusable::Version);
        }
        serde_json::from_slice(text).map_err(damaged)
    }

    /// Returns the content of the file.
    pub(super) fn to_text(&self) -> io::Result<Vec<u8>> {
        Ok(serde_json::to_vec(self)?)
    }

    /// Returns the time since HLS ended or, if the manager was killed, since the file was written. Returns `None` if the
    /// machine has restarted, or if the time is unknown.
    pub(super) fn age(&self) -> Option<Duration> {
        self.written.age()
    }

    /// Returns the continuation. The bytes of the last init segment are read from `dir`.
    pub(super) fn open(self, dir: &StreamDir) -> Result<Continuation, Unusable> {
        let segments: Option<Vec<_>> =
            self.segments.into_iter().map(|segment| segment.open().map(Arc::new)).collect();
        let segments = segments.ok_or(Unusable::Damaged)?;
        let Some(last) = segments.last() else { return Err(Unusable::Damaged) };
        if segments.iter().any(|segment| segment.parts.is_empty()) {
            return Err(Unusable::Damaged);
        }
        let growing = match self.growing {
            Some(growing) => Some(growing.open().ok_or(Unusable::Damaged)?),
            None => None,
        };
        let follows = |growing: &Segment| last.sequence.checked_add(1) == Some(growing.sequence);
        if !growing.as_ref().is_none_or(follows) {
            return Err(Unusable::Damaged);
        }
        Ok(Continuation {
            origin: self.origin.parse().map_err(|()| Unusable::Damaged)?,
            configured: Duration::from_nanos(self.configured),
            segment_time: Duration::from_nanos(self.segment_time),
            discontinuity_sequence: self.discontinuity_sequence,
            epoch: self.epoch,
            end: MediaEnd {
                init: last.init,
                init_bytes: left_files::init_segment(dir, last.init)?,
                video: Duration::from_nanos(self.video_end),
                audio: self.audio_end.map(Duration::from_nanos),
            },
            segments,
            growing,
            written: self.written,
        })
    }
}

/// A segment in the file.
#[derive(Serialize, Deserialize)]
struct StoredSegment {
    sequence: u64,
    /// The date, in microseconds since 1970.
    begins_at: u64,
    /// Epoch and version of the init segment.
    init: (u64, u32),
    is_discontinuity: bool,
    undeclared: u64,
    /// Duration, length and beginning of each part. If no playlist can name the parts any more, they are stored as one
    /// part.
    parts: Vec<(u64, u64, StoredStart)>,
}

#[derive(Serialize, Deserialize)]
enum StoredStart {
    Between,
    Unmarked,
    Keyframe,
}

impl StoredSegment {
    fn new(segment: &Segment, has_parts: bool) -> Self {
        let begin = |begin| match begin {
            PartStart::Between => StoredStart::Between,
            PartStart::Unmarked => StoredStart::Unmarked,
            PartStart::Keyframe => StoredStart::Keyframe,
        };
        let parts = segment.parts.iter();
        let since_1970 = segment.begins_at.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            sequence: segment.sequence,
            begins_at: u64::try_from(since_1970.as_micros()).unwrap_or(LATEST),
            init: (segment.init.epoch, segment.init.version),
            is_discontinuity: segment.is_discontinuity,
            undeclared: nanos(segment.undeclared),
            parts: if has_parts {
                parts.map(|part| (nanos(part.duration), part.length, begin(part.begin))).collect()
            } else {
                let whole = |first| (nanos(segment.duration()), segment.length(), begin(first));
                segment.begin().map(whole).into_iter().collect()
            },
        }
    }

    /// Returns the segment; `None` if a value cannot be right.
    fn open(self) -> Option<Segment> {
        let mut segment = Segment {
            sequence: self.sequence,
            begins_at: date(self.begins_at)?,
            init: InitId { epoch: self.init.0, version: self.init.1 },
            is_discontinuity: self.is_discontinuity,
            parts: Vec::with_capacity(self.parts.len()),
            undeclared: Duration::from_nanos(self.undeclared),
        };
        for (duration, length, begin) in self.parts {
            let begin = match begin {
                StoredStart::Between => PartStart::Between,
                StoredStart::Unmarked => PartStart::Unmarked,
                StoredStart::Keyframe => PartStart::Keyframe,
            };
            let (duration, offset) = (Duration::from_nanos(duration), segment.length());
            offset.checked_add(length)?;
            segment.parts.push(Part { duration, offset, length, begin });
        }
        Some(segment)
    }
}

fn date(micros: u64) -> Option<SystemTime> {
    (micros <= LATEST).then(|| UNIX_EPOCH + Duration::from_micros(micros))
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
