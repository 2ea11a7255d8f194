//! The parts that the recordings of all streams share.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use dashmap::DashMap;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tracing::warn;

use super::copies::Copies;
use super::counters::RecordingCounters;
use super::cutter::{Clocks, unix_ms};
use super::directories::{Claimed, Directories};
use super::layout::RecordingKey;
use super::open_files::{FilesWithoutTable, OpenFiles};
use super::preroll::PreRollBudget;
use super::session::{Session, SessionParts};
use super::writers::{WriteQueue, Writers};
use crate::base::error::{Error, ErrorKind};
use crate::base::time::SystemClock;
use crate::camera::id::{CameraId, Profile};
use crate::camera::identity::Identity;
use crate::camera::identity_tag::IdentityTag;
use crate::events::bus::Bus;
use crate::store::db::Database;
use crate::store::db::recording_table::RecordedStream;
use crate::store::error::query_failed;

/// The longest time that the end of the manager waits for recordings.
const ENDS_WITHIN: Duration = Duration::from_secs(8);
/// If data waits for a disk for longer than this, the disk is too slow.
const SLOW: Duration = Duration::from_secs(5);

/// The recorder. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Recorder(Arc<Inner>);

struct Inner {
    database: Database,
    directories: Directories,
    /// The threads of each directory, in the order of `RECORDINGS_DIRS`.
    writers: Vec<Writers>,
    open_files: OpenFiles,
    without_table: FilesWithoutTable,
    preroll: PreRollBudget,
    events: Bus,
    counters: RecordingCounters,
    copies: Copies,
    clock: SystemClock,
    /// The streams that are recorded now, or should be.
    status: DashMap<RecordingKey, RecordingStatus>,
    /// Locked while a directory is chosen, so that cameras are distributed evenly.
    choosing: tokio::sync::Mutex<()>,
    /// Locked while a group of files is deleted, and while files are protected from deletion.
    deleting: tokio::sync::Mutex<()>,
    /// The number of streams that are being read.
    active: watch::Sender<usize>,
    /// The queues of the streams, with the positions of their directories. A stream that is retried keeps its queue, so
    /// that a disk that hangs does not collect more and more data.
    queues: DashMap<RecordingKey, (usize, WriteQueue)>,
}

/// Counts as a stream that is being read until it is dropped.
pub(super) struct Active(watch::Sender<usize>);

impl Drop for Active {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// The state of a stream's recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RecordingStatus {
    /// The recording waits for the stream, or for its next keyframe.
    Starting,
    /// Nothing is written, but the last seconds are kept for the next event.
    AwaitingEvent,
    /// Frames are written.
    Recording,
    /// The camera sends nothing. The recording continues with its next frame.
    NoSignal,
    /// Nothing can be written, for this reason. The recording is retried.
    Failed(Error),
}

impl Recorder {
    /// Starts the threads for the directories `paths`. All streams together keep at most `preroll` bytes of frames for
    /// recordings that begin before an event.
    pub(crate) fn start(
        database: Database,
        paths: &[PathBuf],
        preroll: u64,
        events: Bus,
        copies: Copies,
        clock: SystemClock,
    ) -> io::Result<Self> {
        let counters = RecordingCounters::default();
        let start = |index| Writers::start(index, counters.clone());
        let writers: io::Result<_> = (0..paths.len()).map(start).collect();
        Ok(Self(Arc::new(Inner {
            database,
            directories: Directories::new(paths),
            writers: writers?,
            open_files: OpenFiles::default(),
            without_table: FilesWithoutTable::default(),
            preroll: PreRollBudget::new(preroll),
            events,
            counters,
            copies,
            clock,
            status: DashMap::new(),
            choosing: tokio::sync::Mutex::new(()),
            deleting: tokio::sync::Mutex::new(()),
            active: watch::Sender::new(0),
            queues: DashMap::new(),
        })))
    }

    /// Returns the directories.
    pub(crate) fn directories(&self) -> &Directories {
        &self.0.directories
    }

    /// Returns the files that are being written.
    pub(crate) fn open_files(&self) -> &OpenFiles {
        &self.0.open_files
    }

    /// Returns the closed files without a table of frames.
    pub(super) fn without_table(&self) -> &FilesWithoutTable {
        &self.0.without_table
    }

    /// Returns the database with the index.
    pub(crate) fn database(&self) -> &Database {
        &self.0.database
    }

    /// Returns the rules for copies in another place.
    pub(crate) fn copies(&self) -> &Copies {
        &self.0.copies
    }

    /// Returns the bus on which changes of recordings are published.
    pub(super) fn events(&self) -> &Bus {
        &self.0.events
    }

    /// Returns the counters.
    pub(crate) fn counters(&self) -> &RecordingCounters {
        &self.0.counters
    }

    /// Returns the limit for the frames before events.
    pub(crate) fn preroll(&self) -> &PreRollBudget {
        &self.0.preroll
    }

    /// Returns the state of a recording; `None` if the stream is not to be recorded now.
    pub(crate) fn status(&self, key: &RecordingKey) -> Option<RecordingStatus> {
        self.0.status.get(key).map(|status| status.value().clone())
    }

    /// Sets the state of a recording. Returns the state before.
    pub(crate) fn set_status(
        &self,
        key: &RecordingKey,
        status: Option<RecordingStatus>,
    ) -> Option<RecordingStatus> {
        if let Some(status) = status {
            return self.0.status.insert(key.clone(), status);
        }
        self.0.queues.remove(key);
        self.0.status.remove(key).map(|(_, status)| status)
    }

    /// Notes which disks are too slow, from the times that data waits for them.
    pub(crate) fn check_disks(&self) {
        for (index, writers) in self.0.writers.iter().enumerate() {
            if writers.take_longest_wait() > SLOW {
                self.0.directories.note_slow(index);
            }
        }
    }

    /// Counts a stream that is being read.
    pub(super) fn active(&self) -> Active {
        self.0.active.send_modify(|count| *count += 1);
        Active(self.0.active.clone())
    }

    /// Waits a limited time until no stream is read any more, and all files are complete. All streams must be ending.
    pub(crate) async fn finish(&self) {
        let mut active = self.0.active.subscribe();
        let done = active.wait_for(|count| *count == 0);
        if timeout(ENDS_WITHIN, done).await.is_err() {
            warn!("some recordings are not complete; the next start of the manager completes them");
        }
    }

    /// Marks the recordings of a camera that overlap a time as recordings with an event.
    pub(crate) async fn mark_event(
        &self,
        camera: &CameraId,
        identity: &Identity,
        (from, to): (SystemTime, SystemTime),
    ) -> Result<(), Error> {
        let (database, tag) = (&self.0.database, IdentityTag::of(identity));
        for profile in [Profile::Main, Profile::Sub] {
            let stream = database.recorded_stream(camera, tag, profile).await;
            let Some(stream) = stream.map_err(query_failed)? else { continue };
            let rule = self.0.copies.rule(profile);
            let mut write = database.write().await.map_err(query_failed)?;
            let marked = write.mark_event(stream.id, (unix_ms(from), unix_ms(to)), rule).await;
            marked.map_err(query_failed)?;
            write.commit().await.map_err(query_failed)?;
        }
        self.0.copies.note_change();
        Ok(())
    }

    /// Returns the time of the system's clocks.
    pub(crate) fn clocks(&self) -> Clocks {
        Clocks { system: (self.0.clock)(), monotonic: Instant::now() }
    }

    /// Begins to record a stream. Fails if no directory can be used.
    pub(crate) async fn session(&self, key: &RecordingKey) -> Result<Session, Error> {
        let (stream, dir) = self.place(key).await?;
        let Some(writers) = self.0.writers.get(dir.index) else {
            return Err(Error::new(ErrorKind::Internal, "a directory has no threads"));
        };
        let shared = SessionParts {
            database: self.0.database.clone(),
            open_files: self.0.open_files.clone(),
            directories: self.0.directories.clone(),
            counters: self.0.counters.clone(),
            without_table: self.0.without_table.clone(),
            copies: self.0.copies.clone(),
        };
        let entry = self.0.queues.entry(key.clone());
        let mut entry = entry.or_insert_with(|| (dir.index, writers.queue()));
        if entry.0 != dir.index {
            *entry = (dir.index, writers.queue());
        }
        let queue = entry.1.clone();
        drop(entry);
        // An earlier failure was reported already.
        drop(queue.take_failure());
        Ok(Session::new(shared, stream, dir, queue))
    }

    /// Waits until no group of files is being deleted. No deletion begins while the returned guard exists.
    pub(crate) async fn deleting(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.0.deleting.lock().await
    }

    /// Returns the stream in the database, and its directory. A camera stays in its directory as long as
    /// `RECORDINGS_DIRS` contains it.
    async fn place(&self, key: &RecordingKey) -> Result<(RecordedStream, Claimed), Error> {
        let _choosing = self.0.choosing.lock().await;
        let RecordingKey { camera, identity, profile } = key;
        let database = &self.0.database;
        let streams = database.recorded_streams().await.map_err(query_failed)?;
        let of_camera = |it: &&RecordedStream| it.camera == *camera && it.identity == *identity;
        let known = streams.iter().filter(of_camera).find(|it| it.profile == *profile);
        let sibling = known.or_else(|| streams.iter().find(of_camera));
        let dir = sibling.and_then(|sibling| self.0.directories.get(sibling.dir));
        let dir = if let Some(dir) = dir {
            dir
        } else {
            if let Some(sibling) = sibling {
                // A directory that is configured but cannot be used now will return.
                self.0.directories.ensure_gone(sibling.dir, database).await?;
            }
            self.emptiest(&streams)?
        };
        if let Some(known) = known.filter(|known| known.dir == dir.id) {
            return Ok((known.clone(), dir));
        }
        let put = async {
            let mut write = database.write().await?;
            let id = write.put_recorded_stream(camera, *identity, *profile, dir.id).await?;
            write.commit().await?;
            Ok(id)
        };
        let id = put.await.map_err(query_failed)?;
        let (camera, identity, profile) = (camera.clone(), *identity, *profile);
        Ok((RecordedStream { id, camera, identity, profile, dir: dir.id, is_deleted: false }, dir))
    }

    /// Returns the usable directory with the fewest streams for its size.
    fn emptiest(&self, streams: &[RecordedStream]) -> Result<Claimed, Error> {
        let load = |dir: &Claimed| {
            let count = streams.iter().filter(|stream| stream.dir == dir.id).count() as u128 + 1;
            // Streams per size, as a whole number.
            (count << 64) / u128::from(dir.size.max(1))
        };
        let usable = self.0.directories.usable();
        usable.into_iter().min_by_key(load).ok_or_else(|| {
            let mut problems = self.0.directories.problems();
            let none = || {
                Error::new(ErrorKind::StorageUnavailable, "there is no directory for recordings")
            };
            if problems.is_empty() { none() } else { problems.swap_remove(0).error }
        })
    }
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").field("directories", &self.0.directories).finish_non_exhaustive()
    }
}
