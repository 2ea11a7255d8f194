//! A place in a directory, such as a share of a NAS that is mounted there.
//!
//! A copy is first written under another name, so that a file under its final name is always complete.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::counters::OffsiteCounters;
use super::pace::Pace;
use crate::base::dirs;

/// The size of the pieces in which files are written, in bytes.
const PIECE: usize = 256 * 1024;
/// The longest time of an operation. A share whose server is away can block it forever.
const WITHIN: Duration = Duration::from_secs(30);
/// The most operations at the same time. Each has a thread, which a share whose server is away can block.
const MAX_OPERATIONS: usize = 8;
/// The extension of copies that are not complete.
const PARTIAL: &str = "part";

/// The directory.
#[derive(Debug, Clone)]
pub(crate) struct Share {
    root: Arc<PathBuf>,
    pace: Pace,
    counters: OffsiteCounters,
    operations: Arc<Semaphore>,
}

/// A copy that is being written.
#[derive(Debug)]
pub(super) struct PartialCopy {
    file: Arc<File>,
    path: PathBuf,
    position: u64,
}

impl Share {
    /// Creates the place. Does not access the directory.
    pub(super) fn new(root: PathBuf, pace: Pace, counters: OffsiteCounters) -> Self {
        let operations = Arc::new(Semaphore::new(MAX_OPERATIONS));
        Self { root: Arc::new(root), pace, counters, operations }
    }

    /// Returns the path of a copy.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Runs an operation on a thread that can block.
    async fn run<T: Send + 'static>(
        &self,
        operation: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let operations = Arc::clone(&self.operations);
        let run = async move {
            let permit = operations.acquire_owned().await.map_err(io::Error::other)?;
            let blocking = tokio::task::spawn_blocking(move || {
                // An operation that hangs keeps its permit.
                let _permit = permit;
                operation()
            });
            blocking.await.map_err(io::Error::other)?
        };
        timeout(WITHIN, run).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Returns a small file as a text; `None` if there is no such file.
    pub(super) async fn text(&self, name: &str) -> io::Result<Option<String>> {
        let (root, name) = (Arc::clone(&self.root), name.to_owned());
        self.run(move || none_if_missing(dirs::text(&root, name.as_ref()))).await
    }

    /// Creates a small file in the directory, which must exist, unless there is a file with this name.
    pub(super) async fn create(&self, name: &str, text: &str) -> io::Result<()> {
        let (root, name, text) = (Arc::clone(&self.root), name.to_owned(), text.to_owned());
        let create = move || {
            let file = dirs::create(&root, name.as_ref())?;
            file.write_all_at(text.as_bytes(), 0)?;
            file.sync_all()
        };
        self.run(create).await
    }

    /// Begins a copy.
    pub(super) async fn begin(&self, name: &str) -> io::Result<PartialCopy> {
        let (root, name, path) = (Arc::clone(&self.root), name.to_owned(), self.path(name));
        let begin = move || {
            let partial = Path::new(&name).with_added_extension(PARTIAL);
            // An interrupted copy may have left it.
            none_if_missing(dirs::remove_file(&root, &partial))?;
            let file = Arc::new(dirs::create(&root, &partial)?);
            Ok(PartialCopy { file, path, position: 0 })
        };
        self.run(begin).await
    }

    /// Writes the next bytes of a copy.
    pub(super) async fn add(&self, copy: &mut PartialCopy, bytes: Bytes) -> io::Result<()> {
        for begin in (0..bytes.len()).step_by(PIECE) {
            let piece = bytes.slice(begin..(begin + PIECE).min(bytes.len()));
            self.pace.take(piece.len()).await;
            let (size, file, position) = (piece.len(), Arc::clone(&copy.file), copy.position);
            self.run(move || file.write_all_at(&piece, position)).await?;
            self.counters.sent(size);
            copy.position += size as u64;
        }
        Ok(())
    }

    /// Completes a copy.
    pub(super) async fn complete(&self, copy: PartialCopy) -> io::Result<()> {
        let complete = move || {
            copy.file.sync_all()?;
            fs::rename(copy.path.with_added_extension(PARTIAL), &copy.path)?;
            // After a power cut, the copy must still be there.
            copy.path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
        };
        self.run(complete).await
    }

    /// Deletes what an interrupted copy has left.
    pub(super) async fn abort(&self, name: &str) -> io::Result<()> {
        let (root, partial) =
            (Arc::clone(&self.root), Path::new(name).with_added_extension(PARTIAL));
        self.run(move || none_if_missing(dirs::remove_file(&root, &partial)).map(drop)).await
    }

    /// Returns the size of a copy in bytes; `None` if there is no such copy.
    pub(super) async fn size(&self, name: &str) -> io::Result<Option<u64>> {
        let (root, name) = (Arc::clone(&self.root), name.to_owned());
        let size = move || Ok(dirs::open(&root, name.as_ref())?.metadata()?.len());
        self.run(move || none_if_missing(size())).await
    }

    /// Deletes a copy, and its directories if they are empty. A missing copy is no error.
    pub(super) async fn delete(&self, name: &str) -> io::Result<()> {
        let (root, name) = (Arc::clone(&self.root), PathBuf::from(name));
        let delete = move || {
            none_if_missing(dirs::remove_file(&root, &name))?;
            dirs::remove_empty_parents(&root, &name);
            Ok(())
        };
        self.run(delete).await
    }
}

fn none_if_missing<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}
