//! Counters of what happened to streams since the manager's start. They count all cameras together, so
//! that no counter disappears with a stream.
//!
//! The callers decide what counts as what: the supervisor of a stream, and the packager.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::base::error::{Error, ErrorKind};

/// The buckets of the time from a start to a picture, in seconds. A camera with a keyframe every second
/// or two takes 0.3 to 2 s; `START_TIMEOUT_SECONDS` is 15 by default.
const START_SECONDS: [f64; 13] =
    [0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 11.0, 15.0];

/// The causes whose series exist from the start, so that the first occurrence is an increase.
const USUAL_CAUSES: [ErrorKind; 12] = [
    ErrorKind::SourceNotFound,
    ErrorKind::SourceUnauthorized,
    ErrorKind::SourceUnreachable,
    ErrorKind::SourceUnsupported,
    ErrorKind::SourceTimeout,
    ErrorKind::SourceChanged,
    ErrorKind::SourceForbidden,
    ErrorKind::StorageUnavailable,
    ErrorKind::FfmpegUnavailable,
    ErrorKind::StorageFull,
    ErrorKind::TooManyStreams,
    ErrorKind::TooManyStarts,
];

/// The counters. Cheap to clone; clones share them.
#[derive(Debug, Clone)]
pub struct Counters {
    starts: Counter,
    start_failures: Family<Cause, Counter>,
    start_duration: Histogram,
    restarts: Family<Cause, Counter>,
    stalls: Counter,
    fragments: Counter,
    media_bytes: Counter,
    skipped: Counter,
}

/// The cause of a failure, as the stable code of the API.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Cause {
    code: String,
}

impl Cause {
    fn of(kind: ErrorKind) -> Self {
        Self { code: kind.code().to_owned() }
    }
}

impl Default for Counters {
    fn default() -> Self {
        let (start_failures, restarts) = (Family::default(), Family::default());
        for cause in USUAL_CAUSES.map(Cause::of) {
            drop(Family::<Cause, Counter>::get_or_create(&start_failures, &cause));
            drop(Family::<Cause, Counter>::get_or_create(&restarts, &cause));
        }
        Self {
            starts: Counter::default(),
            start_failures,
            start_duration: Histogram::new(START_SECONDS),
            restarts,
            stalls: Counter::default(),
            fragments: Counter::default(),
            media_bytes: Counter::default(),
            skipped: Counter::default(),
        }
    }
}

impl Counters {
    /// Registers the counters under their names.
    pub fn register(&self, to: &mut Registry) {
        let help = "Starts of streams, from nothing or from another source";
        to.register("starts", help, self.starts.clone());
        let help = "Starts that failed, by the error's code";
        to.register("start_failures", help, self.start_failures.clone());
        let help = "Time from a start to a playable stream, including all attempts and the time in the queue";
        let start_duration = self.start_duration.clone();
        to.register_with_unit("start_duration", help, Unit::Seconds, start_duration);
        let help = "FFmpeg started again after an interruption, by the error's code";
        to.register("restarts", help, self.restarts.clone());
        let help = "Live streams that were restarted because their picture did not advance";
        to.register("stalls", help, self.stalls.clone());
        let help = "Fragments that were written into segments";
        to.register("fragments_packaged", help, self.fragments.clone());
        let help = "Media that was written into segments";
        let media_bytes = self.media_bytes.clone();
        to.register_with_unit("media_packaged", help, Unit::Bytes, media_bytes);
        let help = "Fragments that were lost because writing segments was slower than the camera";
        to.register("fragments_skipped", help, self.skipped.clone());
    }

    /// Counts a start of a stream, from nothing or from another source.
    pub fn started(&self) {
        self.starts.inc();
    }

    /// Counts a start that led to a playable stream.
    pub fn playable_after(&self, took: Duration) {
        self.start_duration.observe(took.as_secs_f64());
    }

    /// Counts a start that failed.
    pub fn failed(&self, cause: ErrorKind) {
        self.start_failures.get_or_create(&Cause::of(cause)).inc();
    }

    /// Counts a start that was refused before there was a stream.
    pub fn refused(&self, error: Error) -> Error {
        self.started();
        self.failed(error.kind);
        error
    }

    /// Counts an interruption after which FFmpeg was started again.
    pub fn restarted(&self, cause: ErrorKind) {
        self.restarts.get_or_create(&Cause::of(cause)).inc();
    }

    /// Counts a live stream that was restarted because its picture did not advance.
    pub fn stalled(&self) {
        self.stalls.inc();
    }

    /// Counts a fragment that was written.
    pub fn packaged(&self, bytes: usize) {
        self.fragments.inc();
        self.media_bytes.inc_by(bytes as u64);
    }

    /// Counts fragments that were lost on the way to the packager.
    pub fn skipped(&self, fragments: u64) {
        self.skipped.inc_by(fragments);
    }

    /// Returns all counters as text.
    #[cfg(test)]
    pub fn text(&self) -> String {
        let mut registry = Registry::default();
        self.register(&mut registry);
        let mut text = String::new();
        // Truncated text fails the tests that read it.
        let _ = prometheus_client::encoding::text::encode(&mut text, &registry);
        text
    }
}
