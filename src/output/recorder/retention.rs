//! Deletes old recordings: by age, by size, and before a disk is full.
//!
//! Files are deleted in small groups: first the files, then their entries in one transaction, so that neither recordings nor
//! requests wait for long. Locked files are never deleted by retention. If a disk is full of them, recording stops.
//!
//! A file with a copy in another place stays in the index without its local file. Files that wait for their copies are not
//! deleted because of their age, and for other reasons only after all other files.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tracing::{info, warn};

use super::directories::Claimed;
use super::layout::{FileName, RecordingKey};
use super::shared::Recorder;
use crate::base::dirs;
use crate::base::error::Error;
use crate::camera::id::CameraId;
use crate::camera::identity_tag::IdentityTag;
use crate::output::disk_budget::Disk;
use crate::output::recorder::cutter::unix_ms;
use crate::store::db::recording_table::{DAY_MS, Offsite, RecordedFile, RecordedStream};
use crate::store::db::recording_writes::{Deletable, MAX_DELETED};
use crate::store::error::query_failed;

/// Of a disk, this part is kept free, but at most [`MAX_FREE`].
const FREE_PART: u64 = 20;
/// The most free space in bytes that is kept: at 4 Mbit/s, 100 cameras record for 40 s until this is used.
const MAX_FREE: u64 = 2 * 1024 * 1024 * 1024;
/// A disk that has less than this part of the kept space, and whose recordings are all locked, is full.
const FULL_PART: u64 = 2;
/// The most groups of files that are deleted for one reason before the other reasons are checked.
const MAX_GROUPS: usize = 200;
/// The pause after each group of files, so that deleting many files delays nothing else.
const PAUSE: Duration = Duration::from_millis(10);

/// The limits of a camera's recordings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    /// The time in days for which recordings are kept; `None` for no limit.
    pub(crate) keep_days: Option<u32>,
    /// The same for times with events.
    pub(crate) keep_event_days: Option<u32>,
    /// The largest size in bytes; `None` for no limit.
    pub(crate) max_bytes: Option<u64>,
}

/// The limits of all recordings.
#[derive(Debug, Clone, Default)]
pub(crate) struct AllLimits {
    /// The limits of cameras that have limits of their own.
    pub(crate) cameras: HashMap<(CameraId, IdentityTag), Limits>,
    /// The limits of other cameras, also of deleted ones. Its size limits all cameras together.
    pub(crate) all: Limits,
}

impl AllLimits {
    /// Returns the limits without those of the age.
    pub(crate) fn without_ages(mut self) -> Self {
        for limits in self.cameras.values_mut().chain([&mut self.all]) {
            (limits.keep_days, limits.keep_event_days) = (None, None);
        }
        self
    }

    fn of(&self, stream: &RecordedStream) -> Limits {
        let own = self.cameras.get(&(stream.camera.clone(), stream.identity)).copied();
        own.unwrap_or(Limits { max_bytes: None, ..self.all })
    }
}

/// Deletes what exceeds the limits. Returns the number of deleted files.
pub(crate) async fn run(recorder: &Recorder, limits: &AllLimits) -> Result<usize, Error> {
    let now = unix_ms(recorder.clocks().system);
    let streams = recorder.database().recorded_streams().await.map_err(query_failed)?;
    let retention = Retention { recorder, streams, now };
    let mut deleted = retention.delete_marked().await?;
    for stream in &retention.streams {
        deleted += retention.delete_old(stream, limits.of(stream)).await?;
    }
    deleted += retention.delete_excess(limits).await?;
    deleted += retention.keep_disks_free().await?;
    if deleted > 0 {
        info!(files = deleted, "old recordings were deleted");
        recorder.counters().deleted(deleted as u64);
    }
    Ok(deleted)
}

/// Deletes the files of a stream that overlap a time, except files that are locked or are being
/// written. Returns the numbers of deleted files and of files that were left.
pub(crate) async fn delete_span(
    recorder: &Recorder,
    stream: &RecordedStream,
    span: (i64, i64),
) -> Result<(usize, usize), Error> {
    let retention = Retention {
        recorder,
        streams: vec![stream.clone()],
        now: unix_ms(recorder.clocks().system),
    };
    let (database, mut deleted, mut after) = (recorder.database(), 0, i64::MIN);
    loop {
        let files = database.unlocked_files(stream.id, span, after).await.map_err(query_failed)?;
        let Some(last) = files.last() else { break };
        after = last.id;
        deleted += retention.delete(&files, Copy::Deleted, Locked::Kept).await?.len();
    }
    let left = database.count_files(stream.id, span).await.map_err(query_failed)?;
    Ok((deleted, usize::try_from(left).unwrap_or(usize::MAX)))
}

/// What happens to the copy of a file that is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Copy {
    /// The copy is kept, and the file stays in the index.
    Kept,
    /// The copy is deleted as well.
    Deleted,
}

/// What happens to a locked file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Locked {
    /// It is kept.
    Kept,
    /// It is deleted like others, because its camera was deleted.
    Deleted,
}

struct Retention<'a> {
    recorder: &'a Recorder,
    streams: Vec<RecordedStream>,
    /// The time in UTC milliseconds.
    now: i64,
}

impl Retention<'_> {
    /// Deletes all files of streams that are marked, such as those of deleted cameras, and then the streams.
    async fn delete_marked(&self) -> Result<usize, Error> {
        let database = self.recorder.database();
        let mut deleted = 0;
        for stream in self.streams.iter().filter(|stream| stream.is_deleted) {
            let mut after = i64::MIN;
            loop {
                let files = database.some_files(stream.id, after).await.map_err(query_failed)?;
                let Some(last) = files.last() else { break };
                after = last.id;
                // The rest is on a disk that is not there, or is still being written.
                deleted += self.delete(&files, Copy::Deleted, Locked::Deleted).await?.len();
            }
            let mut write = database.write().await.map_err(query_failed)?;
            let is_gone = write.delete_recorded_stream(stream.id).await.map_err(query_failed)?;
            write.commit().await.map_err(query_failed)?;
            if is_gone {
                info!(camera = %stream.camera, "the recordings of a camera were deleted");
                self.remove_dirs(stream).await;
            }
        }
        Ok(deleted)
    }

    /// Deletes the files of a stream that are too old.
    async fn delete_old(&self, stream: &RecordedStream, limits: Limits) -> Result<usize, Error> {
        // Without a limit of their own, times with events are kept like others, and never for a shorter time.
        let Some(days) = limits.keep_days else { return Ok(0) };
        let event_days = limits.keep_event_days.unwrap_or(days).max(days);
        let mut deleted = 0;
        for (days, with_events) in [(days, false), (event_days, true)] {
            let before = self.now.saturating_sub(i64::from(days) * DAY_MS);
            let with_waiting = !self.recorder.copies().is_on();
            let stream = Some(stream.id);
            let (dir, after) = (None, None);
            let selection = Deletable { stream, dir, before, with_events, with_waiting, after };
            let mut all = u64::MAX;
            deleted += self.delete_selected(selection, &mut all).await?;
        }
        Ok(deleted)
    }

    /// Deletes the oldest files while a camera, or all cameras together, have more than their limit.
    async fn delete_excess(&self, limits: &AllLimits) -> Result<usize, Error> {
        let days = self.recorder.database().recorded_days().await.map_err(query_failed)?;
        let bytes_of = |stream: i64| -> u64 {
            days.iter().filter(|day| day.stream == stream).map(|day| day.bytes).sum()
        };
        let mut deleted = 0;
        for ((camera, identity), limits) in &limits.cameras {
            let Some(max_bytes) = limits.max_bytes else { continue };
            let of_camera = |it: &&RecordedStream| it.camera == *camera && it.identity == *identity;
            for stream in self.streams.iter().filter(of_camera) {
                let all: u64 =
                    self.streams.iter().filter(of_camera).map(|it| bytes_of(it.id)).sum();
                // Each stream gives its share of what is too much.
                let own = u128::from(bytes_of(stream.id));
                let excess = u128::from(all.saturating_sub(max_bytes)) * own;
                let excess = u64::try_from(excess / u128::from(all.max(1))).unwrap_or(u64::MAX);
                deleted += self.delete_bytes(Some(stream.id), None, excess).await?;
            }
        }
        if let Some(max_bytes) = limits.all.max_bytes {
            let all = self.recorder.database().recorded_bytes().await.map_err(query_failed)?;
            deleted += self.delete_bytes(None, None, all.saturating_sub(max_bytes)).await?;
        }
        Ok(deleted)
    }

    /// Deletes the oldest files in each directory whose disk has too little free space. If that is not enough, marks the
    /// directory as full.
    async fn keep_disks_free(&self) -> Result<usize, Error> {
        let mut deleted = 0;
        for dir in self.recorder.directories().responding() {
            // Before the first comparison, the oldest files may not be in the index yet.
            if !self.recorder.directories().is_compared(&dir) {
                continue;
            }
            let Some(disk) = self.disk_of(&dir).await else { continue };
            let wanted = (disk.size / FREE_PART).min(MAX_FREE);
            let lacking = wanted.saturating_sub(disk.available);
            if lacking > 0 {
                deleted += self.delete_bytes(None, Some(dir.id), lacking).await?;
            }
            let now = self.disk_of(&dir).await.unwrap_or(disk);
            self.recorder.directories().set_full(&dir, now.available < wanted / FULL_PART, now);
        }
        Ok(deleted)
    }

    /// Deletes the oldest files with at least this number of bytes.
    async fn delete_bytes(
        &self,
        stream: Option<i64>,
        dir: Option<i64>,
        mut excess: u64,
    ) -> Result<usize, Error> {
        if excess == 0 {
            return Ok(0);
        }
        let mut deleted = 0;
        for with_waiting in [false, true] {
            let (before, with_events, after) = (i64::MAX, true, None);
            let selection = Deletable { stream, dir, before, with_events, with_waiting, after };
            deleted += self.delete_selected(selection, &mut excess).await?;
        }
        Ok(deleted)
    }

    /// Deletes the files of a selection, oldest first, until the files that are gone had at least `excess` bytes, and
    /// subtracts their bytes. Skips files that cannot be deleted.
    async fn delete_selected(
        &self,
        mut selection: Deletable,
        excess: &mut u64,
    ) -> Result<usize, Error> {
        let mut deleted = 0;
        for _ in 0..MAX_GROUPS {
            let mut files = Vec::new();
            // Files on a disk that is not there, or that hangs, cannot be deleted, and must not hide others.
            for dir in self.recorder.directories().responding() {
                if selection.dir.is_none_or(|id| id == dir.id) {
                    let selection = Deletable { dir: Some(dir.id), ..selection };
                    let found = self.recorder.database().deletable_files(selection).await;
                    files.extend(found.map_err(query_failed)?);
                }
            }
            files.sort_unstable_by_key(|file| (file.start_at, file.id));
            files.truncate(MAX_DELETED);
            let mut selected = 0;
            let is_needed = |file: &&RecordedFile| {
                let is_needed = selected < *excess;
                selected = selected.saturating_add(file.bytes);
                is_needed
            };
            let needed = files.iter().take_while(is_needed).count();
            files.truncate(needed);
            let Some(last) = files.last() else { break };
            selection.after = Some((last.start_at, last.id));
            let gone = self.delete(&files, Copy::Kept, Locked::Kept).await?;
            let bytes = files.iter().filter(|file| gone.contains(&file.id)).map(|file| file.bytes);
            *excess = excess.saturating_sub(bytes.sum());
            deleted += gone.len();
            tokio::time::sleep(PAUSE).await;
        }
        Ok(deleted)
    }

    /// Deletes local files, and their entries, unless copies are kept. Returns the ids of the deleted files. A file that
    /// cannot be deleted keeps its entry.
    async fn delete(
        &self,
        files: &[RecordedFile],
        copy: Copy,
        locked: Locked,
    ) -> Result<Vec<i64>, Error> {
        // A file that is locked from now on may be on the list already. The lock waits for the end of this group.
        let _deleting = self.recorder.deleting().await;
        let ids: Vec<_> = files.iter().map(|file| file.id).collect();
        let spared = match locked {
            Locked::Kept => self.recorder.database().locked_of(&ids).await.map_err(query_failed)?,
            Locked::Deleted => Vec::new(),
        };
        let is_kept = |file: &&RecordedFile| copy == Copy::Kept && file.offsite == Offsite::Stored;
        let closed = files.iter().filter(|file| !file.is_open && !spared.contains(&file.id));
        let (kept, others): (Vec<_>, Vec<_>) = closed.partition(is_kept);
        let mut deleted = self.leave_copies(&kept).await?;
        // Of a file with a copy, an interrupted deletion can have left the local file.
        let may_be_here = |file: &&RecordedFile| {
            file.is_local || copy == Copy::Deleted && self.dir_of(file).is_some()
        };
        let (local, others): (Vec<_>, Vec<_>) = others.into_iter().partition(may_be_here);
        let mut ids = self.unlink_all(&local).await;
        ids.extend(others.iter().map(|file| file.id));
        if !ids.is_empty() {
            let mut write = self.recorder.database().write().await.map_err(query_failed)?;
            // A copy that was completed in the meantime is kept.
            let deleted = match copy {
                Copy::Kept => write.delete_files_without_copy(&ids).await,
                Copy::Deleted => write.delete_files(&ids).await,
            };
            deleted.map_err(query_failed)?;
            write.commit().await.map_err(query_failed)?;
            self.recorder.copies().note_change();
        }
        deleted.extend(ids);
        Ok(deleted)
    }

    /// Deletes local files whose copies are kept. Returns the ids of those that are gone. The index is changed first, so that
    /// players use the copies from then on. If the manager ends in between, recovery notes that the file is still there.
    async fn leave_copies(&self, files: &[&RecordedFile]) -> Result<Vec<i64>, Error> {
        let files: Vec<_> =
            files.iter().filter(|file| self.dir_of(file).is_some()).copied().collect();
        if files.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<_> = files.iter().map(|file| file.id).collect();
        // If a power cut undid this change, or the one that noted the copy, but not the deletion of the file, the copy would
        // not be in the index any more.
        let write = self.recorder.database().write_durably().await;
        let mut write = write.map_err(query_failed)?;
        let ids = write.forget_local_files(&ids).await.map_err(query_failed)?;
        write.commit().await.map_err(query_failed)?;
        let files: Vec<_> = files.into_iter().filter(|file| ids.contains(&file.id)).collect();
        let gone = self.unlink_all(&files).await;
        let is_left =
            |file: &&&RecordedFile| !gone.contains(&file.id) && self.dir_of(file).is_some();
        let left: Vec<_> = files.iter().filter(is_left).map(|file| file.id).collect();
        if !left.is_empty() {
            let mut write = self.recorder.database().write().await.map_err(query_failed)?;
            for id in left {
                write.restore_local_file(id).await.map_err(query_failed)?;
            }
            write.commit().await.map_err(query_failed)?;
        }
        Ok(gone)
    }

    /// Deletes local files. Returns the ids of those that are gone. If a disk does not respond, its other files are left,
    /// and it delays the deletion of files on other disks only once.
    async fn unlink_all(&self, files: &[&RecordedFile]) -> Vec<i64> {
        let mut gone = Vec::new();
        for dir in self.recorder.directories().responding() {
            let mut paths = Vec::new();
            for file in files.iter().filter(|file| file.dir == dir.id) {
                let stream = self.streams.iter().find(|stream| stream.id == file.stream);
                if let Some(stream) = stream {
                    let path = FileName::of(stream, file).path();
                    paths.push((file.id, path, self.is_old_day(file)));
                }
            }
            if paths.is_empty() {
                continue;
            }
            let is_wanted = Arc::new(AtomicBool::new(true));
            let (is_still_wanted, claimed) = (Arc::clone(&is_wanted), dir.clone());
            let delete = move || -> Vec<i64> {
                let is_deleted = |(_, path, is_old): &&(i64, PathBuf, bool)| {
                    is_still_wanted.load(Ordering::Relaxed) && unlink(&claimed, path, *is_old)
                };
                paths.iter().filter(is_deleted).map(|(id, ..)| *id).collect()
            };
            if let Some(ids) = self.recorder.directories().run(&dir, delete).await {
                gone.extend(ids);
            } else {
                is_wanted.store(false, Ordering::Relaxed);
                // Some of the files may be left.
                self.recorder.directories().note_incomplete(&dir);
            }
        }
        gone
    }

    /// Deletes the empty directories of a stream.
    async fn remove_dirs(&self, stream: &RecordedStream) {
        for dir in self.recorder.directories().responding() {
            let (root, path) = (dir.path.clone(), RecordingKey::from(stream).path());
            self.recorder.directories().run(&dir, move || remove_dirs(&root, &path)).await;
        }
    }

    fn dir_of(&self, file: &RecordedFile) -> Option<Claimed> {
        let responding = self.recorder.directories().responding();
        responding.into_iter().find(|dir| dir.id == file.dir)
    }

    /// Returns the size and the free space of a directory's disk.
    async fn disk_of(&self, dir: &Claimed) -> Option<Disk> {
        let path = dir.path.clone();
        self.recorder.directories().run(dir, move || Disk::of(&path)).await.flatten()
    }

    /// Returns true if no file is added to the file's day any more, so that the directory of the day can be deleted.
    fn is_old_day(&self, file: &RecordedFile) -> bool {
        file.start_at < self.now - 2 * DAY_MS
    }
}

/// Deletes the directories of a stream, which has this path below a directory with recordings, unless there are files in them.
/// Can block.
pub(super) fn remove_dirs(root: &Path, path: &Path) {
    for day in fs::read_dir(root.join(path)).into_iter().flatten().flatten() {
        // Only empty directories can be deleted.
        drop(dirs::remove_dir(root, &path.join(day.file_name())));
    }
    dirs::remove_empty_parents(root, &path.join("day"));
}

/// Deletes the file with this path below a directory, and its directories if they are empty. Returns true if the file is
/// gone. Can block.
fn unlink(dir: &Claimed, path: &Path, is_old: bool) -> bool {
    match dirs::remove_file(&dir.path, path) {
        Ok(()) => {}
        // The file also seems to be missing if the disk was removed.
        Err(error) if error.kind() == io::ErrorKind::NotFound && dir.ensure_present().is_ok() => {}
        Err(error) => {
            warn!(path = %dir.path.join(path).display(), %error, "cannot delete a recorded file");
            return false;
        }
    }
    if is_old {
        dirs::remove_empty_parents(&dir.path, path);
    }
    true
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::output::recorder::testing::{Recorded, recorded};
    use crate::store::db::recording_writes::{CopyRule, NewFile};

    const MINUTE: i64 = 60_000;

    struct Setup {
        recorded: Recorded,
        recorder: Recorder,
        begin: i64,
    }

    impl Setup {
        /// Records five minutes that began `days` ago.
        async fn new(days: u64) -> Self {
            let now = SystemTime::UNIX_EPOCH + Duration::from_hours(24 * 20_000);
            let files = recorded(now - Duration::from_hours(24 * days)).await;
            let begin = files.files().await[0].0.start_at;
            Self { recorder: files.recorder(now).await, recorded: files, begin }
        }

        /// Applies limits. Returns the minutes whose files are left, after checking that index and disk agree.
        async fn left(&self, limits: &AllLimits) -> Vec<i64> {
            run(&self.recorder, limits).await.expect("a deletion");
            self.minutes().await
        }

        async fn minutes(&self) -> Vec<i64> {
            let files = self.recorded.files().await;
            assert!(files.iter().all(|(_, path)| path.exists()));
            let bytes: u64 = files.iter().map(|(file, _)| file.bytes).sum();
            let database = &self.recorded.database;
            assert_eq!(database.recorded_bytes().await.expect("a sum"), bytes);
            files.iter().map(|(file, _)| (file.start_at - self.begin + 500) / MINUTE).collect()
        }

        /// Locks the file of one minute, and marks the file of another one as a file with an event.
        async fn protect(&self, locked: i64, event: i64) {
            let stream = self.recorded.stream().await.id;
            let span = |minute: i64| {
                (self.begin + minute * MINUTE + 1000, self.begin + minute * MINUTE + 2000)
            };
            let mut write = self.recorded.database.write().await.expect("a transaction");
            assert_eq!(write.lock_files(stream, span(locked), true).await.expect("a lock"), 1);
            write.mark_event(stream, span(event), CopyRule::Never).await.expect("a mark");
            write.commit().await.expect("a commit");
        }
    }

    fn days(keep_days: u32, keep_event_days: Option<u32>) -> AllLimits {
        let all = Limits { keep_days: Some(keep_days), keep_event_days, max_bytes: None };
        AllLimits { all, ..AllLimits::default() }
    }

    fn bytes(max_bytes: u64) -> AllLimits {
        let all = Limits { max_bytes: Some(max_bytes), ..Limits::default() };
        AllLimits { all, ..AllLimits::default() }
    }

    #[tokio::test]
    async fn files_are_deleted_by_age_in_tiers() {
        let setup = Setup::new(3).await;
        setup.protect(1, 3).await;
        assert_eq!(setup.left(&AllLimits::default()).await, [0, 1, 2, 3, 4]);
        assert_eq!(setup.left(&days(4, None)).await, [0, 1, 2, 3, 4]);
        assert_eq!(setup.left(&days(2, Some(5))).await, [1, 3]);
        // A shorter time for events than for others has no effect.
        assert_eq!(setup.left(&days(4, Some(1))).await, [1, 3]);
        assert_eq!(setup.left(&days(2, None)).await, [1], "the locked file");
        let stream = setup.recorded.stream().await.id;
        let mut write = setup.recorded.database.write().await.expect("a transaction");
        write.lock_files(stream, (0, i64::MAX), false).await.expect("no lock");
        write.commit().await.expect("a commit");
        assert!(setup.left(&days(2, None)).await.is_empty());
        let left = std::fs::read_dir(setup.recorded.dir()).expect("a directory").count();
        assert_eq!(left, 1, "an empty directory is left");
    }

    #[tokio::test]
    async fn the_limits_of_a_camera_replace_those_of_all() {
        let setup = Setup::new(3).await;
        let stream = setup.recorded.stream().await;
        let own = |own| {
            let cameras = [((stream.camera.clone(), stream.identity), own)];
            AllLimits { cameras: cameras.into(), ..days(1, None) }
        };
        let long = Limits { keep_days: Some(9), ..Limits::default() };
        assert_eq!(setup.left(&own(long)).await, [0, 1, 2, 3, 4]);
        let size = setup.recorded.files().await[0].0.bytes;
        let small = Limits { max_bytes: Some(size * 2 + 100), ..Limits::default() };
        assert_eq!(setup.left(&own(small)).await, [3, 4]);
    }

    #[tokio::test]
    async fn the_oldest_files_are_deleted_if_there_are_too_many_bytes() {
        let setup = Setup::new(0).await;
        setup.protect(0, 1).await;
        let size = setup.recorded.files().await[0].0.bytes;
        assert_eq!(setup.left(&bytes(size * 5 + 1000)).await, [0, 1, 2, 3, 4]);
        assert_eq!(setup.left(&bytes(size * 3 + 1000)).await, [0, 3, 4]);
        assert_eq!(setup.left(&bytes(1)).await, [0], "the locked file");
    }

    #[tokio::test]
    async fn the_recordings_of_a_deleted_camera_are_deleted() {
        let setup = Setup::new(0).await;
        setup.protect(0, 1).await;
        let stream = setup.recorded.stream().await;
        let mut write = setup.recorded.database.write().await.expect("a transaction");
        let other = IdentityTag::parse("00000000").expect("a tag");
        let is_other = write.delete_recordings_of(&stream.camera, other).await;
        assert!(!is_other.expect("no change"), "another camera with the id");
        write.delete_recordings_of(&stream.camera, stream.identity).await.expect("a change");
        write.commit().await.expect("a commit");
        let files = || std::fs::read_dir(setup.recorded.dir()).expect("a directory").count();
        assert_eq!(files(), 2, "the marker, and the directory of the camera");
        assert!(setup.left(&AllLimits::default()).await.is_empty());
        assert_eq!(files(), 1, "the marker");
        assert!(setup.recorded.database.recorded_streams().await.expect("streams").is_empty());
        assert!(setup.recorded.database.recorded_days().await.expect("days").is_empty());
    }

    #[tokio::test]
    async fn entries_stay_if_the_disk_was_removed() {
        let setup = Setup::new(3).await;
        let dir = setup.recorded.dir();
        let hidden = dir.with_extension("hidden");
        std::fs::rename(&dir, &hidden).expect("a rename");
        run(&setup.recorder, &days(1, None)).await.expect("no deletion");
        std::fs::rename(&hidden, &dir).expect("a rename");
        assert_eq!(setup.minutes().await, [0, 1, 2, 3, 4]);
    }

    #[tokio::test]
    async fn files_that_wait_for_their_copies_are_deleted_last() {
        let setup = Setup::new(0).await;
        let oldest = setup.recorded.files().await.remove(0).0;
        setup.recorded.copy(&oldest, false).await;
        assert_eq!(setup.left(&bytes(oldest.bytes * 3 + 1000)).await, [0, 3, 4]);
        assert!(setup.left(&bytes(1)).await.is_empty());
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_deleted_does_not_protect_others() {
        let setup = Setup::new(0).await;
        let (file, path) = setup.recorded.files().await.remove(0);
        fs::remove_file(&path).expect("a file");
        fs::create_dir(&path).expect("a directory");
        assert_eq!(setup.left(&bytes(file.bytes * 4 + 1000)).await, [0, 2, 3, 4]);
    }

    #[tokio::test]
    async fn the_copies_of_a_deleted_camera_are_deleted_after_its_files_are_closed() {
        let setup = Setup::new(0).await;
        let (stream, files) = (setup.recorded.stream().await, setup.recorded.files().await);
        let place = setup.recorded.copy(&files[0].0, true).await;
        let last = &files[4].0;
        let new = NewFile {
            stream: stream.id,
            dir: last.dir,
            format: last.format,
            span: last.span,
            start_at: last.end_at,
            decode_time: 0,
            has_event: false,
        };
        let mut write = setup.recorded.database.write().await.expect("a transaction");
        let open = write.open_file(&new).await.expect("an entry");
        write.delete_recordings_of(&stream.camera, stream.identity).await.expect("a change");
        write.commit().await.expect("a commit");
        run(&setup.recorder, &AllLimits::default()).await.expect("a deletion");
        let left = setup.recorded.files().await;
        assert_eq!(left.iter().map(|(file, _)| file.id).collect::<Vec<_>>(), [open]);
        let deletions = setup.recorded.database.offsite_deletions(place).await;
        assert_eq!(deletions.expect("a queue").len(), 1);
    }

    #[tokio::test]
    async fn a_file_that_was_locked_after_its_selection_is_left() {
        let setup = Setup::new(0).await;
        let selected: Vec<_> =
            setup.recorded.files().await.into_iter().map(|(file, _)| file).collect();
        setup.protect(2, 0).await;
        let streams = vec![setup.recorded.stream().await];
        let retention = Retention { recorder: &setup.recorder, streams, now: 0 };
        let deleted = retention.delete(&selected, Copy::Kept, Locked::Kept).await;
        assert_eq!(deleted.expect("a deletion").len(), 4);
        assert_eq!(setup.minutes().await, [2]);
    }

    #[tokio::test]
    async fn a_disk_that_hangs_does_not_delay_retention() {
        let setup = Setup::new(3).await;
        let directories = setup.recorder.directories();
        let dir = directories.present().remove(0);
        let (release, hanging) = std::sync::mpsc::channel::<()>();
        assert!(directories.run(&dir, move || hanging.recv().is_ok()).await.is_none());
        assert_eq!(setup.left(&days(1, None)).await, [0, 1, 2, 3, 4]);
        release.send(()).expect("a disk");
        while directories.responding().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(setup.left(&days(1, None)).await.is_empty());
    }

    #[tokio::test]
    async fn a_local_file_that_an_interrupted_deletion_has_left_is_deleted_with_the_recording() {
        let setup = Setup::new(0).await;
        let (file, path) = setup.recorded.files().await.remove(0);
        setup.recorded.copy(&file, true).await;
        let mut write = setup.recorded.database.write().await.expect("a transaction");
        write.forget_local_files(&[file.id]).await.expect("a change");
        write.commit().await.expect("a commit");
        let stream = setup.recorded.stream().await;
        let deleted = delete_span(&setup.recorder, &stream, (0, i64::MAX / 2)).await;
        assert_eq!(deleted.expect("a deletion"), (5, 0));
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_span_is_deleted_without_its_locked_files() {
        let setup = Setup::new(0).await;
        setup.protect(2, 0).await;
        let stream = setup.recorded.stream().await;
        let span = (setup.begin + MINUTE + 1, setup.begin + 4 * MINUTE - 1000);
        let deleted = delete_span(&setup.recorder, &stream, span).await.expect("a deletion");
        assert_eq!(deleted, (2, 1));
        assert_eq!(setup.minutes().await, [0, 2, 4]);
    }
}
