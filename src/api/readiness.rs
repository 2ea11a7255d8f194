//! Whether the service can do its work, and all that keeps it from it.
//!
//! A disk that hangs keeps a thread of the runtime, of which there are not many, for as long as it
//! hangs. So each thing is looked at by a task of its own, which nobody waits for longer than a
//! while, and no other look at it begins before that one has ended.

use std::error::Error as StdError;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::Serialize;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::warn;
use utoipa::ToSchema;

use crate::base::error::{Error, ErrorKind};
use crate::base::lock::lock;
use crate::child::spawner::{Spawner, cannot_run, not_begun};
use crate::output::disk_budget;
use crate::output::disk_budget::Disk;
use crate::output::hls::layout::Layout;
use crate::store::db::Database;

/// A good result holds this long: orchestrators ask every few seconds, and FFmpeg need not be run
/// for each of them.
const GOOD_HOLDS: Duration = Duration::from_secs(10);
/// A bad one is looked at again sooner, but not by every probe that waits in line.
const BAD_HOLDS: Duration = Duration::from_secs(1);
/// FFmpeg, the disk and the database must answer within this time.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// What is told of what does not.
const HANGS: &str = "it does not answer";

const MIB: u64 = 1024 * 1024;
/// The database needs this much room, in bytes.
const DATABASE_FREE: u64 = MIB;
/// An operator is warned when there is less room than this, in bytes, and than a tenth of all.
const NEARLY_FULL: u64 = 1024 * MIB;

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// `STREAM_DIR` can be written, and has room.
    StreamDir,
    /// FFmpeg can be run.
    Ffmpeg,
    /// The database can be read and written.
    Database,
    /// The manager is not ending.
    Shutdown,
}

/// What of it the metrics tell. At the manager's end there is nobody left to tell them.
pub const CHECKS: [(Check, &str); 3] =
    [(Check::StreamDir, "stream_dir"), (Check::Ffmpeg, "ffmpeg"), (Check::Database, "database")];

/// Something that keeps the service from its work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What was looked at.
    pub check: Check,
    /// What is wrong with it.
    pub error: Error,
}

/// Whether the service can do its work.
pub struct Readiness {
    ffmpeg: PathBuf,
    spawner: Spawner,
    layout: Layout,
    database: Database,
    is_closing: AtomicBool,
    was_nearly_full: AtomicBool,
    /// What was found last, and when.
    found: Mutex<Option<(Instant, Vec<Trouble>)>>,
    /// Whoever has these looks; the others wait for what that one finds.
    looks: tokio::sync::Mutex<Looks>,
}

/// One look at each thing.
#[derive(Default)]
struct Looks {
    stream_dir: Probe,
    ffmpeg: Probe,
    database: Probe,
}

/// What a look finds, or why the thing cannot be used.
type ProbeResult<T = ()> = Result<T, Box<dyn StdError + Send + Sync>>;

/// The look at one thing that was begun last, and when.
#[derive(Default)]
struct Probe(Option<(Instant, JoinHandle<ProbeResult>)>);

impl Readiness {
    /// Of a manager that runs `ffmpeg` by `spawner`, writes to `layout` and keeps its cameras in `database`.
    pub fn new(ffmpeg: PathBuf, spawner: Spawner, layout: Layout, database: Database) -> Self {
        Self {
            ffmpeg,
            spawner,
            layout,
            database,
            is_closing: AtomicBool::new(false),
            was_nearly_full: AtomicBool::new(false),
            found: Mutex::default(),
            looks: tokio::sync::Mutex::default(),
        }
    }

    /// From now on the manager is not ready.
    pub fn close(&self) {
        self.is_closing.store(true, Ordering::SeqCst);
    }

    /// Whether the manager is ending.
    pub fn is_closing(&self) -> bool {
        self.is_closing.load(Ordering::SeqCst)
    }

    /// All that is wrong. What was begun to find it out is finished and kept though the asker leaves:
    /// orchestrators have little patience.
    pub async fn troubles(self: &Arc<Self>) -> Vec<Trouble> {
        let this = Arc::clone(self);
        let looked = tokio::spawn(async move { this.look().await });
        looked.await.unwrap_or_else(|error| {
            let error = Error::new(ErrorKind::Internal, format!("nobody could look: {error}"));
            vec![Trouble { check: Check::StreamDir, error }]
        })
    }

    /// What was found last; `None` before the first look.
    pub fn last(&self) -> Option<Vec<Trouble>> {
        let found = lock(&self.found);
        found.as_ref().map(|(_, troubles)| troubles.clone())
    }

    /// What was found last, while it holds.
    fn fresh(&self) -> Option<Vec<Trouble>> {
        let found = lock(&self.found);
        let (at, troubles) = found.as_ref()?;
        let holds = if troubles.is_empty() { GOOD_HOLDS } else { BAD_HOLDS };
        (at.elapsed() < holds).then(|| troubles.clone())
    }

    async fn look(self: &Arc<Self>) -> Vec<Trouble> {
        if self.is_closing() {
            return vec![self.trouble(Check::Shutdown, "")];
        }
        // Held across the looks on purpose: many probes at once make one run of FFmpeg.
        let mut looks = self.looks.lock().await;
        if let Some(troubles) = self.fresh() {
            return troubles;
        }
        let (this, looks) = (|| Arc::clone(self), &mut *looks);
        let (stream_dir, ffmpeg, database) = tokio::join!(
            looks.stream_dir.find(this().look_at_stream_dir()),
            looks.ffmpeg.find(this().look_at_ffmpeg()),
            looks.database.find(this().look_at_database()),
        );
        let results =
            [(Check::StreamDir, stream_dir), (Check::Ffmpeg, ffmpeg), (Check::Database, database)];
        let troubles = results
            .into_iter()
            .filter_map(|(check, result)| Some(self.trouble(check, &result.err()?)));
        let troubles: Vec<_> = troubles.collect();
        let found = Some((Instant::now(), troubles.clone()));
        *lock(&self.found) = found;
        troubles
    }

    fn trouble(&self, check: Check, reason: &str) -> Trouble {
        let unusable = |detail| Error::new(ErrorKind::StorageUnavailable, detail);
        let error = match check {
            Check::StreamDir => {
                let directory = self.layout.root().display();
                unusable(format!("STREAM_DIR {directory} cannot be written: {reason}"))
            }
            Check::Ffmpeg => cannot_run(&self.ffmpeg, reason),
            Check::Database => {
                let path = self.database.path().display();
                unusable(format!("the database {path} cannot be used: {reason}"))
            }
            Check::Shutdown => Error::shutting_down(),
        };
        Trouble { check, error }
    }

    async fn look_at_stream_dir(self: Arc<Self>) -> ProbeResult {
        let path = self.layout.ready_file();
        tokio::fs::write(&path, b"ready").await?;
        tokio::fs::remove_file(&path).await?;
        self.warn_when_nearly_full(room_of(disk_budget::FREE, self.layout.root()).await?);
        Ok(())
    }

    /// Once, and again when there was enough room in between.
    fn warn_when_nearly_full(&self, disk: Option<Disk>) {
        let nearly_full = disk.filter(is_nearly_full);
        let was_so = self.was_nearly_full.swap(nearly_full.is_some(), Ordering::Relaxed);
        if let Some(disk) = nearly_full.filter(|_| !was_so) {
            let (available, size) = (disk.available / MIB, disk.size / MIB);
            let directory = self.layout.root().display();
            warn!(%directory, "STREAM_DIR is nearly full: {available} of {size} MiB are left");
        }
    }

    async fn look_at_database(self: Arc<Self>) -> ProbeResult {
        let path = self.database.path();
        // What was deleted can still be written to, until the manager ends.
        tokio::fs::metadata(path).await?;
        self.database.check().await?;
        room_of(DATABASE_FREE, path.parent().unwrap_or(path)).await?;
        Ok(())
    }

    async fn look_at_ffmpeg(self: Arc<Self>) -> ProbeResult {
        // As streams start it, so that what keeps these from it shows here. What it says, a pipe holds.
        let mut process = self.spawner.spawn(&self.ffmpeg, vec!["-version".to_owned()]).await?;
        // One that does not end by itself is killed.
        let status = timeout(PROBE_TIMEOUT, process.wait()).await.map_err(|_| HANGS)??;
        match not_begun(Some(status)) {
            Some(reason) => Err(reason.into()),
            None if status.success() => Ok(()),
            None => Err(status.to_string().into()),
        }
    }
}

impl Probe {
    /// What `look` finds within its time limit, or why not. When an earlier one has not ended yet
    /// that one counts, and `look` does not begin.
    async fn find(
        &mut self,
        look: impl Future<Output = ProbeResult> + Send + 'static,
    ) -> Result<(), String> {
        // What it found after its time limit is old by now.
        self.0.take_if(|(_, task)| task.is_finished());
        let (began, task) = self.0.get_or_insert_with(|| (Instant::now(), tokio::spawn(look)));
        match timeout_at(*began + PROBE_TIMEOUT, task).await {
            Ok(Ok(found)) => found.map_err(|error| error.to_string()),
            Ok(Err(error)) => Err(format!("nobody could look: {error}")),
            Err(_) => Err(HANGS.to_owned()),
        }
    }
}

fn is_nearly_full(disk: &Disk) -> bool {
    disk.available < NEARLY_FULL && disk.available.saturating_mul(10) < disk.size
}

/// The disk that `path` is on, if `least` bytes of it are free.
async fn room_of(least: u64, path: &Path) -> ProbeResult<Option<Disk>> {
    // The empty parent of a bare file name is the working directory.
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path }.to_owned();
    let disk = tokio::task::spawn_blocking(move || Disk::of(&path)).await?;
    match &disk {
        Some(disk) if disk.available < least => {
            Err(format!("the disk is full, only {} bytes are free", disk.available).into())
        }
        _ => Ok(disk),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_hangs_is_told_in_time_and_looked_at_by_one_task() {
        let (begun, answers) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
        let look = || {
            let (begun, answers) = (Arc::clone(&begun), Arc::clone(&answers));
            async move {
                begun.fetch_add(1, Ordering::SeqCst);
                answers.acquire().await?.forget();
                Ok(())
            }
        };
        let (mut last, start) = (Probe::default(), Instant::now());
        for _ in 0..1000 {
            assert_eq!(last.find(look()).await, Err(HANGS.to_owned()));
            assert_eq!(start.elapsed(), PROBE_TIMEOUT, "who comes later does not wait again");
        }
        assert_eq!(begun.load(Ordering::SeqCst), 1);
        // One answer for the look that hangs, which is too late for it, and one for the next.
        answers.add_permits(2);
        tokio::task::yield_now().await;
        assert_eq!(last.find(look()).await, Ok(()));
        assert_eq!(begun.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn a_disk_is_nearly_full_when_little_is_left_of_it_and_at_all() {
        let mib = 1024 * 1024;
        let table = [
            (1024 * mib, 200 * mib, false),
            (1024 * mib, 102 * mib, true),
            (64 * mib, 0, true),
            // A tenth of a large disk is enough.
            (100_000 * mib, 5000 * mib, false),
            (100_000 * mib, 1000 * mib, true),
        ];
        for (size, available, expected) in table {
            assert_eq!(
                is_nearly_full(&Disk { size, available }),
                expected,
                "{available} of {size}"
            );
        }
    }
}
