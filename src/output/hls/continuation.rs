//! What is needed to continue a stream's playlist after HLS has ended, even if the manager was killed: the file
//! `continuation.json` in the stream's directory.
//!
//! The packager writes the file whenever a segment begins, with all finished segments and the beginning of the growing
//! one. If the manager is killed, the next manager reads the parts of the growing segment from the segment's own file.
//! So no number of a segment or a part is used twice with different content.
//!
//! The file contains numbers, a digest of the stream's origin, and the id of the machine's last start, but no secret.
//! A file that cannot be used is ignored: the stream then begins a new playlist.
//!
//! | Module | Owns |
//! |---|---|
//! | `file` | writing, reading and checking the file |
//! | `stored` | the format of the file |
//! | `recovery` | the segment that was growing when the manager was killed |
//! | `left_files` | reading files of limited size |
//! | `moment` | the time at which HLS ended, on a clock that cannot be set |

use std::fs;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::camera::origin::Origin;
use crate::output::hls::fragment::MediaEnd;
use crate::output::hls::layout::{StreamDir, StreamFile};
use crate::output::hls::segment::Segment;
use moment::Moment;

mod file;
mod left_files;
pub(super) mod moment;
mod recovery;
mod stored;

/// The longest time between the end of HLS and its next start after which the playlist continues. Players that get no
/// playlist for longer have given up. A new playlist then has an advantage: players that join cannot begin
/// with old pictures.
pub(super) const MAX_PAUSE: Duration = Duration::from_mins(1);

/// What is needed to continue a stream's playlist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Continuation {
    /// The origin of all segments.
    pub(super) origin: Origin,
    /// The configured duration of a segment. With another one, the playlist cannot continue.
    pub(super) configured: Duration,
    /// The wanted duration of a segment, which is longer than the configured one if the camera sends few frames.
    pub(super) segment_time: Duration,
    /// The number of discontinuities before the first segment.
    pub(super) discontinuity_sequence: u64,
    /// The epoch of the last fragment.
    pub(super) epoch: u64,
    /// The finished segments, oldest first, which are not empty.
    pub(super) segments: Vec<Arc<Segment>>,
    /// The segment that was growing when the file was written, without parts; `None` if HLS has ended.
    growing: Option<Segment>,
    /// The end of the last finished segment.
    pub(super) end: MediaEnd,
    /// The time at which HLS ended. If the last run of HLS has finished no segment, the end of the run before it.
    pub(super) written: Moment,
}

impl Continuation {
    /// Creates a continuation after the last segment; `None` if there are no segments.
    pub(super) fn new(
        origin: Origin,
        (configured, segment_time): (Duration, Duration),
        discontinuity_sequence: u64,
        epoch: u64,
        segments: Vec<Arc<Segment>>,
        end: MediaEnd,
        written: Moment,
    ) -> Option<Self> {
        let growing = None;
        (!segments.is_empty()).then_some(Self {
            origin,
            configured,
            segment_time,
            discontinuity_sequence,
            epoch,
            segments,
            growing,
            end,
            written,
        })
    }

    /// Returns the continuation with a segment that has just begun to grow.
    pub(super) fn with_growing(self, growing: &Segment) -> Self {
        Self { growing: Some(Segment { parts: Vec::new(), ..growing.clone() }), ..self }
    }

    /// Returns the number of the segment after the last one.
    pub(super) fn next_sequence(&self) -> u64 {
        self.segments.last().map_or(0, |last| last.sequence + 1)
    }

    /// Returns the time since the last media was written.
    pub(super) fn age(&self) -> Duration {
        self.written.elapsed()
    }

    /// Returns whether HLS has ended, so that the file describes the stream exactly.
    pub(super) fn is_complete(&self) -> bool {
        self.growing.is_none()
    }

    /// Returns the bytes of all segments.
    pub(super) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.length()).sum()
    }

    /// Returns the highest epoch of an init segment.
    pub(super) fn last_init_epoch(&self) -> u64 {
        self.segments.iter().map(|segment| segment.init.epoch).max().unwrap_or_default()
    }

    /// Returns whether the stream needs this file to continue.
    pub(super) fn needs(&self, file: StreamFile) -> bool {
        match file {
            StreamFile::Segment(sequence) => {
                self.segments.iter().any(|segment| segment.sequence == sequence)
            }
            StreamFile::Init(id) => self.segments.iter().any(|segment| segment.init == id),
            StreamFile::Continuation => true,
            StreamFile::NextContinuation | StreamFile::NextInit | StreamFile::Older => false,
        }
    }

    /// Fails if a file that the playlist needs is missing or has another length.
    pub(super) fn check_files(&self, dir: &StreamDir) -> Result<(), Unusable> {
        for segment in &self.segments {
            let length = fs::metadata(dir.segment(segment.sequence)).map(|file| file.len());
            if length.ok() != Some(segment.length()) {
                return Err(Unusable::Files);
            }
            let init = fs::metadata(dir.init(segment.init)).map(|file| file.len());
            if init.unwrap_or_default() == 0 {
                return Err(Unusable::Files);
            }
        }
        Ok(())
    }
}

/// The reason why a playlist cannot continue.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unusable {
    #[error("continuation.json is damaged")]
    Damaged,
    #[error("another version of the manager has written continuation.json")]
    Version,
    #[error("HLS ended too long ago")]
    Old,
    #[error("continuation.json is older than the segments")]
    Outdated,
    #[error("segments or init segments are missing or damaged")]
    Files,
    #[error("the camera or its owner has changed")]
    Origin,
    #[error("HLS_SEGMENT_TIME has changed")]
    Setting,
    #[error("the next numbers of the stream do not follow the numbers in continuation.json")]
    Numbers,
    #[error("cannot read the files: {0}")]
    Io(#[from] io::Error),
}

#[cfg(test)]
mod tests;
