//! Use cases of stored recordings: how much space they use, protecting and deleting them, and recording a camera now.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::timeout;
use tracing::{Instrument as _, info};

use super::core::Core;
use super::streams::unknown_camera;
use crate::access::Caller;
use crate::base::error::{Error, ErrorKind};
use crate::base::time::unix_millis;
use crate::camera::id::{CameraId, Profile};
use crate::camera::identity_tag::IdentityTag;
use crate::camera::record::Record;
use crate::output::disk_budget::Disk;
use crate::output::recorder::directories::Problem;
use crate::output::recorder::layout::RecordingKey;
use crate::output::recorder::retention;
use crate::output::recorder::shared::{Recorder, RecordingStatus};
use crate::store::db::offsite_table::Waiting;
use crate::store::db::recording_table::{DAY_MS, RecordedDay, RecordedStream};
use crate::store::error::query_failed;

/// The time in milliseconds whose files are protected in one transaction: about ten thousand files.
const LOCKED_AT_ONCE_MS: i64 = 7 * DAY_MS;
/// The longest time for which a camera is recorded by one request.
pub(crate) const MAX_NOW: Duration = Duration::from_hours(24);
/// The number of whole days from which the bytes per day are estimated.
const ESTIMATE_DAYS: i64 = 7;

/// The longest time that a request waits for the free space of a disk.
const DISK_PATIENCE: Duration = Duration::from_secs(3);

/// The space that recordings use.
#[derive(Debug)]
pub(crate) struct StorageView {
    /// The directories.
    pub(crate) directories: Vec<DirectoryView>,
    /// The cameras, sorted by id.
    pub(crate) cameras: Vec<CameraStorage>,
    /// The copies off-site; `None` if `OFFSITE_URL` is not set.
    pub(crate) offsite: Option<OffsiteView>,
    /// Bytes of all local recordings.
    pub(crate) bytes: u64,
    /// Bytes of an average day; `None` before there is a whole day.
    pub(crate) bytes_per_day: Option<u64>,
    /// Days until no space is left, if nothing is deleted; `None` if it is not known.
    pub(crate) full_in_days: Option<u64>,
}

/// A directory for recordings.
#[derive(Debug)]
pub(crate) struct DirectoryView {
    /// The path.
    pub(crate) path: PathBuf,
    /// The reason why recordings cannot be stored, or can be incomplete; `None` without a problem.
    pub(crate) problem: Option<Problem>,
    /// The disk; `None` if it is not known.
    pub(crate) disk: Option<Disk>,
}

/// The copies off-site.
#[derive(Debug)]
pub(crate) struct OffsiteView {
    /// The URL of the place, without secrets.
    pub(crate) url: String,
    /// The reason why nothing can be copied; `None` if copies can be made.
    pub(crate) problem: Option<Error>,
    /// Bytes of all copies, in all places.
    pub(crate) bytes: u64,
    /// What waits to be copied.
    pub(crate) waiting: Waiting,
}

/// The recordings of a camera.
#[derive(Debug)]
pub(crate) struct CameraStorage {
    /// The camera's id.
    pub(crate) camera: CameraId,
    /// True if a camera with this id and this owner exists.
    pub(crate) is_known: bool,
    /// Bytes of all local recordings.
    pub(crate) bytes: u64,
    /// Bytes of all copies off-site.
    pub(crate) offsite_bytes: u64,
    /// Bytes of local recordings by day, in days since 1970-01-01 in UTC.
    pub(crate) days: BTreeMap<i64, u64>,
}

/// The result of a deletion.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Deleted {
    /// The number of files that were deleted.
    pub(crate) deleted: usize,
    /// The number of files that were left, because they are locked, are being written, or are on a disk that is not
    /// there.
    pub(crate) left: usize,
}

/// Returns how much space recordings use.
pub(crate) async fn storage(core: &Core) -> Result<StorageView, Error> {
    let recorder = recorder(core)?;
    let database = recorder.database();
    let streams = database.recorded_streams().await.map_err(query_failed)?;
    let days = database.recorded_days().await.map_err(query_failed)?;
    let directories = directories(recorder).await;
    let mut cameras: BTreeMap<(CameraId, IdentityTag), CameraStorage> = BTreeMap::new();
    for stream in &streams {
        let key = (stream.camera.clone(), stream.identity);
        let record = core.cameras.get(&stream.camera).await?;
        let is_known = record.is_some_and(|it| IdentityTag::of(&it.identity()) == stream.identity);
        let camera = stream.camera.clone();
        let new = || CameraStorage {
            camera,
            is_known,
            bytes: 0,
            offsite_bytes: 0,
            days: BTreeMap::new(),
        };
        let entry = cameras.entry(key).or_insert_with(new);
        for day in days.iter().filter(|day| day.stream == stream.id) {
            entry.bytes += day.bytes;
            entry.offsite_bytes += day.offsite_bytes;
            if day.bytes == 0 {
                continue;
            }
            *entry.days.entry(day.day).or_default() += day.bytes;
        }
    }
    let today = day_of(recorder.clocks().system);
    let bytes_per_day = average(&days, today);
    let free: u64 = directories.iter().filter_map(|dir| dir.disk).map(|disk| disk.available).sum();
    let offsite = core.offsite.as_ref().map(|offsite| OffsiteView {
        url: offsite.url().to_owned(),
        problem: offsite.problem(),
        bytes: days.iter().map(|day| day.offsite_bytes).sum(),
        waiting: offsite.waiting(),
    });
    Ok(StorageView {
        directories,
        offsite,
        bytes: days.iter().map(|day| day.bytes).sum(),
        cameras: cameras.into_values().collect(),
        bytes_per_day,
        full_in_days: bytes_per_day.filter(|bytes| *bytes > 0).map(|bytes| free / bytes),
    })
}

async fn directories(recorder: &Recorder) -> Vec<DirectoryView> {
    let mut problems = recorder.directories().problems();
    let mut views = Vec::new();
    for path in recorder.directories().paths() {
        let problem = problems.iter().position(|problem| problem.path == path);
        let problem = problem.map(|index| problems.swap_remove(index));
        // A disk that does not respond must not block this request.
        let responds = problem.as_ref().is_none_or(|it| it.error.kind == ErrorKind::StorageFull);
        let own = path.clone();
        let disk = tokio::task::spawn_blocking(move || responds.then(|| Disk::of(&own)).flatten());
        // The disk may have stopped responding only now.
        let disk = timeout(DISK_PATIENCE, disk).await.ok().and_then(Result::ok).flatten();
        views.push(DirectoryView { path, problem, disk });
    }
    views
}

/// Returns the average of the last whole days; `None` before there is one.
fn average(days: &[RecordedDay], today: i64) -> Option<u64> {
    let whole = days.iter().filter(|day| day.day < today && day.day >= today - ESTIMATE_DAYS);
    let mut by_day = BTreeMap::<_, u64>::new();
    for day in whole {
        *by_day.entry(day.day).or_default() += day.bytes;
    }
    // The first day of a recording is usually not a whole one.
    let whole: Vec<_> = by_day.values().skip(usize::from(by_day.len() > 1)).collect();
    let count = u64::try_from(whole.len()).ok().filter(|count| *count > 0)?;
    Some(whole.into_iter().sum::<u64>() / count)
}

fn day_of(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX) / DAY_MS
}

/// Records a camera for this time from now on, whatever its options are. With `None`, only its options decide. Returns the
/// end.
pub(crate) async fn record_now(
    core: &Core,
    caller: &Caller,
    id: &CameraId,
    time: Option<Duration>,
) -> Result<Option<SystemTime>, Error> {
    own_camera(core, caller, id).await?;
    let recorder = recorder(core)?;
    if time.is_some_and(|time| time.is_zero() || time > MAX_NOW) {
        let detail = format!("seconds must be 1 to {}", MAX_NOW.as_secs());
        return Err(Error::new(ErrorKind::InvalidRequest, detail));
    }
    let until = time.map(|time| recorder.clocks().system + time);
    if !core.cameras.set_record_until(id, until).await? {
        return Err(unknown_camera(id));
    }
    info!(by = caller.name(), camera = %id, seconds = time.map(|time| time.as_secs()), "recording requested");
    Ok(until)
}

/// The recording of a camera.
#[derive(Debug)]
pub(crate) struct RecordingView {
    /// The state of each recording that runs now.
    pub(crate) streams: Vec<(Profile, RecordingStatus)>,
    /// The end of the recording that was requested with [`record_now`]; `None` if none was requested, or it has ended.
    pub(crate) requested_until: Option<SystemTime>,
}

/// Returns the state of the recording of a camera.
pub(crate) async fn status(
    core: &Core,
    caller: &Caller,
    id: &CameraId,
) -> Result<RecordingView, Error> {
    let record = own_camera(core, caller, id).await?;
    let recorder = recorder(core)?;
    let identity = IdentityTag::of(&record.identity());
    let status = |profile| {
        let key = RecordingKey { camera: id.clone(), identity, profile };
        Some((profile, recorder.status(&key)?))
    };
    let streams = [Profile::Main, Profile::Sub].into_iter().filter_map(status).collect();
    let until = core.cameras.record_until(id).await?;
    let requested_until = until.filter(|until| *until > recorder.clocks().system);
    Ok(RecordingView { streams, requested_until })
}

/// Protects the recordings of a camera that overlap a time from deletion, or ends the protection. Returns the number of
/// these files.
pub(crate) async fn lock(
    core: &Core,
    caller: &Caller,
    id: &CameraId,
    span: (i64, i64),
    is_locked: bool,
) -> Result<u64, Error> {
    let streams = streams_of(core, caller, id).await?;
    let recorder = recorder(core)?;
    let (database, mut count) = (recorder.database(), 0);
    for stream in streams {
        let now = unix_millis(recorder.clocks().system);
        let mut write = database.write().await.map_err(query_failed)?;
        // Files are unlocked as a whole, and must not be locked again because of the rest of their times.
        let noted = if is_locked {
            (span.0, span.1.min(now))
        } else {
            write.times_of_files(stream.id, span).await.map_err(query_failed)?
        };
        write.note_lock(stream.id, noted, is_locked).await.map_err(query_failed)?;
        write.commit().await.map_err(query_failed)?;
        let Some((first, last)) = database.recorded_range(stream.id).await.map_err(query_failed)?
        else {
            continue;
        };
        // The last file may still be growing.
        let (mut from, to) = (span.0.max(first), span.1.min(last.saturating_add(DAY_MS)));
        while from < to {
            let until = to.min(from.saturating_add(LOCKED_AT_ONCE_MS));
            let _deleting = recorder.deleting().await;
            let mut write = database.write().await.map_err(query_failed)?;
            let part = (from, until);
            write.lock_files(stream.id, part, is_locked).await.map_err(query_failed)?;
            write.commit().await.map_err(query_failed)?;
            from = until;
        }
        count += database.count_files(stream.id, span).await.map_err(query_failed)?;
    }
    info!(by = caller.name(), camera = %id, files = count, is_locked, "recordings locked or unlocked");
    Ok(count)
}

/// Deletes the recordings of a camera that overlap a time, except those that are locked. Continues even if the client
/// disconnects.
pub(crate) async fn delete(
    core: &Arc<Core>,
    caller: &Caller,
    id: &CameraId,
    span: (i64, i64),
) -> Result<Deleted, Error> {
    let streams = streams_of(core, caller, id).await?;
    let recorder = recorder(core)?.clone();
    let (name, id) = (caller.name().to_owned(), id.clone());
    let delete = async move {
        let mut total = Deleted::default();
        for stream in streams {
            let (deleted, left) = retention::delete_span(&recorder, &stream, span).await?;
            total.deleted += deleted;
            total.left += left;
        }
        info!(by = name, camera = %id, files = total.deleted, "recordings deleted");
        Ok(total)
    };
    tokio::spawn(delete.in_current_span()).await.unwrap_or_else(|panic| {
        let detail = "the deletion was interrupted; repeat the request";
        Err(Error::new(ErrorKind::Internal, detail).caused_by(panic))
    })
}

async fn streams_of(
    core: &Core,
    caller: &Caller,
    id: &CameraId,
) -> Result<Vec<RecordedStream>, Error> {
    let record = own_camera(core, caller, id).await?;
    let (recorder, tag) = (recorder(core)?, IdentityTag::of(&record.identity()));
    let mut streams = Vec::new();
    for profile in [Profile::Main, Profile::Sub] {
        let stream = recorder.database().recorded_stream(id, tag, profile).await;
        streams.extend(stream.map_err(query_failed)?);
    }
    Ok(streams)
}

async fn own_camera(core: &Core, caller: &Caller, id: &CameraId) -> Result<Arc<Record>, Error> {
    let record = core.cameras.get(id).await?.ok_or_else(|| unknown_camera(id))?;
    caller.ensure_owns(record.owner.as_deref(), id)?;
    Ok(record)
}

fn recorder(core: &Core) -> Result<&Recorder, Error> {
    core.recorder.as_ref().ok_or_else(|| {
        let detail = "recordings are off; set RECORDINGS_DIRS to record cameras";
        Error::new(ErrorKind::RecordingsOff, detail)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_average_day_is_that_of_whole_days() {
        let day = |day, bytes| RecordedDay { stream: 1, day, bytes, files: 1, offsite_bytes: 0 };
        assert_eq!(average(&[], 100), None);
        assert_eq!(average(&[day(100, 5)], 100), None, "today is not over");
        assert_eq!(average(&[day(99, 5), day(100, 1)], 100), Some(5));
        let days = [day(80, 1000), day(97, 1), day(98, 10), day(99, 20), day(99, 4), day(100, 1)];
        assert_eq!(average(&days, 100), Some(17));
    }
}
