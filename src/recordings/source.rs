//! Reading recorded files: local ones, and copies off-site.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;
use tracing::debug;

use crate::base::blocking::blocking;
use crate::base::dirs;
use crate::base::storage::Storage;
use crate::offsite::bucket::BucketError;
use crate::offsite::shared::{CopiedObject, Copy};

/// The most bytes that are read at once from a local file.
const AT_ONCE: u64 = 256 * 1024;
/// The number of attempts to read the same bytes of a copy.
const ATTEMPTS: u32 = 4;
/// The pause between two attempts. Viewers should not notice one interrupted connection.
const PAUSE: Duration = Duration::from_millis(200);

/// The number of reads from shares at the same time. If a share hangs, each read blocks a thread.
const MAX_SHARE_READS: usize = 16;
/// The longest time that a read waits for a share.
const SHARE_PATIENCE: Duration = Duration::from_secs(30);

static READING_SHARES: Semaphore = Semaphore::const_new(MAX_SHARE_READS);

/// A recorded file.
#[derive(Debug)]
pub(crate) enum Source {
    /// A file on a local disk.
    File(PathBuf),
    /// A copy on a share.
    OnShare(PathBuf),
    /// A copy in a bucket.
    Object(CopiedObject),
}

/// Reads a range of a file.
pub(crate) struct Reader<'a> {
    source: &'a Source,
    offset: u64,
    /// The number of bytes that were not read yet.
    rest: u64,
    file: Option<Arc<File>>,
    pieces: Option<BoxStream<'static, Result<Bytes, BucketError>>>,
}

impl From<Copy> for Source {
    fn from(copy: Copy) -> Self {
        match copy {
            Copy::Object(object) => Self::Object(object),
            Copy::File(path) => Self::OnShare(path),
        }
    }
}

impl Source {
    /// Returns true if each read is a request to a server.
    pub(crate) fn is_remote(&self) -> bool {
        matches!(self, Self::Object(_))
    }

    /// Returns the kind of storage.
    pub(crate) fn storage(&self) -> Storage {
        match self {
            Self::File(_) => Storage::Local,
            Self::OnShare(_) | Self::Object(_) => Storage::Offsite,
        }
    }

    /// Begins to read a range.
    pub(crate) fn reader(&self, offset: u64, size: u64) -> Reader<'_> {
        Reader { source: self, offset, rest: size, file: None, pieces: None }
    }

    /// Reads a range.
    pub(crate) async fn read(&self, offset: u64, size: u64) -> io::Result<Bytes> {
        let mut bytes = Vec::with_capacity(usize::try_from(size).map_err(io::Error::other)?);
        let mut reader = self.reader(offset, size);
        while reader.rest > 0 {
            bytes.extend_from_slice(&reader.next().await?);
        }
        Ok(bytes.into())
    }
}

impl Reader<'_> {
    /// Returns the next bytes, of which there must be some.
    pub(crate) async fn next(&mut self) -> io::Result<Bytes> {
        if self.rest == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let bytes = match self.source {
            Source::File(path) => self.read_file(path, None).await?,
            Source::OnShare(path) => {
                let (reading, path) = (acquired(&READING_SHARES).await?, path.clone());
                let read = self.read_file(&path, Some(reading));
                timeout(SHARE_PATIENCE, read).await.map_err(|_| io::ErrorKind::TimedOut)??
            }
            Source::Object(object) => self.read_object(object).await?,
        };
        self.offset = self.offset.saturating_add(bytes.len() as u64);
        self.rest = self.rest.saturating_sub(bytes.len() as u64);
        Ok(bytes)
    }

    /// Returns the next bytes of a file. If the disk hangs, `place` is held until it responds.
    async fn read_file(
        &mut self,
        path: &Path,
        place: Option<SemaphorePermit<'static>>,
    ) -> io::Result<Bytes> {
        let (open, path) = (self.file.clone(), path.to_owned());
        let (offset, size) = (self.offset, self.rest.min(AT_ONCE));
        let read = move || {
            let _place = place;
            let file = open.map_or_else(|| dirs::open_file(&path).map(Arc::new), Ok)?;
            let mut bytes = vec![0; usize::try_from(size).map_err(io::Error::other)?];
            file.read_exact_at(&mut bytes, offset)?;
            Ok((file, bytes.into()))
        };
        let (file, bytes) = blocking(read).await?;
        self.file = Some(file);
        Ok(bytes)
    }

    /// Returns the next bytes of a copy. If the connection is interrupted, continues with another one.
    async fn read_object(&mut self, object: &CopiedObject) -> io::Result<Bytes> {
        let mut attempts = 1;
        loop {
            let error = match self.try_read_object(object).await {
                Ok(bytes) => return Ok(bytes),
                Err(error) if attempts == ATTEMPTS => return Err(error),
                Err(error) => error,
            };
            debug!(name = object.name(), %error, "a copy cannot be read; retrying");
            attempts += 1;
            self.pieces = None;
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn try_read_object(&mut self, object: &CopiedObject) -> io::Result<Bytes> {
        let pieces = if let Some(pieces) = &mut self.pieces {
            pieces
        } else {
            let pieces = object.read(self.offset, self.rest).await;
            self.pieces.insert(pieces.map_err(io::Error::other)?)
        };
        loop {
            let next = pieces.next().await.ok_or(io::ErrorKind::UnexpectedEof)?;
            let bytes = next.map_err(io::Error::other)?;
            if bytes.len() as u64 > self.rest {
                return Err(io::Error::other("the server sends more bytes than requested"));
            }
            if !bytes.is_empty() {
                return Ok(bytes);
            }
        }
    }
}

/// Waits for a place among the reads from shares.
async fn acquired(places: &'static Semaphore) -> io::Result<SemaphorePermit<'static>> {
    let acquired = timeout(SHARE_PATIENCE, places.acquire()).await;
    acquired.map_err(|_| io::ErrorKind::TimedOut)?.map_err(io::Error::other)
}
