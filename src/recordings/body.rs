//! Bytes from memory and from recorded files, read while a client takes them.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tracing::{Instrument as _, debug};

use super::source::Source;

/// The most bytes between two pieces of a copy off-site that are read with one request. Reading and dropping them takes less
/// time than another request.
const MAX_SKIPPED: u64 = 256 * 1024;
/// The number of reads that wait until the client takes them.
const WAITING: usize = 2;
/// The time within which a client must take the bytes of a read.
const TAKEN_WITHIN: Duration = Duration::from_mins(1);

/// Bytes from memory, followed by bytes from files.
#[derive(Debug, Clone, Default)]
pub(crate) struct Content {
    /// The bytes from memory.
    pub(crate) head: Bytes,
    /// The ranges of bytes of files that follow.
    pub(crate) pieces: Vec<FilePiece>,
}

/// A range of bytes of a file.
#[derive(Debug, Clone)]
pub(crate) struct FilePiece {
    /// The file.
    pub(crate) source: Arc<Source>,
    /// Position in the file, in bytes.
    pub(crate) offset: u64,
    /// Size in bytes.
    pub(crate) size: u64,
}

impl Content {
    /// Returns the size in bytes.
    pub(crate) fn size(&self) -> u64 {
        let pieces: u64 = self.pieces.iter().map(|piece| piece.size).sum();
        pieces.saturating_add(self.head.len() as u64)
    }

    /// Returns the bytes from the position `first` up to, but not including, the position `end`.
    pub(crate) fn range(&self, first: u64, end: u64) -> Self {
        let place = |position: u64| usize::try_from(position).unwrap_or(usize::MAX);
        let head = self.head.len();
        let head = self.head.slice(place(first).min(head)..place(end.max(first)).min(head));
        let mut position = self.head.len() as u64;
        let mut pieces = Vec::new();
        for piece in &self.pieces {
            let begin = position;
            position = position.saturating_add(piece.size);
            let (from, to) = (first.max(begin), end.min(position));
            if from < to {
                let offset = piece.offset.saturating_add(from - begin);
                pieces.push(FilePiece {
                    source: Arc::clone(&piece.source),
                    offset,
                    size: to - from,
                });
            }
        }
        Self { head, pieces }
    }

    /// Starts to read, and returns the bytes. They end early if `ended` resolves, if a file cannot be read, or if the
    /// client does not take them.
    pub(crate) fn read(
        self,
        ended: impl Future<Output = ()> + Send + 'static,
    ) -> mpsc::Receiver<Bytes> {
        let (bytes, receiver) = mpsc::channel(WAITING);
        let read = async move {
            tokio::select! {
                read = self.read_all(&bytes) => if let Err(error) = read {
                    debug!(%error, "a recorded file was not sent completely");
                },
                () = ended => debug!("the permission ended while recorded files were sent"),
            }
        };
        tokio::spawn(read.in_current_span());
        receiver
    }

    async fn read_all(self, bytes: &mpsc::Sender<Bytes>) -> io::Result<()> {
        if !self.head.is_empty() {
            send(bytes, self.head).await?;
        }
        for run in self.pieces.chunk_by(are_read_together) {
            let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
            let end = last.offset.saturating_add(last.size);
            let mut reader = first.source.reader(first.offset, end.saturating_sub(first.offset));
            let mut position = first.offset;
            let mut read = Bytes::new();
            for piece in run {
                let mut skipped = piece.offset.saturating_sub(position);
                let mut rest = piece.size;
                position = piece.offset.saturating_add(piece.size);
                while rest > 0 {
                    if read.is_empty() {
                        read = reader.next().await?;
                    }
                    let count = read.len().min(usize::try_from(skipped).unwrap_or(usize::MAX));
                    skipped -= read.split_to(count).len() as u64;
                    let count = read.len().min(usize::try_from(rest).unwrap_or(usize::MAX));
                    let wanted = read.split_to(count);
                    rest -= wanted.len() as u64;
                    if !wanted.is_empty() {
                        send(bytes, wanted).await?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Returns whether the bytes of two pieces are read with one request.
fn are_read_together(one: &FilePiece, next: &FilePiece) -> bool {
    let end = one.offset.saturating_add(one.size);
    let most = if one.source.is_remote() { MAX_SKIPPED } else { 0 };
    Arc::ptr_eq(&one.source, &next.source)
        && next.offset.checked_sub(end).is_some_and(|skipped| skipped <= most)
}

async fn send(bytes: &mpsc::Sender<Bytes>, read: Bytes) -> io::Result<()> {
    match timeout(TAKEN_WITHIN, bytes.send(read)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(io::Error::other("the client has left")),
        Err(_) => Err(io::Error::other("the client does not read")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(dir: &tempfile::TempDir) -> (Content, Vec<u8>) {
        let paths = ["a", "b"].map(|name| dir.path().join(name));
        let data: Vec<u8> = (0..u8::MAX).cycle().take(700_000).collect();
        for path in &paths {
            std::fs::write(path, &data).expect("a file");
        }
        let sources = paths.map(|path| Arc::new(Source::File(path)));
        let piece = |file: usize, offset, size| {
            let source = Arc::clone(&sources[file]);
            FilePiece { source, offset, size }
        };
        let pieces = vec![piece(0, 5, 10), piece(0, 100, 600_000), piece(1, 3, 20)];
        let head = Bytes::from_static(b"the head");
        let expected = [&b"the head"[..], &data[5..15], &data[100..600_100], &data[3..23]].concat();
        (Content { head, pieces }, expected)
    }

    async fn all(content: Content) -> Vec<u8> {
        let mut bytes = content.read(std::future::pending());
        let mut all = Vec::new();
        while let Some(read) = bytes.recv().await {
            all.extend_from_slice(&read);
        }
        all
    }

    #[tokio::test]
    async fn every_range_is_read() {
        let dir = tempfile::tempdir().expect("a directory");
        let (content, expected) = content(&dir);
        let size = expected.len();
        assert_eq!(content.size(), size as u64);
        for (first, end) in
            [(0, size), (0, 1), (7, 9), (3, 20), (17, 19), (100, 300_000), (size - 1, size), (9, 9)]
        {
            let range = content.range(first as u64, end as u64);
            assert_eq!(range.size(), (end - first) as u64, "{first} to {end}");
            assert!(all(range).await == expected[first..end], "{first} to {end}");
        }
    }

    #[tokio::test]
    async fn bytes_end_early_without_permission_or_file() {
        let dir = tempfile::tempdir().expect("a directory");
        let (content, expected) = content(&dir);
        let mut bytes = content.clone().read(std::future::ready(()));
        let mut received = 0;
        while let Some(read) = bytes.recv().await {
            received += read.len();
        }
        assert!(received < expected.len());
        std::fs::remove_file(dir.path().join("b")).expect("a file");
        assert!(all(content).await.len() == expected.len() - 20);
    }
}
