//! Counters of the recordings of all streams.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::{Registry, Unit};

/// The counters. Cheap to clone; clones share the values.
#[derive(Debug, Clone, Default)]
pub(crate) struct RecordingCounters {
    missed: Counter,
    preroll_dropped: Counter,
    files: Counter,
    bytes: Counter,
    deleted: Counter,
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
}
