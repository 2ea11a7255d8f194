//! Sole owner of paths and file names under `STREAM_DIR`.
//!
//! ```text
//! STREAM_DIR/.lock
//! STREAM_DIR/.ready                        only while a check of readiness writes it
//! STREAM_DIR/{id}/init-{epoch}.mp4
//! STREAM_DIR/{id}/{sequence}.m4s
//! ```

use std::io;
use std::path::{Path, PathBuf};

use nix::sys::statfs::{TMPFS_MAGIC, statfs};

use crate::camera::id::StreamId;

/// Name of the playlist in a stream's URL. It is in no file: the manager has it in memory.
pub(crate) const PLAYLIST: &str = "stream.m3u8";
const LOCK: &str = ".lock";
const READY: &str = ".ready";

/// `STREAM_DIR`.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
    is_in_memory: bool,
}

impl Layout {
    /// The layout under `root`, which need not be there yet.
    pub fn new(root: PathBuf) -> Self {
        let is_in_memory = is_in_memory(&root);
        Self { root, is_in_memory }
    }

    /// `STREAM_DIR` itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The file that a running manager holds locked.
    pub fn lock_file(&self) -> PathBuf {
        self.root.join(LOCK)
    }

    /// Checks that files can be written and removed.
    pub async fn check_writable(&self) -> io::Result<()> {
        let path = self.root.join(READY);
        tokio::fs::write(&path, b"ready").await?;
        tokio::fs::remove_file(&path).await
    }

    /// The directory of a camera's stream.
    pub fn stream(&self, id: &StreamId) -> StreamDir {
        StreamDir { path: self.root.join(id.as_str()), is_in_memory: self.is_in_memory }
    }
}

/// Directory of one stream.
#[derive(Debug, Clone)]
pub struct StreamDir {
    path: PathBuf,
    is_in_memory: bool,
}

impl StreamDir {
    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is on a tmpfs, where writing never waits for anything.
    pub fn is_in_memory(&self) -> bool {
        self.is_in_memory
    }

    /// Makes the directory. One that holds anything but a stream's files belongs to somebody
    /// else and is refused.
    pub fn create(&self) -> io::Result<()> {
        std::fs::create_dir_all(&self.path)?;
        if holds_only_stream_files(&self.path)? {
            return Ok(());
        }
        let reason = format!("{} holds files that are not a stream's", self.path.display());
        Err(io::Error::new(io::ErrorKind::AlreadyExists, reason))
    }

    /// Removes the stream's files, and the directory when nothing else is in it. A directory that
    /// is not there is fine.
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

    /// Path of an init segment.
    pub(crate) fn init(&self, epoch: u64) -> PathBuf {
        self.path.join(init_name(epoch))
    }

    /// Path of a segment.
    pub fn segment(&self, sequence: u64) -> PathBuf {
        self.path.join(segment_name(sequence))
    }

    /// Removes one file. One that is not there is fine.
    pub fn remove_file(path: &Path) -> io::Result<()> {
        ignore_missing(std::fs::remove_file(path))
    }
}

/// Whether `path` is on a tmpfs, or would be if it were made.
fn is_in_memory(path: &Path) -> bool {
    let here = |path: &Path| if path.as_os_str().is_empty() { statfs(".") } else { statfs(path) };
    let status = path.ancestors().find_map(|path| here(path).ok());
    status.is_some_and(|status| status.filesystem_type() == TMPFS_MAGIC)
}

/// File name, and relative URL, of an init segment.
pub(crate) fn init_name(epoch: u64) -> String {
    format!("init-{epoch}.mp4")
}

/// File name, and relative URL, of a segment.
pub(crate) fn segment_name(sequence: u64) -> String {
    format!("{sequence}.m4s")
}

/// Whether there is nothing in a directory but a stream's files.
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

/// Whether a stream's directory may hold a file of this name.
pub(crate) fn is_stream_file(name: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    // Playlists are those of an older manager, which had them in files.
    let older = ["stream.m3u8", "index.m3u8", "stream.m3u8.next", "index.m3u8.next"];
    older.contains(&name)
        || name.strip_suffix(".m4s").is_some_and(is_number)
        || name
            .strip_prefix("init-")
            .and_then(|rest| rest.strip_suffix(".mp4"))
            .is_some_and(is_number)
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
    fn never_takes_or_removes_what_belongs_to_others() {
        let root = tempfile::tempdir().expect("a directory");
        let id = StreamId::parse("photos").expect("an id");
        let dir = Layout::new(root.path().to_owned()).stream(&id);
        dir.remove().expect("nothing to remove");
        dir.create().expect("a new directory");
        std::fs::write(dir.segment(1), "x").expect("write");
        dir.create().expect("its own directory");
        std::fs::write(dir.path().join("holiday.jpg"), "x").expect("write");
        assert!(dir.create().is_err());
        assert!(dir.remove().is_err());
        assert!(dir.path().join("holiday.jpg").exists() && !dir.segment(1).exists());
    }

    #[test]
    fn knows_its_own_files() {
        for own in [&init_name(7), &segment_name(1_763_690_000), PLAYLIST, "index.m3u8.next"] {
            assert!(is_stream_file(own), "{own}");
        }
        for other in ["", ".lock", "init-.mp4", "init-x.mp4", ".m4s", "1.m4s.bak", "family.mp4"] {
            assert!(!is_stream_file(other), "{other}");
        }
    }
}
