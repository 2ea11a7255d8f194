//! Prepares `STREAM_DIR` at start-up: locks it for this process, and removes the files that an earlier process
//! left behind, except those with which a playlist can continue. The names of the files show which numbers of
//! segments and epochs the earlier process used last, so that no number is used twice.
//!
//! A mistyped `STREAM_DIR` must not destroy files: only directories that are named like a stream and
//! hold nothing but a stream's files are removed.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;
use std::time::Duration;

use tracing::{info, warn};

use crate::base::own_file;
use crate::camera::id::StreamId;
use crate::camera::numbers::NumberSet;
use crate::output::hls::continuation::Continuation;
use crate::output::hls::fragment::InitId;
use crate::output::hls::layout::{Layout, StreamDir, StreamFile, holds_only_stream_files};

/// The lock on `STREAM_DIR`. Dropping it unlocks the directory.
#[derive(Debug)]
pub(crate) struct DirLock {
    _file: File,
}

/// Creates `STREAM_DIR` if it is missing, and locks it. Fails if another process has locked it.
pub(crate) fn lock(layout: &Layout) -> io::Result<DirLock> {
    fs::create_dir_all(layout.root())?;
    let file = own_file::open_lock(&layout.lock_file())?;
    match file.try_lock() {
        Ok(()) => Ok(DirLock { _file: file }),
        Err(TryLockError::WouldBlock) => Err(io::Error::new(
            io::ErrorKind::ResourceBusy,
            "another stream-manager uses this directory; stop it or change STREAM_DIR",
        )),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// A stream of which an earlier process has left files behind.
#[derive(Debug)]
pub(crate) struct LeftStream {
    /// The name of the stream.
    pub(crate) id: StreamId,
    /// The numbers that follow the highest numbers that the files show. A number is 0 if the files do not show it.
    pub(crate) numbers: NumberSet,
    /// What is needed to continue the playlist, and its age; `None` if the files were removed.
    pub(super) kept: Option<(Continuation, Duration)>,
}

/// Removes the stream directories that an earlier process left behind, and empty directories that are
/// named like a stream. If a playlist can continue, its files are not removed. Must be called before any stream runs.
/// Returns the streams of all these directories.
pub(crate) fn sweep(layout: &Layout) -> io::Result<Vec<LeftStream>> {
    let mut left = Vec::new();
    for entry in fs::read_dir(layout.root())? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(id) = name.to_str().and_then(|name| StreamId::parse(name).ok()) else { continue };
        if !entry.file_type()?.is_dir() {
            continue;
        }
        if !holds_only_stream_files(&entry.path())? {
            warn!(directory = %entry.path().display(), "a directory in STREAM_DIR was not removed, because it contains files that do not belong to a stream; check STREAM_DIR, or move these files elsewhere");
            continue;
        }
        let mut numbers = numbers_after(&entry.path())?;
        let kept = what_continues(&layout.stream_dir(&id));
        if let Some((continuation, _)) = &kept {
            // If no fragment of the growing segment is complete, no player knows its number, so it is used again.
            numbers.sequence = continuation.next_sequence();
            // Epochs with the same init segment share its file, so the continuation may show a later epoch than the
            // names of the files. If HLS had ended, the stream may have continued without HLS. Then its last epoch is
            // not known, which 0 means.
            let next = continuation.epoch.saturating_add(1);
            numbers.epoch = if continuation.is_complete() { 0 } else { numbers.epoch.max(next) };
        } else {
            fs::remove_dir_all(entry.path())?;
            info!(directory = %entry.path().display(), "removed the directory that an earlier stream left behind");
        }
        left.push(LeftStream { id, numbers, kept });
    }
    Ok(left)
}

/// Returns what is needed to continue the playlist of a stream, and its age, and removes all other files of the stream.
/// Returns `None` if the playlist cannot continue.
fn what_continues(dir: &StreamDir) -> Option<(Continuation, Duration)> {
    let directory = dir.path().display();
    let found = match Continuation::read(dir) {
        Ok(found) => found?,
        Err(reason) => {
            info!(%directory, %reason, "the playlist of an earlier stream does not continue");
            return None;
        }
    };
    let removed = dir.remove_other_files(|file| found.0.needs(file));
    removed.inspect_err(|error| warn!(%directory, %error, "cannot remove old files")).ok()?;
    Some(found)
}

/// Returns the numbers that follow the highest numbers of a stream's files.
fn numbers_after(directory: &Path) -> io::Result<NumberSet> {
    let mut after = NumberSet::default();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        match name.to_str().and_then(StreamFile::parse) {
            Some(StreamFile::Segment(sequence)) => {
                after.sequence = after.sequence.max(sequence.saturating_add(1));
            }
            Some(StreamFile::Init(InitId { epoch, .. })) => {
                after.epoch = after.epoch.max(epoch.saturating_add(1));
            }
            Some(
                StreamFile::Continuation
                | StreamFile::NextContinuation
                | StreamFile::NextInit
                | StreamFile::Older,
            )
            | None => {}
        }
    }
    Ok(after)
}

/// For tests: streams of which an earlier process has left files behind.
#[cfg(test)]
pub(crate) mod testing {
    use std::sync::Arc;
    use std::time::SystemTime;

    use bytes::Bytes;

    use super::*;
    use crate::camera::origin::Origin;
    use crate::output::hls::continuation::moment::Moment;
    use crate::output::hls::fragment::MediaEnd;
    use crate::output::hls::segment::{Part, PartStart, Segment};

    /// Returns a stream whose HLS has just ended, with one segment. Does not write the files.
    pub(crate) fn left(id: StreamId, origin: Origin) -> LeftStream {
        let (init, second) = (InitId { epoch: 1, version: 0 }, Duration::from_secs(1));
        let part = Part { duration: second, offset: 0, length: 8, begin: PartStart::Keyframe };
        let segment = Segment {
            sequence: 1,
            begins_at: SystemTime::UNIX_EPOCH,
            init,
            is_discontinuity: false,
            parts: vec![part],
            undeclared: Duration::ZERO,
        };
        let end = MediaEnd { init, init_bytes: Bytes::new(), video: second, audio: None };
        let segments = vec![Arc::new(segment)];
        let (durations, now) = ((second, second), Moment::now().expect("a clock"));
        let continuation = Continuation::new(origin, durations, 0, 1, segments, end, now);
        let kept = continuation.map(|continuation| (continuation, Duration::ZERO));
        LeftStream { id, numbers: NumberSet::default(), kept }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_directories_of_streams_are_removed() {
        let root = tempfile::tempdir().expect("a directory");
        let write = |path: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("mkdir");
            fs::write(path, "x").expect("write");
        };
        for path in ["cam/init-1.mp4", "cam/init-3-1.mp4", "cam/17.m4s", "cam/9.m4s"] {
            write(path);
        }
        for path in ["photos/1.m4s", "photos/holiday.jpg", "file.txt", "a.b/1.m4s", "deep/1.m4s/x"]
        {
            write(path);
        }
        fs::create_dir(root.path().join("empty")).expect("mkdir");
        let mut removed = sweep(&Layout::new(root.path().to_owned())).expect("sweep");
        removed.sort_by_key(|left| left.numbers.sequence);
        let summary = |left: &LeftStream| {
            assert_eq!(left.kept, None);
            (left.id.to_string(), left.numbers.sequence, left.numbers.epoch)
        };
        let removed: Vec<_> = removed.iter().map(summary).collect();
        assert_eq!(removed, [("empty".to_owned(), 0, 0), ("cam".to_owned(), 18, 4)]);
        for gone in ["cam", "empty"] {
            assert!(!root.path().join(gone).exists(), "{gone} is still there");
        }
        for kept in ["photos/1.m4s", "photos/holiday.jpg", "file.txt", "a.b/1.m4s", "deep/1.m4s/x"]
        {
            assert!(root.path().join(kept).exists(), "{kept} is gone");
        }
    }

    #[test]
    fn a_directory_can_be_locked_only_once() {
        let root = tempfile::tempdir().expect("a directory");
        let layout = Layout::new(root.path().join("made/for/it"));
        let held = lock(&layout).expect("the first");
        let error = lock(&layout).expect_err("the second");
        assert_eq!(error.kind(), io::ErrorKind::ResourceBusy);
        drop(held);
        lock(&layout).expect("the first has ended");
    }
}
