//! Brings the index in line with the files in a directory, after a manager was interrupted, or after files were added or
//! deleted by hand.
//!
//! - A file that was not closed is cut after its last whole fragment, and its entry is completed.
//! - A file without an entry is added to the index. If the index lists only a copy off-site, the file counts as local
//!   again.
//! - A file that is completed or added is locked if its time was locked, and marked if something has happened to the camera
//!   at its time.
//! - An entry whose file is missing is removed, unless there is a copy off-site.
//!
//! This happens only in directories with the right marker. So an entry is not removed because a disk is not mounted.

use std::collections::{HashMap, HashSet};
use std::fs::{self, FileType};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use super::cutter::unix_ms;
use super::directories::Claimed;
use super::layout::{FileName, RecordingKey};
use super::repair::{self, CompleteFile, Found};
use super::retention::remove_dirs;
use super::shared::Recorder;
use crate::base::atomic_instant::AtomicInstant;
use crate::base::blocking::blocking;
use crate::base::dirs;
use crate::base::error::{Error, ErrorKind};
use crate::base::time::from_unix_millis;
use crate::camera::id::CameraId;
use crate::camera::identity_tag::IdentityTag;
use crate::camera::recording::EventTrigger;
use crate::media::mp4::recorded::init_digest;
use crate::store::db::Database;
use crate::store::db::event_table::EventRow;
use crate::store::db::recording_table::{Offsite, RecordedFile, RecordedStream};
use crate::store::db::recording_writes::{ClosedFile, MAX_DELETED, NewFile};
use crate::store::error::query_failed;

/// The largest number of events that are read to find out whether a file belongs to one.
const MAX_EVENTS: u32 = 1000;

/// The numbers of files that a recovery has changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Recovered {
    /// Files that were not closed, and are now.
    pub(crate) completed: usize,
    /// Files that were added to the index, or of which it listed only the copies.
    pub(crate) adopted: usize,
    /// Entries that were removed, because their files are missing or have no whole fragment.
    pub(crate) dropped: usize,
    /// Files that were deleted, because a manager was interrupted before it had written a picture.
    pub(crate) deleted: usize,
}

/// A camera, and what distinguishes it from other cameras with this id.
pub(crate) type RecordedId = (CameraId, IdentityTag);

/// The events that make recordings of a camera.
#[derive(Debug, Clone)]
pub(crate) struct CameraEvents {
    /// The owner of the camera.
    pub(crate) owner: Option<Arc<str>>,
    /// The types of the events, and the times around them.
    pub(crate) trigger: EventTrigger,
}

/// Recovers one directory. Files that are being written now are left alone. Files that are completed or added are queued
/// for their copies, and marked if something has happened to the camera at their time, as `events` says.
pub(crate) async fn recover(
    recorder: &Recorder,
    dir: &Claimed,
    events: &HashMap<RecordedId, CameraEvents>,
) -> Result<Recovered, Error> {
    let comparison = recorder.directories().compare(dir);
    let advanced = Arc::clone(&comparison.advanced);
    let recovery = Recovery { recorder, database: recorder.database(), dir, events, advanced };
    let mut recovered = Recovered::default();
    let streams = recorder.database().recorded_streams().await.map_err(query_failed)?;
    recovery.complete_open(&streams, &mut recovered).await?;
    recovery.compare(streams, &mut recovered).await?;
    recorder.directories().note_compared(dir);
    let path = dir.path.display();
    if recovered == Recovered::default() {
        info!(%path, "the index of recordings agrees with the files");
    } else {
        let Recovered { completed, adopted, dropped, deleted } = recovered;
        info!(%path, completed, adopted, dropped, deleted, "the index of recordings was brought in line with the files");
    }
    Ok(recovered)
}

/// Adds the tables of frames to files that were closed while their disk was full. Files whose disk is still full, or is
/// away, are kept for the next call.
pub(crate) async fn add_tables(recorder: &Recorder) -> Result<(), Error> {
    let (database, mut ids) = (recorder.database(), recorder.without_table().take());
    if ids.is_empty() {
        return Ok(());
    }
    let streams = database.recorded_streams().await.map_err(query_failed);
    let streams =
        streams.inspect_err(|_| ids.iter().for_each(|id| recorder.without_table().add(*id)))?;
    while let Some(id) = ids.pop() {
        match add_table(recorder, &streams, id).await {
            Ok(true) => {}
            Ok(false) => recorder.without_table().add(id),
            Err(error) => {
                ids.into_iter().chain([id]).for_each(|id| recorder.without_table().add(id));
                return Err(error);
            }
        }
    }
    Ok(())
}

/// Adds the table of frames to a file. Returns false if this must be tried again.
async fn add_table(
    recorder: &Recorder,
    streams: &[RecordedStream],
    id: i64,
) -> Result<bool, Error> {
    let database = recorder.database();
    let Some(file) = database.recorded_file(id).await.map_err(query_failed)? else {
        return Ok(true);
    };
    let stream = streams.iter().find(|stream| stream.id == file.stream);
    let (Some(stream), Some(dir)) = (stream, recorder.directories().get(file.dir)) else {
        return Ok(false);
    };
    let (root, path) = (dir.path.clone(), FileName::of(stream, &file).path());
    let completed = recorder.directories().run(&dir, move || repair::complete(&root, &path)).await;
    match completed {
        Some(Ok(Some(complete))) if complete.bytes > file.bytes => {
            let mut write = database.write().await.map_err(query_failed)?;
            write.resize_file(id, complete.bytes).await.map_err(query_failed)?;
            write.commit().await.map_err(query_failed)?;
            Ok(true)
        }
        // Retention has deleted the file.
        Some(Ok(None)) => Ok(true),
        Some(Err(error)) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Some(Ok(Some(_)) | Err(_)) | None => Ok(false),
    }
}

struct Recovery<'a> {
    recorder: &'a Recorder,
    database: &'a Database,
    dir: &'a Claimed,
    events: &'a HashMap<RecordedId, CameraEvents>,
    /// The time at which the comparison has last advanced.
    advanced: Arc<AtomicInstant>,
}

impl Recovery<'_> {
    /// Completes the files that the index lists as open, but that are not being written.
    async fn complete_open(
        &self,
        streams: &[RecordedStream],
        recovered: &mut Recovered,
    ) -> Result<(), Error> {
        let files = self.database.open_files().await.map_err(query_failed)?;
        for file in files.iter().filter(|file| file.dir == self.dir.id) {
            let Some(stream) = streams.iter().find(|stream| stream.id == file.stream) else {
                continue;
            };
            if self.is_being_written(stream.id, file.span, file.start_at) {
                continue;
            }
            if self.has_twin(file).await? {
                self.drop_rows(&[file.id]).await?;
                recovered.dropped += 1;
                continue;
            }
            let name = FileName::of(stream, file);
            let path = self.dir.path.join(name.path());
            let complete = match self.complete(&name, Entry::Open).await? {
                Content::Whole(complete) => Some(complete),
                Content::Nothing => None,
                Content::Unreadable => continue,
            };
            if let Some(complete) = complete {
                // The recorder marks some files only when it closes them.
                let closed = self.closed(&name, &complete).await?;
                let mut write = self.database.write().await.map_err(query_failed)?;
                write.close_file(file.id, &closed).await.map_err(query_failed)?;
                write.commit().await.map_err(query_failed)?;
                recovered.completed += 1;
                let cut = complete.cut;
                info!(path = %path.display(), cut, "a recorded file that was not closed is complete now");
            } else {
                self.ensure_present().await?;
                recovered.deleted += usize::from(self.delete(&name).await?);
                self.drop_rows(&[file.id]).await?;
                recovered.dropped += 1;
            }
        }
        Ok(())
    }

    /// Returns whether another entry of the same file is complete. This happens if the database was too slow when the file
    /// was begun, so that the recorder added another entry at its end.
    async fn has_twin(&self, file: &RecordedFile) -> Result<bool, Error> {
        let (begin, end) = (file.start_at, file.start_at.saturating_add(1));
        let files = self.database.recorded_files(file.stream, begin, end).await;
        let files = files.map_err(query_failed)?;
        let is_twin = |other: &RecordedFile| {
            other.id != file.id
                && (other.dir, other.start_at, other.span) == (file.dir, file.start_at, file.span)
                && !other.is_open
        };
        Ok(files.iter().any(is_twin))
    }

    /// Compares all files with the index.
    async fn compare(
        &self,
        streams: Vec<RecordedStream>,
        recovered: &mut Recovered,
    ) -> Result<(), Error> {
        let (root, advanced) = (self.dir.path.clone(), Arc::clone(&self.advanced));
        let listed = blocking(move || list(&root, &advanced)).await;
        let Listed { mut found, dirs, mut unreadable } =
            listed.map_err(|error| self.unreadable(error))?;
        let known: HashSet<_> = streams.iter().map(|it| RecordingKey::from(it).path()).collect();
        let mut unknown = Vec::new();
        for stream in streams {
            let key = RecordingKey::from(&stream);
            let times = found.remove(&key).unwrap_or_default();
            let new = self.compare_stream(&stream, times, &mut unreadable, recovered).await?;
            unknown.extend(names(&key, new).map(|name| (stream.id, name)));
        }
        for (key, times) in found {
            let RecordingKey { camera, identity, profile } = &key;
            let mut write = self.database.write().await.map_err(query_failed)?;
            let put = write.put_recorded_stream(camera, *identity, *profile, self.dir.id).await;
            let id = put.map_err(query_failed)?;
            write.commit().await.map_err(query_failed)?;
            unknown.extend(names(&key, times).map(|name| (id, name)));
        }
        // The directories of deleted cameras.
        let root = self.dir.path.clone();
        let unknown_dirs: Vec<_> = dirs.into_iter().filter(|dir| !known.contains(dir)).collect();
        let remove = move || {
            for dir in &unknown_dirs {
                remove_dirs(&root, dir);
            }
            Ok(())
        };
        self.blocking(remove).await.map_err(|error| self.unreadable(error))?;
        // The ids of files show the order of recording.
        unknown.sort_unstable_by_key(|(_, name)| name.start_at);
        for (stream, name) in &unknown {
            self.adopt(*stream, name, recovered).await?;
        }
        Ok(())
    }

    /// Compares the files of a stream with the index. Returns those without an entry.
    async fn compare_stream(
        &self,
        stream: &RecordedStream,
        files: Vec<FileTime>,
        unreadable: &mut Vec<PathBuf>,
        recovered: &mut Recovered,
    ) -> Result<Vec<FileTime>, Error> {
        let rows = self.database.files_in(stream.id, self.dir.id).await.map_err(query_failed)?;
        let known: HashSet<_> = rows.iter().map(|file| (file.start_at, file.span)).collect();
        let on_disk: HashSet<_> = files.iter().copied().collect();
        for file in rows.iter().filter(|file| !file.is_local && !file.is_open) {
            if on_disk.contains(&(file.start_at, file.span)) {
                self.restore(stream, file, recovered).await?;
            }
        }
        let is_missing = |file: &&RecordedFile| {
            !on_disk.contains(&(file.start_at, file.span)) && file.is_local && !file.is_open
        };
        let mut missing = Vec::new();
        for file in rows.iter().filter(is_missing) {
            let path = FileName::of(stream, file).path();
            if unreadable.iter().any(|dir| path.starts_with(dir)) {
                continue;
            }
            // The file may have been created after the list of files.
            let (root, name) = (self.dir.path.clone(), path.clone());
            match self.blocking(move || dirs::exists(&root, &name)).await {
                Ok(true) => {}
                Ok(false) => {
                    warn!(path = %self.dir.path.join(&path).display(), "a recorded file is missing");
                    missing.push(file);
                }
                Err(error) => {
                    // Directories also seem to be unreadable if the disk was removed in the meantime.
                    self.ensure_present().await?;
                    let dir = path.parent().unwrap_or(&path);
                    warn_unreadable(&self.dir.path.join(dir), &error);
                    unreadable.push(dir.to_owned());
                }
            }
        }
        if !missing.is_empty() {
            // Files also seem to be missing if the disk was removed in the meantime.
            self.ensure_present().await?;
        }
        let (stored, lost): (Vec<_>, Vec<_>) =
            missing.into_iter().partition(|file| file.offsite == Offsite::Stored);
        for ids in ids_of(&stored).chunks(MAX_DELETED) {
            let mut write = self.database.write().await.map_err(query_failed)?;
            write.forget_local_files(ids).await.map_err(query_failed)?;
            write.commit().await.map_err(query_failed)?;
        }
        for ids in ids_of(&lost).chunks(MAX_DELETED) {
            // A copy that was completed in the meantime is kept.
            let mut write = self.database.write().await.map_err(query_failed)?;
            write.delete_files_without_copy(ids).await.map_err(query_failed)?;
            write.commit().await.map_err(query_failed)?;
        }
        recovered.dropped += lost.len();
        Ok(files.into_iter().filter(|file| !known.contains(file)).collect())
    }

    /// Notes that the local file of a file with a copy is there: it was copied back, or its deletion was interrupted. In the
    /// second case, retention deletes it again if a limit still requires this.
    async fn restore(
        &self,
        stream: &RecordedStream,
        file: &RecordedFile,
        recovered: &mut Recovered,
    ) -> Result<(), Error> {
        let (root, name) = (self.dir.path.clone(), FileName::of(stream, file).path());
        let path = root.join(&name);
        // Otherwise, retention could delete the file in the meantime.
        let _deleting = self.recorder.deleting().await;
        let read = move || repair::read(&root, &name);
        let found = self.recorder.directories().run(self.dir, read).await;
        self.advanced.touch();
        match found.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into())) {
            Ok(Found::Recording(found)) if found.is_unchanged(file.bytes) => {}
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                return Err(self.unreadable(error));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Ok(_) | Err(_) => {
                warn!(path = %path.display(), "a recorded file differs from its copy off-site, and is left as it is");
                return Ok(());
            }
        }
        let mut write = self.database.write().await.map_err(query_failed)?;
        write.restore_local_file(file.id).await.map_err(query_failed)?;
        write.commit().await.map_err(query_failed)?;
        recovered.adopted += 1;
        info!(path = %path.display(), "the local file of a recording with a copy off-site is there again");
        Ok(())
    }

    /// Adds a file to the index.
    async fn adopt(
        &self,
        stream: i64,
        name: &FileName,
        recovered: &mut Recovered,
    ) -> Result<(), Error> {
        if self.is_being_written(stream, name.span, name.start_at) {
            return Ok(());
        }
        let path = self.dir.path.join(name.path());
        let complete = match self.complete(name, Entry::Missing).await? {
            Content::Whole(complete) => complete,
            // Nothing shows that an interrupted manager has left this file, so it is not deleted.
            Content::Nothing => {
                info!(path = %path.display(), "a file with the name of a recording has no pictures");
                return Ok(());
            }
            Content::Unreadable => return Ok(()),
        };
        let closed = self.closed(name, &complete).await?;
        let put = async {
            let mut write = self.database.write().await?;
            // The file can have been recorded, and its entry added, during this comparison.
            if write.has_file(stream, name.start_at, name.span).await? {
                return Ok(false);
            }
            let CompleteFile { init, description, decode_time, .. } = &complete;
            let (digest, size) = (init_digest(init), (description.width, description.height));
            let format =
                write.put_recorded_format(&digest, init, &description.codecs, size).await?;
            let id = write
                .open_file(&NewFile {
                    stream,
                    dir: self.dir.id,
                    format,
                    span: name.span,
                    start_at: name.start_at,
                    decode_time: *decode_time,
                    has_event: closed.has_event,
                })
                .await?;
            write.close_file(id, &closed).await?;
            write.commit().await?;
            Ok(true)
        };
        if !put.await.map_err(query_failed)? {
            return Ok(());
        }
        recovered.adopted += 1;
        info!(path = %path.display(), "a recorded file was added to the index");
        Ok(())
    }

    /// Returns what the index lists of a file that is complete.
    async fn closed(
        &self,
        FileName { key, start_at, .. }: &FileName,
        complete: &CompleteFile,
    ) -> Result<ClosedFile, Error> {
        let end_at = start_at + complete.duration_ms();
        Ok(ClosedFile {
            end_at,
            bytes: complete.bytes,
            frames: complete.frames,
            fragments: complete.fragments.clone(),
            has_event: self.has_event(key, (*start_at, end_at)).await?,
            copy: self.recorder.copies().rule(key.profile),
        })
    }

    /// Returns whether there is a stored event of a camera whose recording contains a part of this time.
    async fn has_event(&self, key: &RecordingKey, (from, to): (i64, i64)) -> Result<bool, Error> {
        let Some(CameraEvents { owner, trigger }) =
            self.events.get(&(key.camera.clone(), key.identity))
        else {
            return Ok(false);
        };
        let ms = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        let span =
            (from.saturating_sub(ms(trigger.after())), to.saturating_add(ms(trigger.before())));
        let (camera, owner) = (key.camera.as_str(), owner.as_deref());
        let found = self.database.events_in_span(camera, owner, span, MAX_EVENTS).await;
        let is_here = |row: EventRow| {
            let until = row.until.map(from_unix_millis);
            let time = trigger.recorded_time(&row.kind, from_unix_millis(row.at), until);
            time.is_some_and(|(begin, end)| unix_ms(begin) < to && unix_ms(end) > from)
        };
        Ok(found.map_err(query_failed)?.into_iter().any(is_here))
    }

    fn is_being_written(&self, stream: i64, span: i64, start_at: i64) -> bool {
        let files = self.recorder.open_files().get(stream);
        files.iter().any(|(file, _)| (file.span, file.start_at) == (span, start_at))
    }

    /// Reads and repairs a file.
    async fn complete(&self, name: &FileName, entry: Entry) -> Result<Content, Error> {
        let (root, name) = (self.dir.path.clone(), name.path());
        let path = root.join(&name);
        let complete = move || match repair::read(&root, &name)? {
            Found::Recording(found) if entry == Entry::Missing && found.is_growing() => {
                Err(io::ErrorKind::ResourceBusy.into())
            }
            Found::Recording(found) => found.close(&root, &name).map(Content::Whole),
            Found::Empty => Ok(Content::Nothing),
        };
        match self.blocking(complete).await {
            Ok(content) => Ok(content),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Content::Nothing),
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                self.recorder.directories().note_incomplete(self.dir);
                Ok(Content::Unreadable)
            }
            Err(error) => {
                // Files also seem to be damaged if the disk was removed in the meantime.
                self.ensure_present().await?;
                warn!(path = %path.display(), %error, "a recorded file cannot be read, and is left as it is");
                Ok(Content::Unreadable)
            }
        }
    }

    /// Deletes a file without pictures that a manager was writing. Returns true if there was one.
    async fn delete(&self, name: &FileName) -> Result<bool, Error> {
        let (root, name) = (self.dir.path.clone(), name.path());
        let path = root.join(&name);
        Ok(match self.blocking(move || dirs::remove_file(&root, &name)).await {
            Ok(()) => {
                warn!(path = %path.display(), "a recorded file without pictures was deleted");
                true
            }
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    warn!(path = %path.display(), %error, "cannot delete a recorded file without pictures");
                }
                false
            }
        })
    }

    /// Does work that can wait for the disk, and notes that the comparison has advanced.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        self.advanced.touch();
        let done = blocking(work).await;
        self.advanced.touch();
        done
    }

    async fn drop_rows(&self, ids: &[i64]) -> Result<(), Error> {
        let mut write = self.database.write().await.map_err(query_failed)?;
        write.delete_files(ids).await.map_err(query_failed)?;
        write.commit().await.map_err(query_failed)
    }

    async fn ensure_present(&self) -> Result<(), Error> {
        let dir = self.dir.clone();
        let present = blocking(move || dir.ensure_present()).await;
        present.map_err(|error| self.unreadable(error))
    }

    fn unreadable(&self, cause: io::Error) -> Error {
        let detail = format!("the recordings in {} cannot be read", self.dir.path.display());
        Error::new(ErrorKind::StorageUnavailable, detail).caused_by(cause)
    }
}

/// The entry of a file in the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    /// The file is listed as one that is being written.
    Open,
    /// The file is not listed.
    Missing,
}

/// The beginning of a file in UTC milliseconds, and its span. Of a stream, they identify a file. There can be millions of
/// files, so they are not kept as names.
type FileTime = (i64, i64);

/// Returns the names of files of a stream.
fn names(key: &RecordingKey, files: Vec<FileTime>) -> impl Iterator<Item = FileName> {
    files.into_iter().map(|(start_at, span)| FileName { key: key.clone(), start_at, span })
}

/// The recorded files below a directory.
struct Listed {
    /// The files, by stream, each list in the order of the times.
    found: HashMap<RecordingKey, Vec<FileTime>>,
    /// The directories of the streams.
    dirs: Vec<PathBuf>,
    /// The directories that cannot be read. Nothing is known of the files in them.
    unreadable: Vec<PathBuf>,
}

/// The content of a file.
enum Content {
    /// At least one whole fragment.
    Whole(CompleteFile),
    /// No whole fragment, or there is no such file.
    Nothing,
    /// The file cannot be read, or is damaged. It may contain recordings, so it is not changed.
    Unreadable,
}

fn ids_of(files: &[&RecordedFile]) -> Vec<i64> {
    files.iter().map(|file| file.id).collect()
}

/// Returns all recorded files below `root`. A directory that cannot be read hides no other files.
fn list(root: &Path, advanced: &AtomicInstant) -> io::Result<Listed> {
    let mut unreadable = Vec::new();
    let mut streams = Vec::new();
    let mut found: HashMap<RecordingKey, Vec<FileTime>> = HashMap::new();
    // Cameras, profiles, days and files.
    let mut level = vec![PathBuf::new()];
    for depth in 0..4 {
        let mut next = Vec::new();
        for dir in level {
            advanced.touch();
            let is_root = dir == Path::new("");
            match entries(root, &dir) {
                Ok(entries) => {
                    for (path, kind) in entries {
                        if depth == 3 {
                            if let Some(FileName { key, start_at, span }) = FileName::parse(&path) {
                                found.entry(key).or_default().push((start_at, span));
                            }
                        } else if kind.is_dir() {
                            next.push(path);
                        } else if kind.is_symlink() {
                            let reason = io::Error::other("it is a symbolic link");
                            warn_unreadable(&root.join(&path), &reason);
                            unreadable.push(path);
                        }
                    }
                }
                // Retention has deleted the directory in the meantime.
                Err(error) if error.kind() == io::ErrorKind::NotFound && !is_root => {}
                Err(error) if is_root => return Err(error),
                Err(error) => {
                    warn_unreadable(&root.join(&dir), &error);
                    unreadable.push(dir);
                }
            }
        }
        if depth == 1 {
            streams.clone_from(&next);
        }
        level = next;
    }
    for files in found.values_mut() {
        files.sort_unstable();
    }
    Ok(Listed { found, dirs: streams, unreadable })
}

/// Returns the entries of a directory that can be a part of the path of a recorded file.
fn entries(root: &Path, dir: &Path) -> io::Result<Vec<(PathBuf, FileType)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root.join(dir))? {
        let entry = entry?;
        let path = dir.join(entry.file_name());
        if FileName::can_begin_with(&path) {
            found.push((path, entry.file_type()?));
        }
    }
    Ok(found)
}

fn warn_unreadable(path: &Path, error: &io::Error) {
    warn!(
        path = %path.display(), %error,
        "a directory with recordings cannot be read, and its files are left in the index; the manager compares them \
         again after a restart"
    );
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::output::recorder::testing::{Recorded, open_file, recorded};

    struct Setup {
        recorded: Recorded,
        recorder: Recorder,
        dir: Claimed,
    }

    impl Setup {
        async fn new() -> Self {
            let now = SystemTime::UNIX_EPOCH + Duration::from_hours(24 * 20_000);
            let files = recorded(now).await;
            let recorder = files.recorder(now).await;
            let dir = recorder.directories().usable().remove(0);
            Self { recorded: files, recorder, dir }
        }

        async fn recover(&self) -> Recovered {
            self.recover_with(&HashMap::new()).await.expect("a directory")
        }

        async fn recover_with(
            &self,
            events: &HashMap<RecordedId, CameraEvents>,
        ) -> Result<Recovered, Error> {
            recover(&self.recorder, &self.dir, events).await
        }

        /// Removes the entry of a file.
        async fn forget(&self, id: i64) {
            let mut write = self.recorded.database.write().await.expect("a transaction");
            write.delete_files(&[id]).await.expect("a deletion");
            write.commit().await.expect("a commit");
        }
    }

    #[tokio::test]
    async fn files_without_an_entry_are_added() {
        let setup = Setup::new().await;
        assert_eq!(setup.recover().await, Recovered::default());
        let before = setup.recorded.files().await;
        setup.forget(before[1].0.id).await;
        fs::write(setup.recorded.dir().join("note.txt"), "not a recording").expect("a file");
        let adopted = Recovered { adopted: 1, ..Recovered::default() };
        assert_eq!(setup.recover().await, adopted);
        assert_eq!(setup.recover().await, Recovered::default());
        let mut after = setup.recorded.files().await;
        after.sort_by_key(|(file, _)| file.start_at);
        assert_eq!(after.len(), before.len());
        // Only the id differs: the file counts as recorded now.
        let same = RecordedFile { id: before[1].0.id, ..after[1].0.clone() };
        assert_eq!(same, before[1].0);
        assert!(after[1].0.id > before[4].0.id);
    }

    #[tokio::test]
    async fn a_file_that_is_added_is_locked_and_marked_like_its_time() {
        assert_is_locked_and_marked(false).await;
    }

    #[tokio::test]
    async fn a_file_that_is_completed_is_locked_and_marked_like_its_time() {
        assert_is_locked_and_marked(true).await;
    }

    /// Checks files of which the index lists nothing, or which it lists as open.
    async fn assert_is_locked_and_marked(are_open: bool) {
        let setup = Setup::new().await;
        let files = setup.recorded.files().await;
        let stream = setup.recorded.stream().await;
        let camera = setup.recorded.database.get("front-door").await.expect("a database");
        let camera = camera.expect("the camera");
        let mut write = setup.recorded.database.write().await.expect("a transaction");
        // The second and third file are locked. In the fourth one is an event, which begins to be recorded in the third one.
        let locked = (files[1].0.start_at + 1000, files[2].0.start_at + 1000);
        write.note_lock(stream.id, locked, true).await.expect("a lock");
        let event = |id, at, until, kind: &str| EventRow {
            id,
            change: id,
            at,
            until,
            camera: Some("front-door".to_owned()),
            incarnation: camera.incarnation,
            owner: camera.owner.clone(),
            kind: kind.to_owned(),
            label: None,
            data: "{}".to_owned(),
            reported_id: None,
            repeats: 0,
            seen: false,
        };
        let at = files[3].0.start_at + 2000;
        write.add_event(&event(1, at, None, "reported.door")).await.expect("an event");
        let other = event(2, files[0].0.start_at + 1000, None, "reported.window");
        write.add_event(&other).await.expect("an event");
        write.commit().await.expect("a commit");
        for (file, _) in &files {
            if are_open {
                reopen(&setup, file, false).await;
            } else {
                setup.forget(file.id).await;
            }
        }
        let trigger = EventTrigger {
            types: vec!["reported.door".to_owned()],
            before_seconds: 3,
            after_seconds: 1,
        };
        let events = CameraEvents { owner: camera.owner.as_deref().map(Arc::from), trigger };
        let events = HashMap::from([((stream.camera, stream.identity), events)]);
        setup.recover_with(&events).await.expect("a directory");
        let found = setup.recorded.files().await;
        let state = found.iter().map(|(file, _)| (file.is_locked, file.has_event));
        let expected = [(false, false), (true, false), (true, true), (false, true), (false, false)];
        assert_eq!(state.collect::<Vec<_>>(), expected);
    }

    #[tokio::test]
    async fn entries_without_a_file_are_removed_if_the_disk_is_there() {
        let setup = Setup::new().await;
        let files = setup.recorded.files().await;
        fs::remove_file(&files[2].1).expect("a file");
        let dropped = Recovered { dropped: 1, ..Recovered::default() };
        assert_eq!(setup.recover().await, dropped);
        assert_eq!(setup.recorded.files().await.len(), 4);
        let hidden = setup.recorded.dir().with_extension("hidden");
        fs::rename(setup.recorded.dir(), hidden).expect("a rename");
        setup.recover_with(&HashMap::new()).await.expect_err("no directory");
        assert_eq!(setup.recorded.files().await.len(), 4);
        // The empty place where the disk is to be mounted.
        fs::create_dir(setup.recorded.dir()).expect("a directory");
        setup.recover_with(&HashMap::new()).await.expect_err("no marker");
        assert_eq!(setup.recorded.files().await.len(), 4);
    }

    #[tokio::test]
    async fn a_file_that_was_not_closed_is_repaired() {
        let setup = Setup::new().await;
        let (file, path) = setup.recorded.files().await.remove(4);
        let id = reopen(&setup, &file, true).await;
        let bytes = fs::read(&path).expect("a file");
        fs::write(&path, &bytes[..bytes.len() / 2]).expect("a file");

        let being_written =
            RecordedFile { span: file.span, ..open_file(file.stream, file.start_at) };
        let open = setup.recorder.open_files().add(being_written);
        assert_eq!(setup.recover().await, Recovered::default(), "the file is being written");
        setup.recorder.open_files().remove(&open);
        let completed = Recovered { completed: 1, ..Recovered::default() };
        assert_eq!(setup.recover().await, completed);
        let (repaired, _) = setup.recorded.files().await.remove(4);
        assert_eq!((repaired.id, repaired.is_open, repaired.has_event), (id, false, true));
        let seconds = (repaired.end_at - repaired.start_at) / 1000;
        assert!((20..40).contains(&seconds) && repaired.frames < file.frames, "{repaired:?}");
    }

    #[tokio::test]
    async fn a_file_without_an_entry_is_left_while_it_is_being_written() {
        let setup = Setup::new().await;
        let (file, _) = setup.recorded.files().await.remove(4);
        setup.forget(file.id).await;
        let being_written =
            RecordedFile { span: file.span, ..open_file(file.stream, file.start_at) };
        let open = setup.recorder.open_files().add(being_written);
        assert_eq!(setup.recover().await, Recovered::default());
        setup.recorder.open_files().remove(&open);
        assert_eq!(setup.recover().await.adopted, 1);
    }

    #[tokio::test]
    async fn of_two_entries_of_a_file_the_complete_one_is_kept() {
        let setup = Setup::new().await;
        let before = setup.recorded.files().await;
        let file = &before[4].0;
        let new = NewFile {
            stream: file.stream,
            dir: file.dir,
            format: file.format,
            span: file.span,
            start_at: file.start_at,
            decode_time: file.decode_time,
            has_event: false,
        };
        let mut write = setup.recorded.database.write().await.expect("a transaction");
        write.open_file(&new).await.expect("an entry");
        write.commit().await.expect("a commit");
        let dropped = Recovered { dropped: 1, ..Recovered::default() };
        assert_eq!(setup.recover().await, dropped);
        assert_eq!(setup.recorded.files().await, before);
    }

    #[tokio::test]
    async fn files_of_which_only_copies_are_kept_stay_in_the_index() {
        let setup = Setup::new().await;
        let files = setup.recorded.files().await;
        // The first file was deleted by hand. The deletion of the second one was interrupted.
        setup.recorded.copy(&files[0].0, true).await;
        setup.recorded.copy(&files[1].0, true).await;
        fs::remove_file(&files[0].1).expect("a file");
        let mut write = setup.recorded.database.write().await.expect("a transaction");
        write.forget_local_files(&[files[1].0.id]).await.expect("a change");
        write.commit().await.expect("a commit");
        let restored = Recovered { adopted: 1, ..Recovered::default() };
        assert_eq!(setup.recover().await, restored);
        assert!(files[1].1.exists());
        let left = setup.recorded.files().await;
        let are_local: Vec<_> = left.iter().map(|(file, _)| file.is_local).collect();
        assert_eq!(are_local, [false, true, true, true, true]);
    }

    #[tokio::test]
    async fn a_file_that_was_closed_on_a_full_disk_gets_its_table_later() {
        let setup = Setup::new().await;
        let (file, path) = setup.recorded.files().await.remove(4);
        let whole = fs::read(&path).expect("a file");
        let database = &setup.recorded.database;
        let fragments = database.fragments_of(&file).await.expect("fragments");
        let end = fragments.last().expect("a fragment").end();
        fs::write(&path, &whole[..usize::try_from(end).expect("small")]).expect("a file");
        let mut write = database.write().await.expect("a transaction");
        write.resize_file(file.id, end).await.expect("a change");
        write.commit().await.expect("a commit");

        let recorder = setup.recorded.recorder(SystemTime::UNIX_EPOCH).await;
        recorder.without_table().add(file.id);
        // Retention has deleted this file in the meantime.
        recorder.without_table().add(file.id + 100);
        add_tables(&recorder).await.expect("a database");
        assert_eq!(fs::read(&path).expect("a file"), whole);
        let files = setup.recorded.files().await;
        assert_eq!(files[4].0, file);
        let bytes: u64 = files.iter().map(|(file, _)| file.bytes).sum();
        assert_eq!(database.recorded_bytes().await.expect("a sum"), bytes);
        assert!(recorder.without_table().take().is_empty());
    }

    /// Replaces the entry of a file by one of a file that was not closed. Returns the id.
    async fn reopen(setup: &Setup, file: &RecordedFile, has_event: bool) -> i64 {
        setup.forget(file.id).await;
        let new = NewFile {
            stream: file.stream,
            dir: file.dir,
            format: file.format,
            span: file.span,
            start_at: file.start_at,
            decode_time: file.decode_time,
            has_event,
        };
        let mut write = setup.recorded.database.write().await.expect("a transaction");
        let id = write.open_file(&new).await.expect("an entry");
        write.commit().await.expect("a commit");
        id
    }

    #[tokio::test]
    async fn a_file_without_pictures_is_deleted_only_if_a_manager_was_writing_it() {
        let setup = Setup::new().await;
        let (file, path) = setup.recorded.files().await.remove(4);
        let init = usize::try_from(file.init_bytes).expect("small");
        let bytes = fs::read(&path).expect("a file");
        setup.forget(file.id).await;
        for length in [0, 10, init, init + 50] {
            fs::write(&path, &bytes[..length]).expect("a file");
            assert_eq!(setup.recover().await, Recovered::default(), "{length} bytes");
            assert!(path.exists());
        }
        for length in [0, 10, init, init + 50] {
            fs::write(&path, &bytes[..length]).expect("a file");
            reopen(&setup, &file, true).await;
            let deleted = Recovered { deleted: 1, dropped: 1, ..Recovered::default() };
            assert_eq!(setup.recover().await, deleted, "{length} bytes");
            assert!(!path.exists());
        }
    }

    #[tokio::test]
    async fn a_file_that_is_copied_back_is_local_again() {
        let setup = Setup::new().await;
        let (file, path) = setup.recorded.files().await.remove(1);
        let (database, bytes) = (&setup.recorded.database, fs::read(&path).expect("a file"));
        let all = database.recorded_bytes().await.expect("a sum");
        setup.recorded.copy(&file, true).await;
        fs::remove_file(&path).expect("the file");
        setup.recover().await;
        let state = || async {
            let file = database.recorded_file(file.id).await.expect("a query").expect("the file");
            (file.is_local, file.offsite, database.recorded_bytes().await.expect("a sum"))
        };
        let only_copy = (false, Offsite::Stored, all - file.bytes);
        assert_eq!(state().await, only_copy);
        // A part of the file, as while it is being copied.
        let part = &bytes[..bytes.len() / 2];
        fs::write(&path, part).expect("a file");
        assert_eq!(setup.recover().await, Recovered::default());
        assert_eq!((state().await, fs::read(&path).expect("a file")), (only_copy, part.to_vec()));
        fs::write(&path, bytes).expect("a file");
        assert_eq!(setup.recover().await, Recovered { adopted: 1, ..Recovered::default() });
        assert!(path.exists());
        assert_eq!(state().await, (true, Offsite::Stored, all));
    }

    #[tokio::test]
    async fn a_damaged_file_is_left() {
        let setup = Setup::new().await;
        let (file, path) = setup.recorded.files().await.remove(4);
        let mut bytes = fs::read(&path).expect("a file");
        bytes[0] ^= 1;
        fs::write(&path, &bytes).expect("a file");
        setup.forget(file.id).await;
        assert_eq!(setup.recover().await, Recovered::default(), "without an entry");
        assert_eq!(fs::read(&path).expect("a file"), bytes);
        reopen(&setup, &file, true).await;
        assert_eq!(setup.recover().await, Recovered::default(), "the file was being written");
        assert_eq!(fs::read(&path).expect("a file"), bytes);
    }

    fn mkfifo(path: &Path) {
        nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).expect("a FIFO");
    }

    #[tokio::test]
    async fn a_fifo_with_the_name_of_a_recording_hinders_nothing() {
        let setup = Setup::new().await;
        let files = setup.recorded.files().await;
        setup.forget(files[1].0.id).await;
        setup.forget(files[2].0.id).await;
        fs::remove_file(&files[1].1).expect("a file");
        mkfifo(&files[1].1);
        reopen(&setup, &files[3].0, true).await;
        fs::remove_file(&files[3].1).expect("a file");
        mkfifo(&files[3].1);
        let recovered = tokio::time::timeout(Duration::from_secs(30), setup.recover()).await;
        let adopted = Recovered { adopted: 1, ..Recovered::default() };
        assert_eq!(recovered.expect("no wait"), adopted);
        assert!(files[1].1.exists() && files[3].1.exists());
    }

    #[tokio::test]
    async fn links_are_not_followed() {
        let setup = Setup::new().await;
        let outside = tempfile::tempdir().expect("a directory");
        let (file, path) = setup.recorded.files().await.remove(4);
        let bytes = fs::read(&path).expect("a file");
        let part = &bytes[..bytes.len() / 2];
        let target = outside.path().join("file.mp4");
        fs::write(&target, part).expect("a file");
        fs::remove_file(&path).expect("a file");
        std::os::unix::fs::symlink(&target, &path).expect("a link");
        setup.forget(file.id).await;
        assert_eq!(setup.recover().await, Recovered::default(), "without an entry");
        reopen(&setup, &file, true).await;
        assert_eq!(setup.recover().await, Recovered::default(), "the file was being written");
        assert_eq!(fs::read(&target).expect("a file"), part);
        assert!(path.is_symlink());
    }

    #[tokio::test]
    async fn a_directory_that_cannot_be_read_hides_no_other_files() {
        let setup = Setup::new().await;
        let files = setup.recorded.files().await;
        let root = setup.recorded.dir();
        // Another camera, of which nothing can be read, although the tests can run as root.
        let link = root.join("other-00000001");
        std::os::unix::fs::symlink(&link, &link).expect("a link");
        setup.forget(files[1].0.id).await;
        fs::remove_file(&files[2].1).expect("a file");
        let recovered = Recovered { adopted: 1, dropped: 1, ..Recovered::default() };
        assert_eq!(setup.recover().await, recovered);
        // The directory of the camera itself.
        let stream = RecordingKey::from(&setup.recorded.stream().await);
        let dir = root.join(stream.path()).parent().expect("a directory").to_owned();
        let moved = setup.recorded.dir().with_extension("moved");
        fs::rename(&dir, &moved).expect("a rename");
        std::os::unix::fs::symlink(&dir, &dir).expect("a link");
        assert_eq!(setup.recover().await, Recovered::default());
        assert_eq!(setup.recorded.files().await.len(), 4);
    }

    #[tokio::test]
    async fn a_file_that_another_program_is_writing_is_not_changed() {
        let setup = Setup::new().await;
        let (file, path) = setup.recorded.files().await.remove(4);
        let bytes = fs::read(&path).expect("a file");
        setup.forget(file.id).await;
        fs::write(&path, &bytes[..bytes.len() / 2]).expect("a file");
        let arrivals = setup.recorder.directories().arrivals(&setup.dir);
        assert_eq!(setup.recover().await, Recovered::default());
        assert_eq!(fs::read(&path).expect("a file"), &bytes[..bytes.len() / 2]);
        assert_ne!(
            setup.recorder.directories().arrivals(&setup.dir),
            arrivals,
            "no further attempt"
        );
        let set_modified = |time| {
            let file = fs::File::options().write(true).open(&path).expect("a file");
            file.set_modified(time).expect("a time");
        };
        // The clock of a file server can be ahead.
        set_modified(SystemTime::now() + Duration::from_secs(5));
        assert_eq!(setup.recover().await, Recovered::default());
        set_modified(SystemTime::now() - Duration::from_mins(1));
        assert_eq!(setup.recover().await.adopted, 1);
    }

    #[tokio::test]
    async fn empty_directories_of_deleted_cameras_are_deleted() {
        let setup = Setup::new().await;
        let root = setup.recorded.dir();
        let other = root.join("other-00000001/main/2026-11-30");
        let with_note = root.join("other-00000002/main/2026-11-30");
        let present =
            root.join(RecordingKey::from(&setup.recorded.stream().await).path()).join("2026-11-30");
        for dir in [&other, &with_note, &present] {
            fs::create_dir_all(dir).expect("a directory");
        }
        fs::write(with_note.join("note.txt"), "not a recording").expect("a file");
        assert_eq!(setup.recover().await, Recovered::default());
        assert!(!root.join("other-00000001").exists());
        assert!(with_note.join("note.txt").exists() && present.exists());
    }
}
