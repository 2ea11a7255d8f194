//! Writes one recorded file. All functions can block.

use std::fs::{self, File};
use std::io::{self, IoSlice, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

use super::fragmenter::{Init, MadeFragment};
use super::open_files::OpenFile;
use crate::base::dirs;
use crate::media::mp4::frame_table::FrameTableWriter;
use crate::media::mp4::track::VIDEO_TIMESCALE;
use crate::store::db::fragment_list::RecordedFragment;

/// The longest time for which written data is not on the disk. A power cut costs this time at most.
const SYNC_INTERVAL: Duration = Duration::from_secs(10);
/// The most slices of one system call.
const MAX_SLICES: usize = 512;

/// A file that is being written.
#[derive(Debug)]
pub(crate) struct FileWriter {
    path: PathBuf,
    file: File,
    /// Bytes written so far.
    position: u64,
    synced_at: Instant,
    table: FrameTableWriter,
    open: Arc<OpenFile>,
}

impl FileWriter {
    /// Creates the file `path` below the directory `root`, which must exist, and writes the init segment. The writer
    /// reports each fragment to `open`.
    pub(crate) fn create(
        root: &Path,
        path: &Path,
        init: &Init,
        open: Arc<OpenFile>,
    ) -> io::Result<Self> {
        let (file, path) = (dirs::create(root, path)?, root.join(path));
        let table = FrameTableWriter::new(VIDEO_TIMESCALE, init.audio_timescale);
        let synced_at = Instant::now();
        let mut writer = Self { path, file, position: 0, synced_at, table, open };
        if let Err(error) = writer.write_all(std::slice::from_ref(&init.bytes)) {
            // A file without an init segment is of no use.
            drop(fs::remove_file(&writer.path));
            return Err(error);
        }
        Ok(writer)
    }

    /// Appends a fragment, and begins to write it to the disk.
    pub(crate) fn append(
        &mut self,
        fragment: &MadeFragment,
        begin_ms: u32,
        duration_ms: u32,
    ) -> io::Result<()> {
        let offset = self.position;
        self.write_all(&fragment.slices)?;
        self.table.add_all(offset + fragment.head_size as u64, &fragment.table);
        self.start_writeback(offset);
        if self.synced_at.elapsed() >= SYNC_INTERVAL {
            self.file.sync_data()?;
            self.synced_at = Instant::now();
        }
        let size = u32::try_from(self.position - offset).unwrap_or(u32::MAX);
        let is_keyframe = fragment.is_keyframe;
        let written = RecordedFragment { offset, size, begin_ms, duration_ms, is_keyframe };
        self.open.note(written, fragment.frames);
        Ok(())
    }

    /// Appends the table of frames, and writes everything to the disk. Returns the size of the file in bytes. A file
    /// without a fragment is deleted, and has no size. If the disk is full, the file has no table.
    pub(crate) fn close(mut self) -> io::Result<Option<u64>> {
        if self.open.written().1.is_empty() {
            fs::remove_file(&self.path)?;
            return Ok(None);
        }
        let table = self.table.finish();
        if self.write_all(&[table.into()]).is_err() {
            self.cut()?;
        }
        self.file.sync_data()?;
        Ok(Some(self.position))
    }

    /// Removes what a failed write has left after the last whole fragment.
    pub(crate) fn cut(&mut self) -> io::Result<()> {
        self.file.set_len(self.position)?;
        self.file.seek(SeekFrom::Start(self.position)).map(drop)
    }

    /// Writes all slices, or sets the position to the end of the last complete write.
    fn write_all(&mut self, slices: &[Bytes]) -> io::Result<()> {
        let mut written = 0;
        for slices in slices.chunks(MAX_SLICES) {
            let mut slices: Vec<_> = slices.iter().map(|slice| IoSlice::new(slice)).collect();
            let mut rest = slices.as_mut_slice();
            while !rest.is_empty() {
                match self.file.write_vectored(rest) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(count) => {
                        written += count as u64;
                        IoSlice::advance_slices(&mut rest, count);
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
        }
        self.position += written;
        Ok(())
    }

    /// Asks the system to write the data from `offset` on, so that unwritten data does not pile up until the next sync,
    /// which would then take long. On Linux, this advice begins to write, and does not wait.
    fn start_writeback(&self, offset: u64) {
        let (offset, length) = (to_offset(offset), to_offset(self.position - offset));
        // If the advice fails, the data is written later.
        let _ = posix_fadvise(&self.file, offset, length, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
    }
}

fn to_offset(position: u64) -> i64 {
    i64::try_from(position).unwrap_or(i64::MAX)
}
