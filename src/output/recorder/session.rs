//! The recording of one stream: from frames to files, and their entries in the database.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tracing::{Instrument as _, warn};

use super::copies::Copies;
use super::counters::RecordingCounters;
use super::cutter::{Clocks, Cutter, FileStart};
use super::directories::{Claimed, Directories};
use super::fragmenter::{Fragmenter, Init, MadeFragment};
use super::layout::FileName;
use super::open_files::{FilesWithoutTable, OpenFile, OpenFiles};
use super::writers::{Job, WriteQueue, WrittenFile};
use crate::base::error::{Error, ErrorKind};
use crate::media::frame::Frame;
use crate::media::mp4::recorded::init_digest;
use crate::store::db::Database;
use crate::store::db::fragment_list::RecordedFragment;
use crate::store::db::recording_table::{Offsite, RecordedFile, RecordedStream};
use crate::store::db::recording_writes::{ClosedFile, CopyRule, NewFile};
use crate::store::error::query_failed;

/// The longest time that a recording waits for the database before a file. In the meantime, the hub keeps the frames.
const DATABASE_PATIENCE: Duration = Duration::from_secs(3);
/// The longest time that a recording waits for its disk, while its queue is full.
const WRITE_PATIENCE: Duration = Duration::from_secs(10);
/// The pauses between attempts to complete a file's entry in the database. After that, the file's entry is completed at
/// the manager's next start.
const RETRIES: [Duration; 6] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_mins(1),
    Duration::from_mins(5),
];
/// The longest time that the end of a recording waits for its last file.
const ENDS_WITHIN: Duration = Duration::from_secs(5);

/// The parts that all sessions share.
#[derive(Debug, Clone)]
pub(super) struct SessionParts {
    pub(super) database: Database,
    pub(super) open_files: OpenFiles,
    pub(super) directories: Directories,
    pub(super) counters: RecordingCounters,
    pub(super) without_table: FilesWithoutTable,
    pub(super) copies: Copies,
}

/// The recording of one stream.
#[derive(Debug)]
pub(crate) struct Session {
    shared: SessionParts,
    stream: RecordedStream,
    dir: Claimed,
    queue: WriteQueue,
    fragmenter: Fragmenter,
    cutter: Cutter,
    /// The id of the last init segment in the database.
    format: Option<(Arc<Init>, i64)>,
    current: Option<Current>,
    /// The task that completes the entry of the last file.
    closing: Option<JoinHandle<()>>,
    /// True if files belong to an event.
    has_event: bool,
    copy: CopyRule,
}

/// The file that is being written.
#[derive(Debug)]
struct Current {
    /// The id in the database; `None` if there is no entry yet.
    id: Option<i64>,
    new: NewFile,
    open: Arc<OpenFile>,
}

impl Session {
    /// Creates the recording of `stream` into the directory `dir`.
    pub(super) fn new(
        shared: SessionParts,
        stream: RecordedStream,
        dir: Claimed,
        queue: WriteQueue,
    ) -> Self {
        let copy = shared.copies.rule(stream.profile);
        Self {
            shared,
            stream,
            dir,
            queue,
            fragmenter: Fragmenter::new(),
            cutter: Cutter::default(),
            format: None,
            current: None,
            closing: None,
            has_event: false,
            copy,
        }
    }

    /// Returns true if a fragment of the present file was written.
    pub(crate) fn has_written(&self) -> bool {
        self.current.as_ref().is_some_and(|current| current.open.has_fragments())
    }

    /// Returns the time at which the present fragment should be complete; `None` if this is not known.
    pub(crate) fn fragment_ends_at(&self) -> Option<Instant> {
        self.fragmenter.ends_at()
    }

    /// Returns the position of the directory in `RECORDINGS_DIRS`.
    pub(crate) fn dir_index(&self) -> usize {
        self.dir.index
    }

    /// Sets whether the next files belong to an event. If the files are copied to another place, the present file ends at
    /// the next keyframe, and files with events are short, so that their copies are there soon.
    pub(crate) fn set_event(&mut self, has_event: bool) {
        if has_event != self.has_event && self.copy != CopyRule::Never {
            self.cutter.set_urgent(has_event);
        }
        self.has_event = has_event;
    }

    /// Records a frame. Returns true if a keyframe is needed. After an error, the file has ended, and the recording
    /// continues with the next keyframe.
    pub(crate) async fn push(&mut self, frame: &Arc<Frame>, clocks: Clocks) -> Result<bool, Error> {
        let mut made = Vec::new();
        let pushed = self.fragmenter.push(frame, &mut made);
        self.take(made, clocks).await?;
        pushed.map_err(|error| {
            self.fragmenter.clear();
            let detail = format!("the video of camera {} cannot be recorded", self.stream.camera);
            Error::new(ErrorKind::SourceUnsupported, detail).caused_by(error)
        })
    }

    /// Ends the span, because frames are missing. The recording continues with the next keyframe.
    pub(crate) async fn interrupt(&mut self, clocks: Clocks) -> Result<(), Error> {
        let mut made = Vec::new();
        // If the last frames cannot be written, they are missing as well.
        drop(self.fragmenter.interrupt(&mut made));
        self.take(made, clocks).await
    }

    /// Ends the file, because the camera sends nothing. The recording continues with the next keyframe.
    pub(crate) async fn pause(&mut self, clocks: Clocks) -> Result<(), Error> {
        if self.current.is_some() {
            self.interrupt(clocks).await?;
            self.end_file();
        }
        Ok(())
    }

    /// Ends the recording, and waits a limited time until the last file is complete.
    pub(crate) async fn finish(mut self, clocks: Clocks) {
        drop(self.interrupt(clocks).await);
        self.end_file();
        if let Some(closing) = self.closing.take()
            && timeout(ENDS_WITHIN, closing).await.is_err()
        {
            warn!(camera = %self.stream.camera, "the last file of a recording is not complete yet; no longer waiting for it");
        }
    }

    async fn take(&mut self, made: Vec<MadeFragment>, clocks: Clocks) -> Result<(), Error> {
        for fragment in made {
            if let Err(error) = self.shared.directories.ensure_usable(&self.dir) {
                self.fragmenter.clear();
                self.end_file();
                return Err(error);
            }
            let cut = self.cutter.place(&fragment, clocks);
            if let Some(end_at) = cut.end_at {
                self.close(end_at);
            }
            if let Some(start) = cut.start {
                self.begin(start).await?;
            }
            let (begin_ms, duration_ms) = (cut.begin_ms, cut.duration_ms);
            if self.current.is_some() {
                let made_at = Instant::now();
                let append = Job::Append { fragment, begin_ms, duration_ms, made_at };
                let append = self.queue.push(append);
                if timeout(WRITE_PATIENCE, append).await.is_err() {
                    self.fragmenter.clear();
                    self.end_file();
                    return Err(self.write_failed(Arc::new(std::io::ErrorKind::TimedOut.into())));
                }
            }
            if let Some(error) = self.queue.take_failure() {
                self.fragmenter.clear();
                self.end_file();
                return Err(self.write_failed(error));
            }
        }
        Ok(())
    }

    fn write_failed(&self, cause: Arc<std::io::Error>) -> Error {
        let full = [std::io::ErrorKind::StorageFull, std::io::ErrorKind::QuotaExceeded];
        let (camera, path) = (&self.stream.camera, self.dir.path.display());
        let (kind, reason) = if full.contains(&cause.kind()) {
            (ErrorKind::StorageFull, "is full")
        } else if cause.kind() == std::io::ErrorKind::TimedOut {
            (ErrorKind::StorageUnavailable, "does not respond")
        } else {
            (ErrorKind::StorageUnavailable, "cannot be written")
        };
        let detail = format!(
            "camera {camera} is not recorded, because {path} {reason}; the recording continues as soon as possible"
        );
        Error::new(kind, detail).caused_by(cause)
    }

    async fn begin(&mut self, start: FileStart) -> Result<(), Error> {
        let format = self.format_of(&start.init).await?;
        let new = NewFile {
            stream: self.stream.id,
            dir: self.dir.id,
            format,
            span: start.span,
            start_at: start.start_at,
            decode_time: start.decode_time,
            has_event: self.has_event,
        };
        let file = RecordedFile {
            id: 0,
            stream: new.stream,
            dir: new.dir,
            format,
            span: new.span,
            start_at: new.start_at,
            end_at: new.start_at,
            decode_time: new.decode_time,
            bytes: 0,
            init_bytes: start.init.bytes.len() as u64,
            frames: 0,
            is_open: true,
            is_locked: false,
            has_event: new.has_event,
            is_local: true,
            offsite: Offsite::None,
            offsite_place: None,
        };
        let name = FileName::of(&self.stream, &file);
        // The file is listed before its entry is written, so that a recovery at the same time leaves the entry alone.
        let open = self.shared.open_files.add(file);
        let began = Instant::now();
        let opened = timeout(DATABASE_PATIENCE, open_row(&self.shared.database, &new)).await;
        let id = match opened {
            Ok(Ok(id)) => Some(id),
            Ok(Err(error)) => {
                warn!(camera = %self.stream.camera, %error, "a recorded file is not in the database yet");
                None
            }
            Err(_) => None,
        };
        self.shared.counters.indexed(began.elapsed(), id.is_some());
        if let Some(id) = id {
            open.set_id(id);
        }
        let (dir, init) = (self.dir.clone(), start.init);
        self.queue.push_now(Job::Begin { dir, name, init, open: Arc::clone(&open) });
        self.current = Some(Current { id, new, open });
        Ok(())
    }

    /// Returns the id of an init segment in the database.
    async fn format_of(&mut self, init: &Arc<Init>) -> Result<i64, Error> {
        if let Some((known, id)) = &self.format
            && known == init
        {
            return Ok(*id);
        }
        let put = async {
            let mut write = self.shared.database.write().await?;
            let digest = init_digest(&init.bytes);
            let id =
                write.put_recorded_format(&digest, &init.bytes, &init.codecs, init.size).await?;
            write.commit().await?;
            Ok(id)
        };
        let Ok(put) = timeout(DATABASE_PATIENCE, put).await else {
            let detail = "the database does not respond in time";
            return Err(Error::new(ErrorKind::StorageUnavailable, detail));
        };
        let id = put.map_err(query_failed)?;
        self.format = Some((Arc::clone(init), id));
        Ok(id)
    }

    /// Ends the file, if there is one, at the end of its last fragment.
    fn end_file(&mut self) {
        if let Some(end_at) = self.cutter.end() {
            self.close(end_at);
        }
    }

    /// Ends the file, and completes its entry in the database in the background.
    fn close(&mut self, end_at: i64) {
        let Some(Current { id, new, open }) = self.current.take() else { return };
        let (done, written) = oneshot::channel();
        self.queue.push_now(Job::End { done });
        let closing = Closing {
            database: self.shared.database.clone(),
            counters: self.shared.counters.clone(),
            before: self.closing.take(),
            id,
            new: NewFile { has_event: self.has_event, ..new },
            end_at,
            copy: self.copy,
        };
        let (shared, camera) = (self.shared.clone(), self.stream.camera.clone());
        let dir = self.dir.clone();
        let close = async move {
            match closing.run(written).await {
                Ok(completed) => {
                    shared.copies.note_change();
                    match completed {
                        Completed::Whole(bytes) => shared.counters.recorded(bytes),
                        Completed::WithoutTable(id, bytes) => {
                            shared.counters.recorded(bytes);
                            shared.without_table.add(id);
                        }
                        Completed::Empty => {}
                        Completed::Open => shared.directories.note_incomplete(&dir),
                    }
                }
                Err(error) => {
                    warn!(%camera, %error, "a recorded file cannot be entered into the database; the next start of the manager does it");
                }
            }
            shared.open_files.remove(&open);
        };
        self.closing = Some(tokio::spawn(close.in_current_span()));
    }
}

/// The result of completing a file's entry.
enum Completed {
    /// The file has this number of bytes.
    Whole(u64),
    /// The file with this id has this number of bytes, but the disk had no space for its table of frames.
    WithoutTable(i64, u64),
    /// There is no file, because nothing was written.
    Empty,
    /// The file could not be completed. A recovery repairs it.
    Open,
}

/// The completion of a file's entry.
struct Closing {
    database: Database,
    counters: RecordingCounters,
    /// The same for the file before, so that entries are completed in order, and only one waits for the database.
    before: Option<JoinHandle<()>>,
    id: Option<i64>,
    new: NewFile,
    end_at: i64,
    copy: CopyRule,
}

impl Closing {
    /// Waits until the file is written, and completes its entry.
    async fn run(
        mut self,
        written: oneshot::Receiver<WrittenFile>,
    ) -> Result<Completed, sqlx::Error> {
        // If the file could not be created, there is no result.
        let written = written.await.ok();
        if let Some(before) = self.before.take() {
            drop(before.await);
        }
        let mut retries = RETRIES.into_iter();
        loop {
            let began = Instant::now();
            let completed = self.complete(written.as_ref()).await;
            self.counters.indexed(began.elapsed(), completed.is_ok());
            let error = match completed {
                Ok(completed) => return Ok(completed),
                Err(error) => error,
            };
            let Some(pause) = retries.next() else { return Err(error) };
            tokio::time::sleep(pause).await;
        }
    }

    async fn complete(&self, written: Option<&WrittenFile>) -> Result<Completed, sqlx::Error> {
        let mut write = self.database.write().await?;
        let completed = match (written.and_then(|written| Some((written, written.bytes?))), self.id)
        {
            (Some((written, bytes)), id) => {
                let closed = ClosedFile {
                    end_at: self.end_of(written),
                    bytes,
                    frames: written.frames,
                    fragments: written.fragments.clone(),
                    has_event: self.new.has_event,
                    copy: self.copy,
                };
                let id = match id {
                    Some(id) => id,
                    None => write.open_file(&self.new).await?,
                };
                write.close_file(id, &closed).await?;
                let end = written.fragments.last().map(RecordedFragment::end);
                if end == Some(bytes) {
                    Completed::WithoutTable(id, bytes)
                } else {
                    Completed::Whole(bytes)
                }
            }
            // The file could not be created, or has no fragment and was deleted.
            (None, Some(id)) if written.is_none_or(|it| it.fragments.is_empty()) => {
                write.delete_files(&[id]).await?;
                Completed::Empty
            }
            (None, None) if written.is_none_or(|it| it.fragments.is_empty()) => Completed::Empty,
            (None, _) => return Ok(Completed::Open),
        };
        write.commit().await?;
        Ok(completed)
    }

    /// Returns the end of the file. If not all fragments could be written, this is the end of the last one that was.
    fn end_of(&self, written: &WrittenFile) -> i64 {
        let last = written.fragments.last();
        let end_ms = last.map_or(0, |last| i64::from(last.begin_ms) + i64::from(last.duration_ms));
        let end = self.new.start_at + end_ms;
        // A correction of the time changes the end by 500 millionths at most.
        if (self.end_at - end).abs() <= 1 + end_ms / 1000 { self.end_at } else { end }
    }
}

async fn open_row(database: &Database, new: &NewFile) -> Result<i64, sqlx::Error> {
    let mut write = database.write().await?;
    let id = write.open_file(new).await?;
    write.commit().await?;
    Ok(id)
}
