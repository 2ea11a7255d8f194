//! The files of one stream: the growing segment, finished segments, and init segments.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IoSlice, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tracing::warn;

use crate::base::error::Error;
use crate::output::disk_budget::DiskShare;
use crate::output::hls::continuation::Continuation;
use crate::output::hls::ended::EndedStream;
use crate::output::hls::fragment::{InitId, InitSegment};
use crate::output::hls::layout::StreamDir;
use crate::output::hls::segment::Segment;

/// Writes and deletes one stream's files, and counts the bytes of its segments.
#[derive(Debug)]
pub(super) struct SegmentFiles {
    dir: StreamDir,
    share: DiskShare,
    /// The file of the growing segment.
    growing: Option<File>,
    /// Segments that have left the playlist, but that players may still be loading.
    retired: VecDeque<Arc<Segment>>,
    /// True if `retired` has grown since old segments were last deleted.
    has_retired: bool,
    /// The playing time for which retired segments are kept: the duration of the longest playlist.
    keep_for: Duration,
    /// True if the last attempt to write `continuation.json` failed.
    has_failed: bool,
    /// The length of `continuation.json` in bytes; `None` if this run has not written it yet, or has failed to.
    continuation: Option<usize>,
}

impl SegmentFiles {
    /// Returns the error to report for a write that failed because of `cause`.
    pub(super) fn write_error(&self, cause: &io::Error) -> Error {
        self.share.budget().write_error(cause)
    }

    /// Prepares to write a stream's files to `dir`, without creating a file. Segments that have left the
    /// playlist are kept for at least `keep_for`, in playing time.
    pub(super) fn new(dir: StreamDir, share: DiskShare, keep_for: Duration) -> Self {
        Self {
            dir,
            share,
            growing: None,
            retired: VecDeque::new(),
            has_retired: false,
            keep_for,
            has_failed: false,
            continuation: None,
        }
    }

    /// Returns the stream's directory.
    pub(super) fn dir(&self) -> &StreamDir {
        &self.dir
    }

    /// Writes an init segment, unless its file is there already. Creates the directory if it is missing. The file gets
    /// its name when it is complete, because players may be loading an earlier file of this name.
    pub(super) fn write_init(&self, init: &InitSegment) -> io::Result<()> {
        self.dir.create()?;
        let path = self.dir.init(init.id);
        if std::fs::read(&path).is_ok_and(|bytes| bytes == init.bytes) {
            return Ok(());
        }
        std::fs::write(self.dir.next_init(), &init.bytes)?;
        std::fs::rename(self.dir.next_init(), path)
    }

    /// Creates the file of the next segment.
    pub(super) fn open(&mut self, sequence: u64) -> io::Result<()> {
        self.growing = Some(File::create(self.dir.segment(sequence))?);
        Ok(())
    }

    /// Appends `slices` to the growing segment, and returns the number of bytes.
    pub(super) fn append(&mut self, slices: &[Bytes]) -> io::Result<u64> {
        if let Some(file) = &mut self.growing {
            write_all(file, slices)?;
        }
        let length = slices.iter().map(|slice| slice.len() as u64).sum();
        self.share.add(length);
        Ok(length)
    }

    /// Truncates the growing segment to `length` bytes, because a fragment may have been written only
    /// partly. Ignores a failure.
    pub(super) fn cut_back_to(&self, length: u64) {
        if let Some(file) = &self.growing {
            let _ = file.set_len(length);
        }
    }

    /// Closes the growing segment, and keeps the `retired` segments, which have left the playlist.
    /// `listed` is the playing time of the finished segments in the playlist.
    pub(super) fn finish(&mut self, retired: Vec<Arc<Segment>>, listed: Duration) {
        self.growing = None;
        self.keep_for = self.keep_for.max(listed);
        self.has_retired |= !retired.is_empty();
        self.retired.extend(retired);
    }

    /// Closes and deletes the growing segment, which is withdrawn. The next segment gets the same number. The file is
    /// deleted at once. Otherwise, if the manager is killed, the next manager would find the withdrawn media under this
    /// number.
    pub(super) fn discard(&mut self, segment: &Segment) {
        self.growing = None;
        self.delete(&self.dir.segment(segment.sequence));
        self.share.remove(segment.length());
    }

    /// Deletes segments that no player needs any more, and their init segments. According to RFC 8216
    /// (6.2.2), a segment is needed for its own duration plus the duration of the longest playlist that listed it.
    /// `is_in_use` returns whether an init segment is still needed.
    pub(super) fn delete_old(&mut self, is_in_use: impl Fn(InitId) -> bool) {
        // This function is called for each part. Adding up all durations every time would be expensive.
        if !std::mem::take(&mut self.has_retired) {
            return;
        }
        while self.retired_without_oldest() >= self.keep_for {
            let Some(old) = self.retired.pop_front() else { return };
            self.delete(&self.dir.segment(old.sequence));
            self.share.remove(old.length());
            let is_retired = self.retired.iter().any(|other| other.init == old.init);
            if !is_retired && !is_in_use(old.init) {
                self.delete(&self.dir.init(old.init));
            }
        }
    }

    fn retired_without_oldest(&self) -> Duration {
        self.retired.iter().skip(1).map(|old| old.duration()).sum()
    }

    fn delete(&self, path: &Path) {
        if let Err(error) = StreamDir::remove_file(path) {
            // The stream continues. The whole directory is removed when the stream ends.
            warn!(directory = %self.dir.path().display(), %error, "cannot delete an old file");
        }
    }

    /// Adds the disk space of the segments of the playlist that continues.
    pub(super) fn absorb(&mut self, share: DiskShare) {
        self.share.absorb(share);
    }

    /// Writes what is needed to continue the playlist if the manager is killed. `parts_from` is the index of the
    /// first segment whose parts a playlist can name. The stream continues if this fails.
    pub(super) fn write_continuation(&mut self, continuation: &Continuation, parts_from: usize) {
        let written = match self.continuation {
            Some(length) => continuation.overwrite(&self.dir, parts_from, length),
            None => continuation.write(&self.dir, parts_from),
        };
        self.continuation = written.as_ref().ok().copied();
        let had_failed = std::mem::replace(&mut self.has_failed, written.is_err());
        if let Err(error) = written
            && !had_failed
        {
            warn!(directory = %self.dir.path().display(), %error, "cannot write continuation.json: if the manager is killed now, the stream begins a new playlist");
        }
    }

    /// Writes what is needed to continue the playlist, and removes all other files. If this fails, removes all files
    /// and the directory.
    pub(super) fn end(
        self,
        continuation: Continuation,
        parts_from: usize,
    ) -> io::Result<EndedStream> {
        drop(self.growing);
        let Self { dir, mut share, .. } = self;
        let kept = continuation
            .write(&dir, parts_from)
            .and_then(|_| dir.remove_other_files(|file| continuation.needs(file)));
        match kept {
            Ok(()) => {
                share.shrink_to(continuation.bytes());
                Ok(EndedStream { continuation, dir, share })
            }
            Err(error) => dir.remove().and(Err(error)),
        }
    }

    /// Removes all files of the stream, and its directory.
    pub(super) fn remove(self) -> io::Result<()> {
        drop(self.growing);
        self.dir.remove()
    }
}

/// Writes all slices, usually with a single system call.
fn write_all(file: &mut File, slices: &[Bytes]) -> io::Result<()> {
    let mut slices: Vec<_> = slices.iter().map(|slice| IoSlice::new(slice)).collect();
    let mut left = slices.as_mut_slice();
    while !left.is_empty() {
        match file.write_vectored(left) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut left, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
