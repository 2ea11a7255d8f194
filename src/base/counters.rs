//! Counters of the starts, interruptions, outputs and snapshots of streams since the manager started. Each
//! counter covers all cameras, so that no counter disappears when a stream ends.
//!
//! The registry, the supervisors, the outputs and the snapshots decide what to count.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::base::error::{Error, ErrorKind};

/// The buckets of the time from a start to a playable stream, in seconds. If the camera sends a keyframe
/// every one to two seconds, a start takes 0.3 to 2 s. The last bucket is the default `START_TIMEOUT_SECONDS`.
const START_SECONDS: [f64; 13] =
    [0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 11.0, 15.0];

/// The buckets of the time to decode a snapshot, in seconds. A picture of 1080p takes about 0.2 s for
/// each second that has passed since the last keyframe.
const SNAPSHOT_SECONDS: [f64; 9] = [0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 10.0];

/// Causes of failed starts and of restarts. Their time series exist, with the value 0, as soon as the manager
/// starts. Otherwise, Prometheus would not see the first occurrence of a cause as an increase.
const USUAL_CAUSES: [ErrorKind; 14] = [
    ErrorKind::SourceNotFound,
    ErrorKind::SourceUnauthorized,
    ErrorKind::SourceLoginUnsupported,
    ErrorKind::SourceUnreachable,
    ErrorKind::SourceUnsupported,
    ErrorKind::SourceBusy,
    ErrorKind::SourceTimeout,
    ErrorKind::SourceChanged,
    ErrorKind::SourceForbidden,
    ErrorKind::StorageUnavailable,
    ErrorKind::FfmpegUnavailable,
    ErrorKind::StorageFull,
    ErrorKind::TooManyStreams,
    ErrorKind::TooManyStarts,
];

/// Causes of failed snapshots. Their time series exist as soon as the manager starts, for the same reason as
/// the series of [`USUAL_CAUSES`].
const USUAL_SNAPSHOT_CAUSES: [ErrorKind; 7] = [
    ErrorKind::RequestTimeout,
    ErrorKind::StreamEnded,
    ErrorKind::SourceUnsupported,
    ErrorKind::SourceTimeout,
    ErrorKind::FfmpegUnavailable,
    ErrorKind::Busy,
    ErrorKind::Internal,
];

/// Causes of failures of FFmpegs that decode live pictures. Their time series exist as soon as the manager starts, for
/// the same reason as the series of [`USUAL_CAUSES`].
const USUAL_DECODER_CAUSES: [ErrorKind; 3] =
    [ErrorKind::SourceUnsupported, ErrorKind::FfmpegUnavailable, ErrorKind::Internal];

/// All counters. Cheap to clone; clones share the values.
#[derive(Debug, Clone)]
pub struct Counters {
    starts: Counter,
    start_failures: Family<Cause, Counter>,
    start_duration: Histogram,
    restarts: Family<Cause, Counter>,
    stalls: Counter,
    frames: Counter,
    fragments: Counter,
    media_bytes: Counter,
    skipped: Counter,
    live_sockets: Gauge,
    live_skipped: Counter,
    snapshots: Counter,
    snapshot_failures: Family<Cause, Counter>,
    snapshot_duration: Histogram,
    live_pictures: Counter,
    picture_decoders: Gauge,
    picture_decoder_restarts: Counter,
    picture_decoder_failures: Family<Cause, Counter>,
    picture_decoder_cpu: Counter<f64, AtomicU64>,
}

/// Counts one running decoder of live pictures until it is dropped.
#[derive(Debug)]
pub(crate) struct RunningDecoder {
    running: Gauge,
    cpu: Counter<f64, AtomicU64>,
    /// The CPU time that is counted.
    counted: Duration,
}

impl RunningDecoder {
    /// Counts the CPU time of the decoder, which has used `used` since it was started.
    pub(crate) fn note_cpu_time(&mut self, used: Duration) {
        self.cpu.inc_by(used.saturating_sub(self.counted).as_secs_f64());
        self.counted = self.counted.max(used);
    }
}

impl Drop for RunningDecoder {
    fn drop(&mut self) {
        self.running.dec();
    }
}

/// The label for the cause of a failure: the stable code of the API.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Cause {
    code: String,
}

/// A live socket that counts as open until this value is dropped.
#[derive(Debug)]
pub(crate) struct OpenSocket(Gauge);

impl Drop for OpenSocket {
    fn drop(&mut self) {
        self.0.dec();
    }
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
        let snapshot_failures = Family::default();
        for cause in USUAL_SNAPSHOT_CAUSES.map(Cause::of) {
            drop(Family::<Cause, Counter>::get_or_create(&snapshot_failures, &cause));
        }
        let picture_decoder_failures = Family::default();
        for cause in USUAL_DECODER_CAUSES.map(Cause::of) {
            drop(Family::<Cause, Counter>::get_or_create(&picture_decoder_failures, &cause));
        }
        Self {
            starts: Counter::default(),
            start_failures,
            start_duration: Histogram::new(START_SECONDS),
            restarts,
            stalls: Counter::default(),
            frames: Counter::default(),
            fragments: Counter::default(),
            media_bytes: Counter::default(),
            skipped: Counter::default(),
            live_sockets: Gauge::default(),
            live_skipped: Counter::default(),
            snapshots: Counter::default(),
            snapshot_failures,
            snapshot_duration: Histogram::new(SNAPSHOT_SECONDS),
            live_pictures: Counter::default(),
            picture_decoders: Gauge::default(),
            picture_decoder_restarts: Counter::default(),
            picture_decoder_failures,
            picture_decoder_cpu: Counter::default(),
        }
    }
}

impl Counters {
    /// Registers all counters in `to`, with their names and help texts.
    pub fn register(&self, to: &mut Registry) {
        let help = "Starts of streams, including refused starts, and requests that change the source or the options of a running stream";
        to.register("starts", help, self.starts.clone());
        let help = "Failed starts, by error code";
        to.register("start_failures", help, self.start_failures.clone());
        let help = "Time from a start to a playable stream, including all attempts and the time in the queue";
        let start_duration = self.start_duration.clone();
        to.register_with_unit("start_duration", help, Unit::Seconds, start_duration);
        let help = "Restarts of FFmpeg after an interruption, by error code";
        to.register("restarts", help, self.restarts.clone());
        let help = "Interruptions of live streams whose picture had stopped advancing";
        to.register("stalls", help, self.stalls.clone());
        let help = "Frames of video received from cameras";
        to.register("frames_received", help, self.frames.clone());
        let help = "Fragments written into segments";
        to.register("fragments_packaged", help, self.fragments.clone());
        let help = "Media written into segments";
        let media_bytes = self.media_bytes.clone();
        to.register_with_unit("media_packaged", help, Unit::Bytes, media_bytes);
        let help =
            "Frames skipped because segments were written more slowly than the camera sent frames";
        to.register("hls_frames_skipped", help, self.skipped.clone());
        let help = "Open live sockets, including WebSockets of go2rtc's players";
        to.register("live_sockets", help, self.live_sockets.clone());
        let help = "Frames that clients of live sockets missed because they were too slow";
        to.register("live_frames_skipped", help, self.live_skipped.clone());
        let help =
            "Pictures decoded for snapshots; requests that get an earlier picture are not counted";
        to.register("snapshots", help, self.snapshots.clone());
        let help = "Snapshots that could not be taken, by error code";
        to.register("snapshot_failures", help, self.snapshot_failures.clone());
        let help = "Time to decode a picture for a snapshot, including the start of FFmpeg";
        let snapshot_duration = self.snapshot_duration.clone();
        to.register_with_unit("snapshot_duration", help, Unit::Seconds, snapshot_duration);
        let help = "Live pictures that were decoded, or that cameras sent as JPEG; viewers share each picture";
        to.register("live_pictures", help, self.live_pictures.clone());
        let help = "Running FFmpegs that decode live pictures";
        to.register("picture_decoders", help, self.picture_decoders.clone());
        let help = "Starts of FFmpegs that decode live pictures in place of another one of the same stream: after a failure, after a change of the video, or for pictures of another size";
        to.register("picture_decoder_restarts", help, self.picture_decoder_restarts.clone());
        let help = "Failures of FFmpegs that decode live pictures, by error code";
        to.register("picture_decoder_failures", help, self.picture_decoder_failures.clone());
        let help = "Processor time of the FFmpegs that decode live pictures, including those that have ended";
        let cpu = self.picture_decoder_cpu.clone();
        to.register_with_unit("picture_decoder_cpu", help, Unit::Seconds, cpu);
    }

    /// Counts a start of a stream: the first start, a start after a failure, or a start with a new source or options.
    pub fn started(&self) {
        self.starts.inc();
    }

    /// Records that a start led to a playable stream after the time `took`.
    pub fn playable_after(&self, took: Duration) {
        self.start_duration.observe(took.as_secs_f64());
    }

    /// Counts a start that failed.
    pub fn failed(&self, cause: ErrorKind) {
        self.start_failures.get_or_create(&Cause::of(cause)).inc();
    }

    /// Counts a start that was refused with `error` before the stream was created. The start counts both as a
    /// start and as a failed start. Returns `error`.
    pub fn refused(&self, error: Error) -> Error {
        self.started();
        self.failed(error.kind);
        error
    }

    /// Counts a restart of FFmpeg after an interruption.
    pub fn restarted(&self, cause: ErrorKind) {
        self.restarts.get_or_create(&Cause::of(cause)).inc();
    }

    /// Counts an interruption of a live stream whose picture had stopped advancing.
    pub fn stalled(&self) {
        self.stalls.inc();
    }

    /// Counts frames of video that a camera has sent.
    pub(crate) fn received(&self, frames: u64) {
        self.frames.inc_by(frames);
    }

    /// Counts a fragment that was written into a segment, and its size.
    pub fn packaged(&self, bytes: usize) {
        self.fragments.inc();
        self.media_bytes.inc_by(bytes as u64);
    }

    /// Counts frames that were skipped on the way to the packager.
    pub fn skipped(&self, frames: u64) {
        self.skipped.inc_by(frames);
    }

    /// Counts a live socket as open until the returned value is dropped.
    pub(crate) fn live_socket(&self) -> OpenSocket {
        self.live_sockets.inc();
        OpenSocket(self.live_sockets.clone())
    }

    /// Counts frames that a client of a live socket has missed.
    pub(crate) fn live_frames_skipped(&self, frames: u64) {
        self.live_skipped.inc_by(frames);
    }

    /// Counts a picture that was decoded for a snapshot. Decoding took the time `took`.
    pub(crate) fn snapshot_taken(&self, took: Duration) {
        self.snapshots.inc();
        self.snapshot_duration.observe(took.as_secs_f64());
    }

    /// Counts a snapshot that could not be taken.
    pub(crate) fn snapshot_failed(&self, cause: ErrorKind) {
        self.snapshot_failures.get_or_create(&Cause::of(cause)).inc();
    }

    /// Counts a live picture.
    pub(crate) fn live_picture(&self) {
        self.live_pictures.inc();
    }

    /// Counts an FFmpeg that decodes live pictures, until the returned value is dropped.
    pub(crate) fn picture_decoder_runs(&self) -> RunningDecoder {
        self.picture_decoders.inc();
        let (running, cpu) = (self.picture_decoders.clone(), self.picture_decoder_cpu.clone());
        RunningDecoder { running, cpu, counted: Duration::ZERO }
    }

    /// Counts the start of an FFmpeg that decodes live pictures in place of another one of the same stream.
    pub(crate) fn picture_decoder_restarted(&self) {
        self.picture_decoder_restarts.inc();
    }

    /// Counts the failure of an FFmpeg that decodes live pictures.
    pub(crate) fn picture_decoder_failed(&self, cause: ErrorKind) {
        self.picture_decoder_failures.get_or_create(&Cause::of(cause)).inc();
    }

    /// Returns all counters in the OpenMetrics text format.
    #[cfg(test)]
    pub fn text(&self) -> String {
        let mut registry = Registry::default();
        self.register(&mut registry);
        let mut text = String::new();
        // If this fails, the text is incomplete, and the test that reads it fails.
        let _ = prometheus_client::encoding::text::encode(&mut text, &registry);
        text
    }
}
