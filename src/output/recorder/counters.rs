//! Counters of the recordings of all streams.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// The buckets of the times in which a fragment is written and an entry is added to the index, in seconds. Both usually
/// take a few milliseconds. A second is the length of a fragment: a disk that takes longer is too slow.
const SECONDS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0];

/// The counters. Cheap to clone; clones share the values.
#[derive(Debug, Clone)]
pub(crate) struct RecordingCounters {
    missed: Counter,
    preroll_dropped: Counter,
    files: Counter,
    bytes: Counter,
    deleted: Counter,
    write_duration: Histogram,
    index_duration: Histogram,
    index_failures: Counter,
}

impl Default for RecordingCounters {
    fn default() -> Self {
        Self {
            missed: Counter::default(),
            preroll_dropped: Counter::default(),
            files: Counter::default(),
            bytes: Counter::default(),
            deleted: Counter::default(),
            write_duration: Histogram::new(SECONDS),
            index_duration: Histogram::new(SECONDS),
            index_failures: Counter::default(),
        }
    }
}

impl RecordingCounters {
    /// Adds the counters to a registry of metrics.
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register(
            "recording_missed_frames",
            "Frames that are missing in recordings, because the disk is slower than the camera",
            self.missed.clone(),
        );
        registry.register(
            "recording_dropped_preroll_frames",
            "Frames before events that were dropped because of PREROLL_MAX_BYTES",
            self.preroll_dropped.clone(),
        );
        registry.register("recorded_files", "Recorded files", self.files.clone());
        registry.register_with_unit(
            "recorded",
            "Size of recorded files",
            Unit::Bytes,
            self.bytes.clone(),
        );
        registry.register(
            "deleted_recordings",
            "Recorded files that were deleted to keep limits of time and space",
            self.deleted.clone(),
        );
        registry.register_with_unit(
            "recording_write_duration",
            "Time in which fragments of recordings are written, from their completion on, with the time that they wait \
             for the disk",
            Unit::Seconds,
            self.write_duration.clone(),
        );
        registry.register_with_unit(
            "recording_index_duration",
            "Time in which entries of recorded files are written to the index, with the time that they wait for other \
             entries",
            Unit::Seconds,
            self.index_duration.clone(),
        );
        registry.register(
            "recording_index_failures",
            "Attempts to write the entry of a recorded file to the index that have failed, and are repeated",
            self.index_failures.clone(),
        );
    }

    /// Counts frames that are missing in a recording.
    pub(super) fn missed(&self, frames: u64) {
        self.missed.inc_by(frames);
    }

    /// Counts frames of the time before an event that were dropped because of the limit.
    pub(super) fn preroll_dropped(&self, frames: u64) {
        self.preroll_dropped.inc_by(frames);
    }

    /// Counts a recorded file.
    pub(super) fn recorded(&self, bytes: u64) {
        self.files.inc();
        self.bytes.inc_by(bytes);
    }

    /// Counts files that retention has deleted.
    pub(super) fn deleted(&self, files: u64) {
        self.deleted.inc_by(files);
    }

    /// Notes in which time a fragment was written.
    pub(super) fn wrote(&self, took: Duration) {
        self.write_duration.observe(took.as_secs_f64());
    }

    /// Notes in which time an entry was written to the index, or that it could not be written.
    pub(super) fn indexed(&self, took: Duration, is_written: bool) {
        if is_written {
            self.index_duration.observe(took.as_secs_f64());
        } else {
            self.index_failures.inc();
        }
    }
}
