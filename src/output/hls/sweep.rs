//! Prepares `STREAM_DIR` at start-up: locks it for this process, and removes the files that a killed
//! process left behind. The names of these files contain the numbers that the process used last.
//!
//! A mistyped `STREAM_DIR` must not destroy files: only directories that are named like a stream and
//! hold nothing but a stream's files are removed.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;

use tracing::{info, warn};

use crate::base::own_file;
use crate::camera::id::StreamId;
use crate::camera::numbers::NumberSet;
use crate::output::hls::fragment::InitId;
use crate::output::hls::layout::{Layout, StreamFile, holds_only_stream_files};

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

/// Removes the stream directories that a killed process left behind, and empty directories that are
/// named like a stream. Must be called before any stream runs. Returns the removed streams, each with the numbers
/// that follow the highest numbers of its files; the discontinuity number is 0.
pub(crate) fn sweep(layout: &Layout) -> io::Result<Vec<(StreamId, NumberSet)>> {
    let mut removed = Vec::new();
    for entry in fs::read_dir(layout.root())? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(id) = name.to_str().and_then(|name| StreamId::parse(name).ok()) else { continue };
        if !entry.file_type()?.is_dir() {
            continue;
        }
        if holds_only_stream_files(&entry.path())? {
            removed.push((id, numbers_after(&entry.path())?));
            fs::remove_dir_all(entry.path())?;
            info!(directory = %entry.path().display(), "removed the directory that an earlier stream left behind");
        } else {
            warn!(directory = %entry.path().display(), "kept a directory that contains other files than those of a stream");
        }
    }
    Ok(removed)
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
            Some(StreamFile::Older) | None => {}
        }
    }
    Ok(after)
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
        removed.sort_by_key(|(_, numbers)| numbers.sequence);
        let removed: Vec<_> =
            removed.iter().map(|(id, it)| (id.as_str(), it.sequence, it.epoch)).collect();
        assert_eq!(removed, [("empty", 0, 0), ("cam", 18, 4)]);
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
