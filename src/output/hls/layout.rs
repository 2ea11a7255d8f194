//! Paths and file names under `STREAM_DIR`. No other module defines such names.
//!
//! ```text
//! STREAM_DIR/.lock
//! STREAM_DIR/.ready                           exists only during a readiness check
//! STREAM_DIR/{id}/init-{epoch}.mp4            the init segment for version 0 of an epoch's description
//! STREAM_DIR/{id}/init-{epoch}-{version}.mp4  the init segment for a later version
//! STREAM_DIR/{id}/init.mp4.next               exists only while an init segment is written
//! STREAM_DIR/{id}/{sequence}.m4s
//! STREAM_DIR/{id}/continuation.json            what is needed to continue the playlist
//! STREAM_DIR/{id}/continuation.json.next       exists only while the file is written
//! ```

use std::io;
use std::path::{Path, PathBuf};

use nix::sys::statfs::{TMPFS_MAGIC, statfs};

use crate::camera::id::StreamId;
use crate::output::hls::fragment::InitId;

/// Name of the media playlist in a stream's URL. There is no such file: the playlist is in memory.
pub(crate) const PLAYLIST: &str = "stream.m3u8";
/// Name of the file that a running manager holds locked.
const LOCK: &str = ".lock";
/// Name of the file that contains what is needed to continue the playlist. nginx does not serve it.
const CONTINUATION: &str = "continuation.json";
/// Name of that file while it is written.
const NEXT_CONTINUATION: &str = "continuation.json.next";
/// Name of an init segment while it is written.
const NEXT_INIT: &str = "init.mp4.next";
/// Name of the file that a readiness check writes and removes.
const READY: &str = ".ready";

/// The files and directories under `STREAM_DIR`.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
    is_in_memory: bool,
}

impl Layout {
    /// Creates the layout under `root`, which need not exist yet.
    pub fn new(root: PathBuf) -> Self {
        let is_in_memory = is_in_memory(&root);
        Self { root, is_in_memory }
    }

    /// Returns `STREAM_DIR` itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the path of the file that a running manager holds locked.
    pub fn lock_file(&self) -> PathBuf {
        self.root.join(LOCK)
    }

    /// Checks that files can be written and removed.
    pub async fn check_writable(&self) -> io::Result<()> {
        let path = self.root.join(READY);
        tokio::fs::write(&path, b"ready").await?;
        tokio::fs::remove_file(&path).await
    }

    /// Returns the directory of a stream.
    pub fn stream_dir(&self, id: &StreamId) -> StreamDir {
        StreamDir { path: self.root.join(id.as_str()), is_in_memory: self.is_in_memory }
    }
}

/// The directory of one stream.
#[derive(Debug, Clone)]
pub struct StreamDir {
    path: PathBuf,
    is_in_memory: bool,
}

impl StreamDir {
    /// Returns the path of the directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns whether the directory is on a tmpfs, where writing never waits for a disk.
    pub fn is_in_memory(&self) -> bool {
        self.is_in_memory
    }

    /// Creates the directory if it is missing. Fails if it contains other files than those of a stream,
    /// because it is then used for something else.
    pub fn create(&self) -> io::Result<()> {
        std::fs::create_dir_all(&self.path)?;
        if holds_only_stream_files(&self.path)? {
            return Ok(());
        }
        let reason = format!("{} contains other files than those of a stream", self.path.display());
        Err(io::Error::new(io::ErrorKind::AlreadyExists, reason))
    }

    /// Removes the stream's files, and then the directory. Fails if the directory contains other files.
    /// Does nothing if there is no directory.
    pub fn remove(&self) -> io::Result<()> {
        match std::fs::read_dir(&self.path) {
            Ok(entries) => {
                for entry in entries {
                    let entry = entry?;
                    if entry.file_name().to_str().is_some_and(is_stream_file) {
                        Self::remove_file(&entry.path())?;
                    }
                }
                ignore_missing(std::fs::remove_dir(&self.path))
            }
            Err(error) => ignore_missing(Err(error)),
        }
    }

    /// Returns the path of an init segment.
    pub(crate) fn init(&self, id: InitId) -> PathBuf {
        self.path.join(init_name(id))
    }

    /// Returns the path of an init segment while it is written.
    pub(super) fn next_init(&self) -> PathBuf {
        self.path.join(NEXT_INIT)
    }

    /// Returns the path of a segment.
    pub fn segment(&self, sequence: u64) -> PathBuf {
        self.path.join(segment_name(sequence))
    }

    /// Returns the path of the file that contains what is needed to continue the playlist.
    pub(super) fn continuation(&self) -> PathBuf {
        self.path.join(CONTINUATION)
    }

    /// Returns the path of that file while it is written.
    pub(super) fn next_continuation(&self) -> PathBuf {
        self.path.join(NEXT_CONTINUATION)
    }

    /// Removes all files of the stream except those that `is_kept` returns true for.
    pub(super) fn remove_other_files(
        &self,
        is_kept: impl Fn(StreamFile) -> bool,
    ) -> io::Result<()> {
        for entry in std::fs::read_dir(&self.path)? {
            let entry = entry?;
            let file = entry.file_name().to_str().and_then(StreamFile::parse);
            if file.is_some_and(|file| !is_kept(file)) {
                Self::remove_file(&entry.path())?;
            }
        }
        Ok(())
    }

    /// Removes one file, if it exists.
    pub fn remove_file(path: &Path) -> io::Result<()> {
        ignore_missing(std::fs::remove_file(path))
    }
}

/// Returns whether `path` is on a tmpfs. For a path that does not exist, its nearest ancestor counts.
fn is_in_memory(path: &Path) -> bool {
    let here = |path: &Path| if path.as_os_str().is_empty() { statfs(".") } else { statfs(path) };
    let status = path.ancestors().find_map(|path| here(path).ok());
    status.is_some_and(|status| status.filesystem_type() == TMPFS_MAGIC)
}

/// Returns the file name of an init segment, which is also its relative URL.
pub(crate) fn init_name(InitId { epoch, version }: InitId) -> String {
    match version {
        0 => format!("init-{epoch}.mp4"),
        _ => format!("init-{epoch}-{version}.mp4"),
    }
}

/// Returns the file name of a segment, which is also its relative URL.
pub(crate) fn segment_name(sequence: u64) -> String {
    format!("{sequence}.m4s")
}

/// Returns whether a directory contains nothing but a stream's files.
pub(crate) fn holds_only_stream_files(directory: &Path) -> io::Result<bool> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let is_ours = entry.file_name().to_str().is_some_and(is_stream_file);
        if !is_ours || !entry.file_type()?.is_file() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Returns whether a file of this name can be one of a stream's files.
pub(crate) fn is_stream_file(name: &str) -> bool {
    StreamFile::parse(name).is_some()
}

/// A file of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamFile {
    /// The segment with this number.
    Segment(u64),
    /// An init segment.
    Init(InitId),
    /// The file that contains what is needed to continue the playlist.
    Continuation,
    /// That file, incompletely written.
    NextContinuation,
    /// An init segment, incompletely written.
    NextInit,
    /// A playlist, as older versions of the manager wrote it to disk.
    Older,
}

impl StreamFile {
    /// Returns the kind of file with this name; `None` if no file of a stream has such a name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        if ["stream.m3u8", "index.m3u8", "stream.m3u8.next", "index.m3u8.next"].contains(&name) {
            return Some(Self::Older);
        }
        match name {
            CONTINUATION => return Some(Self::Continuation),
            NEXT_CONTINUATION => return Some(Self::NextContinuation),
            NEXT_INIT => return Some(Self::NextInit),
            _ => {}
        }
        if let Some(sequence) = name.strip_suffix(".m4s") {
            return Some(Self::Segment(number(sequence)?));
        }
        let id = name.strip_prefix("init-")?.strip_suffix(".mp4")?;
        let (epoch, version) = id.split_once('-').unwrap_or((id, "0"));
        let version = number(version)?.try_into().ok()?;
        Some(Self::Init(InitId { epoch: number(epoch)?, version }))
    }
}

/// Parses a number; `None` if there are characters other than digits, or if the number is too large.
fn number(digits: &str) -> Option<u64> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_files_are_neither_removed_nor_mixed_with_segments() {
        let root = tempfile::tempdir().expect("a directory");
        let id = StreamId::parse("photos").expect("an id");
        let dir = Layout::new(root.path().to_owned()).stream_dir(&id);
        dir.remove().expect("nothing to remove");
        dir.create().expect("a new directory");
        std::fs::write(dir.segment(1), "x").expect("write");
        dir.create().expect("a directory with segments only");
        std::fs::write(dir.path().join("holiday.jpg"), "x").expect("write");
        assert!(dir.create().is_err());
        assert!(dir.remove().is_err());
        assert!(dir.path().join("holiday.jpg").exists() && !dir.segment(1).exists());
    }

    #[test]
    fn names_of_stream_files_are_recognized() {
        for own in [
            &init_name(InitId { epoch: 7, version: 0 }),
            &init_name(InitId { epoch: 7, version: 2 }),
            &segment_name(1_763_690_000),
            PLAYLIST,
            "index.m3u8.next",
            CONTINUATION,
            NEXT_CONTINUATION,
            NEXT_INIT,
        ] {
            assert!(is_stream_file(own), "{own}");
        }
        for other in [
            "",
            ".lock",
            "init-.mp4",
            "init-x.mp4",
            "init-7-.mp4",
            "init-7-x.mp4",
            ".m4s",
            "1.m4s.bak",
            "family.mp4",
            "continuation",
            "continuation.json.bak",
        ] {
            assert!(!is_stream_file(other), "{other}");
        }
    }
}
