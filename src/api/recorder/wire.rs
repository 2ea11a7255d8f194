//! Input and output of requests about the recorder.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::base::error::{Error, ErrorKind};
use crate::base::time::{parse_rfc3339, rfc3339_millis, unix_millis};
use crate::camera::id::Profile;
use crate::output::recorder::shared::RecordingStatus;
use crate::service::recorded::{
    CameraStorage, Deleted, DirectoryView, OffsiteView, RecordingView, StorageView,
};
use crate::store::db::recording_table::DAY_MS;

/// How much space recordings use.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StorageOutput {
    /// The directories of `RECORDINGS_DIRS`.
    directories: Vec<DirectoryOutput>,
    /// The copies off-site; null if `OFFSITE_URL` is not set.
    offsite: Option<OffsiteOutput>,
    /// Bytes of all local recordings, without the files that are being written.
    bytes: u64,
    /// Bytes of an average day, of the last seven days; null before there is a whole day.
    bytes_per_day: Option<u64>,
    /// Days until the disks are full, if nothing is deleted; null before there is a whole day.
    full_in_days: Option<u64>,
    /// The cameras with recordings, sorted by id.
    cameras: Vec<CameraStorageOutput>,
}

/// A directory for recordings.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DirectoryOutput {
    /// The path.
    path: String,
    /// True if recordings can be stored.
    is_usable: bool,
    /// The reason why recordings cannot be stored, or can be incomplete; null without a problem.
    problem: Option<String>,
    /// Size of the disk in bytes; null if it is not known.
    disk_bytes: Option<u64>,
    /// Free bytes of the disk; null if they are not known.
    free_bytes: Option<u64>,
}

/// The copies of recordings off-site.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OffsiteOutput {
    /// The place: `OFFSITE_URL`.
    url: String,
    /// The reason why nothing can be copied; null if copies can be made.
    problem: Option<String>,
    /// Bytes of all copies.
    bytes: u64,
    /// Number of files that wait to be copied.
    waiting_files: u64,
    /// Bytes of the files that wait to be copied.
    waiting_bytes: u64,
}

/// The recordings of a camera.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CameraStorageOutput {
    /// The camera's id.
    camera: String,
    /// False if the camera was deleted, or has another owner now.
    is_known: bool,
    /// Bytes of all local recordings.
    bytes: u64,
    /// Bytes of all copies off-site.
    offsite_bytes: u64,
    /// Bytes of local recordings by day.
    days: Vec<DayOutput>,
}

/// The recordings of a camera that begin on one day.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DayOutput {
    /// The day in UTC.
    #[schema(format = Date)]
    day: String,
    /// Bytes.
    bytes: u64,
}

impl StorageOutput {
    pub(super) fn new(view: StorageView) -> Self {
        Self {
            directories: view.directories.into_iter().map(DirectoryOutput::new).collect(),
            offsite: view.offsite.map(OffsiteOutput::new),
            bytes: view.bytes,
            bytes_per_day: view.bytes_per_day,
            full_in_days: view.full_in_days,
            cameras: view.cameras.into_iter().map(CameraStorageOutput::new).collect(),
        }
    }
}

impl DirectoryOutput {
    fn new(view: DirectoryView) -> Self {
        Self {
            path: view.path.to_string_lossy().into_owned(),
            is_usable: view.problem.as_ref().is_none_or(|problem| problem.is_slow),
            problem: view.problem.map(|problem| problem.error.detail),
            disk_bytes: view.disk.map(|disk| disk.size),
            free_bytes: view.disk.map(|disk| disk.available),
        }
    }
}

impl OffsiteOutput {
    fn new(view: OffsiteView) -> Self {
        Self {
            url: view.url,
            problem: view.problem.map(|error| error.detail),
            bytes: view.bytes,
            waiting_files: view.waiting.files,
            waiting_bytes: view.waiting.bytes,
        }
    }
}

impl CameraStorageOutput {
    fn new(storage: CameraStorage) -> Self {
        let day = |(day, bytes): (i64, u64)| {
            let date = rfc3339_millis(day.saturating_mul(DAY_MS));
            DayOutput { day: date.chars().take_while(|c| *c != 'T').collect(), bytes }
        };
        Self {
            camera: storage.camera.to_string(),
            is_known: storage.is_known,
            bytes: storage.bytes,
            offsite_bytes: storage.offsite_bytes,
            days: storage.days.into_iter().map(day).collect(),
        }
    }
}

/// The state of a camera's recording.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RecordingStatusOutput {
    /// The streams that are to be recorded now.
    streams: Vec<StreamRecordingOutput>,
    /// The end of the recording that was requested with a POST request, in UTC; null if nothing was requested, or the
    /// recording has ended.
    #[schema(format = DateTime)]
    requested_until: Option<String>,
}

/// The state of the recording of one stream.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StreamRecordingOutput {
    /// The stream.
    profile: Profile,
    /// The state.
    state: RecordingState,
    /// The reason why nothing can be stored; only with the state `failed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    error: Option<String>,
}

/// The state of the recording of one stream.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RecordingState {
    /// The recording waits for the stream, or for its next keyframe.
    Starting,
    /// Nothing is stored, but the last seconds are kept for the next event.
    AwaitingEvent,
    /// The stream is stored.
    Recording,
    /// The camera sends nothing. The recording continues when it does.
    NoSignal,
    /// Nothing can be stored. The manager tries again.
    Failed,
}

impl RecordingStatusOutput {
    pub(super) fn new(view: RecordingView) -> Self {
        let stream = |(profile, status)| {
            let (state, error) = match status {
                RecordingStatus::Starting => (RecordingState::Starting, None),
                RecordingStatus::AwaitingEvent => (RecordingState::AwaitingEvent, None),
                RecordingStatus::Recording => (RecordingState::Recording, None),
                RecordingStatus::NoSignal => (RecordingState::NoSignal, None),
                RecordingStatus::Failed(error) => (RecordingState::Failed, Some(error.detail)),
            };
            StreamRecordingOutput { profile, state, error }
        };
        let until = view.requested_until;
        Self {
            streams: view.streams.into_iter().map(stream).collect(),
            requested_until: until.map(|until| rfc3339_millis(unix_millis(until))),
        }
    }
}

/// The time for which a camera is recorded.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "seconds": 300 }))]
pub(crate) struct NowInput {
    /// The time in seconds.
    #[schema(minimum = 1, maximum = 86400)]
    seconds: u32,
}

impl NowInput {
    pub(super) fn time(&self) -> Duration {
        Duration::from_secs(self.seconds.into())
    }
}

/// The end of a recording that was requested.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NowOutput {
    /// The end, RFC 3339.
    #[schema(format = DateTime)]
    until: Option<String>,
}

impl NowOutput {
    pub(super) fn new(until: Option<SystemTime>) -> Self {
        Self { until: until.map(|until| rfc3339_millis(unix_millis(until))) }
    }
}

/// Recordings to lock or unlock.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "from": "2026-11-30T14:00:00Z", "to": "2026-11-30T14:05:00Z", "locked": true }))]
pub(crate) struct LockInput {
    /// The beginning of the time.
    #[schema(format = DateTime)]
    from: String,
    /// The end of the time.
    #[schema(format = DateTime)]
    to: String,
    /// True to protect the recordings, false to end the protection.
    locked: bool,
}

impl LockInput {
    pub(super) fn parse(&self) -> Result<((i64, i64), bool), Error> {
        Ok((span(Some(&self.from), Some(&self.to))?, self.locked))
    }
}

/// The number of recordings that were locked or unlocked.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LockedOutput {
    /// The number of files.
    pub(super) files: u64,
}

/// A time.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct SpanInput {
    /// The beginning; by default, the beginning of the recordings.
    #[param(nullable = false, format = DateTime)]
    from: Option<String>,
    /// The end; by default, the end of the recordings.
    #[param(nullable = false, format = DateTime)]
    to: Option<String>,
}

impl SpanInput {
    pub(super) fn parse(&self) -> Result<(i64, i64), Error> {
        span(self.from.as_deref(), self.to.as_deref())
    }
}

/// The result of a deletion.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeletedOutput {
    /// The number of files that were deleted.
    deleted: usize,
    /// The number of files that were left, because they are locked, are being written, or cannot be deleted now.
    left: usize,
}

impl DeletedOutput {
    pub(super) fn new(deleted: Deleted) -> Self {
        Self { deleted: deleted.deleted, left: deleted.left }
    }
}

/// Returns a time in UTC milliseconds. Fails if it is empty or not valid.
fn span(from: Option<&str>, to: Option<&str>) -> Result<(i64, i64), Error> {
    let parse = |name: &str, text: Option<&str>, default| match text {
        None => Ok(default),
        Some(text) => parse_rfc3339(text).map(unix_millis).ok_or_else(|| {
            let detail = format!("{name} must be a time such as 2026-11-30T14:00:00Z");
            Error::new(ErrorKind::InvalidRequest, detail)
        }),
    };
    // The sum of a time and the longest duration of a file must not overflow.
    let (from, to) = (parse("from", from, 0)?, parse("to", to, i64::MAX / 2)?);
    if from < to {
        return Ok((from, to));
    }
    Err(Error::new(ErrorKind::InvalidRequest, "from must be before to"))
}
