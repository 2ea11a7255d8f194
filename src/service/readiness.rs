//! Readiness: whether the service can do its work, and what prevents it.
//!
//! A disk that hangs blocks a thread until the disk recovers. Therefore each check runs in a
//! separate task, and requests wait only for a limited time for the task. A check does not begin
//! before the previous check of the same condition has ended.

use std::error::Error as StdError;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use serde::Serialize;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tracing::warn;
use utoipa::ToSchema;

use crate::base::error::{Error, ErrorKind};
use crate::base::lock::lock;
use crate::base::tasks::EndedTasks;
use crate::ingest::ffmpeg::check::FfmpegCheck;
use crate::offsite::shared::Offsite;
use crate::output::disk_budget::{self, Disk, DiskBudget};
use crate::output::hls::layout::Layout;
use crate::output::recorder::shared::Recorder;
use crate::store::db::Database;

/// How long a good result is reused. Orchestrators send a request every few seconds, and FFmpeg
/// need not run for each request.
const GOOD_HOLDS: Duration = Duration::from_secs(10);
/// How long a bad result is reused. The time is shorter, so that a recovery is noticed soon. It is long
/// enough for the requests that waited for the result.
const BAD_HOLDS: Duration = Duration::from_secs(1);
/// The time within which FFmpeg, the disk and the database must respond.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// The reason that is reported for a check that does not end in time.
const HANGS: &str = "it does not respond";

const MIB: u64 = 1024 * 1024;
/// The free space that the database requires, in bytes.
const DATABASE_FREE: u64 = MIB;
/// A disk is nearly full if it has less free space than this, in bytes, and also less than a tenth
/// of its size.
const NEARLY_FULL: u64 = 1024 * MIB;

/// A readiness check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Check {
    /// `STREAM_DIR` is writable and has free space.
    StreamDir,
    /// FFmpeg can be run.
    Ffmpeg,
    /// The database can be read and written, and its disk has free space.
    Database,
    /// All directories of `RECORDINGS_DIRS` can be used.
    Recordings,
    /// Recordings can be copied to `OFFSITE_URL`.
    Offsite,
    /// The long-lived tasks of the manager run.
    Tasks,
    /// The manager is not shutting down.
    Shutdown,
}

/// The checks that have a metric, with their labels. [`Check::Shutdown`] has no metric, because
/// metrics are not scraped during a shutdown.
pub(crate) const CHECKS: [(Check, &str); 6] = [
    (Check::StreamDir, "stream_dir"),
    (Check::Ffmpeg, "ffmpeg"),
    (Check::Database, "database"),
    (Check::Recordings, "recordings"),
    (Check::Offsite, "offsite"),
    (Check::Tasks, "tasks"),
];

/// A readiness check that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FailedCheck {
    /// The check.
    pub(crate) check: Check,
    /// The reason why the check failed.
    pub(crate) error: Error,
}

/// Checks whether the service can do its work.
pub(crate) struct Readiness {
    ffmpeg: FfmpegCheck,
    layout: Layout,
    disk_budget: DiskBudget,
    database: Database,
    ended_tasks: EndedTasks,
    recorder: OnceLock<(Recorder, Option<Offsite>)>,
    is_closing: AtomicBool,
    was_nearly_full: AtomicBool,
    /// The last result and its time.
    last: Mutex<Option<(Instant, Vec<FailedCheck>)>>,
    /// Locked by the request that runs the checks. Other requests wait for the lock, and then reuse
    /// the result.
    probes: tokio::sync::Mutex<ProbeSet>,
}

/// One probe for each condition.
#[derive(Default)]
struct ProbeSet {
    stream_dir: Probe,
    ffmpeg: Probe,
    database: Probe,
}

/// The result of a probe, or the reason why its condition does not hold.
type ProbeResult<T = ()> = Result<T, Box<dyn StdError + Send + Sync>>;

/// The most recent check of a condition, and the time at which it began; `None` before the first check.
#[derive(Default)]
struct Probe(Option<(Instant, JoinHandle<ProbeResult>)>);

impl Readiness {
    /// Creates the readiness of a manager that writes to `layout`, the directory of `disk_budget`, and keeps its
    /// cameras in `database`. The manager is not ready once one of its long-lived tasks is in `ended_tasks`.
    pub(crate) fn new(
        ffmpeg: FfmpegCheck,
        layout: Layout,
        disk_budget: DiskBudget,
        database: Database,
        ended_tasks: EndedTasks,
    ) -> Self {
        Self {
            ffmpeg,
            layout,
            disk_budget,
            database,
            ended_tasks,
            recorder: OnceLock::new(),
            is_closing: AtomicBool::new(false),
            was_nearly_full: AtomicBool::new(false),
            last: Mutex::default(),
            probes: tokio::sync::Mutex::default(),
        }
    }

    /// Checks the directories of this recorder, and the place for copies of its recordings, from now on. Has no effect after
    /// the first recorder.
    pub(crate) fn set_recorder(&self, recorder: Option<Recorder>, offsite: Option<Offsite>) {
        if let Some(recorder) = recorder {
            drop(self.recorder.set((recorder, offsite)));
        }
    }

    /// Marks the manager as shutting down. It is not ready from now on.
    pub(crate) fn close(&self) {
        self.is_closing.store(true, Ordering::SeqCst);
    }

    /// Returns whether the manager is shutting down.
    pub(crate) fn is_closing(&self) -> bool {
        self.is_closing.load(Ordering::SeqCst)
    }

    /// Returns the checks that failed. A check that has begun continues, and its result is
    /// kept, even if the request is dropped, because orchestrators wait only for a short time.
    pub(crate) async fn failed_checks(self: &Arc<Self>) -> Vec<FailedCheck> {
        let this = Arc::clone(self);
        failures(tokio::spawn(async move { this.check().await })).await
    }

    /// Returns the last result; `None` before the first check.
    pub(crate) fn last(&self) -> Option<Vec<FailedCheck>> {
        lock(&self.last).as_ref().map(|(_, failed)| failed.clone())
    }

    /// Returns the last result, if it is recent enough to be reused. A good result is not reused if `STREAM_DIR` has
    /// become full since.
    fn fresh(&self) -> Option<Vec<FailedCheck>> {
        let last = lock(&self.last);
        let (at, failed) = last.as_ref()?;
        let holds = if failed.is_empty() { GOOD_HOLDS } else { BAD_HOLDS };
        let is_outdated = failed.is_empty() && self.disk_budget.is_full();
        (at.elapsed() < holds && !is_outdated).then(|| failed.clone())
    }

    async fn check(self: &Arc<Self>) -> Vec<FailedCheck> {
        if self.is_closing() {
            return vec![self.failed_check(Check::Shutdown, "")];
        }
        // Locked during the probes on purpose, so that FFmpeg runs once for simultaneous requests.
        let mut probes = self.probes.lock().await;
        if let Some(failed) = self.fresh() {
            return failed;
        }
        let (this, probes) = (|| Arc::clone(self), &mut *probes);
        let (stream_dir, ffmpeg, database) = tokio::join!(
            probes.stream_dir.result(this().probe_stream_dir()),
            probes.ffmpeg.result(this().probe_ffmpeg()),
            probes.database.result(this().probe_database()),
        );
        let results = [
            (Check::StreamDir, stream_dir),
            (Check::Ffmpeg, ffmpeg),
            (Check::Database, database),
            (Check::Recordings, self.check_recordings()),
            (Check::Offsite, self.check_offsite()),
            (Check::Tasks, self.check_tasks()),
        ];
        let failed = results
            .into_iter()
            .filter_map(|(check, result)| Some(self.failed_check(check, &result.err()?)));
        let failed: Vec<_> = failed.collect();
        *lock(&self.last) = Some((Instant::now(), failed.clone()));
        failed
    }

    fn failed_check(&self, check: Check, reason: &str) -> FailedCheck {
        let unusable = |detail| Error::new(ErrorKind::StorageUnavailable, detail);
        let error = match check {
            Check::StreamDir => {
                let directory = self.layout.root().display();
                unusable(format!("STREAM_DIR {directory} cannot be written: {reason}"))
            }
            Check::Ffmpeg => self.ffmpeg.error(reason),
            Check::Database => {
                let path = self.database.path().display();
                unusable(format!("the database {path} cannot be used: {reason}"))
            }
            Check::Recordings | Check::Offsite => unusable(reason.to_owned()),
            Check::Tasks => Error::new(
                ErrorKind::Internal,
                format!(
                    "a part of the manager has ended unexpectedly: {reason}; restart the manager"
                ),
            ),
            Check::Shutdown => Error::shutting_down(),
        };
        FailedCheck { check, error }
    }

    async fn probe_stream_dir(self: Arc<Self>) -> ProbeResult {
        // The free space is checked first, because the error of a write to a full disk does not show the free
        // space.
        self.warn_when_nearly_full(disk_with(disk_budget::FREE, self.layout.root()).await?);
        self.layout.check_writable().await?;
        Ok(())
    }

    /// Logs a warning when the disk becomes nearly full. Warns again only after the disk had enough
    /// free space in the meantime.
    fn warn_when_nearly_full(&self, disk: Option<Disk>) {
        let nearly_full = disk.filter(is_nearly_full);
        let was_nearly_full = self.was_nearly_full.swap(nearly_full.is_some(), Ordering::Relaxed);
        if let Some(disk) = nearly_full.filter(|_| !was_nearly_full) {
            let directory = self.layout.root().display();
            warn!(%directory, "STREAM_DIR is nearly full: {disk}; free some space");
        }
    }

    async fn probe_database(self: Arc<Self>) -> ProbeResult {
        let path = self.database.path();
        // Uses the file's path, because a deleted file stays writable while the manager has it open.
        tokio::fs::metadata(path).await?;
        disk_with(DATABASE_FREE, path.parent().unwrap_or(path)).await?;
        self.database.check().await?;
        Ok(())
    }

    /// Returns the reasons why directories for recordings cannot be used, as an error if there are any.
    fn check_recordings(&self) -> Result<(), String> {
        let problems = self.recorder.get().map(|(recorder, _)| recorder.directories().problems());
        let problems: Vec<_> =
            problems.unwrap_or_default().into_iter().map(|it| it.error.detail).collect();
        if problems.is_empty() { Ok(()) } else { Err(problems.join("; ")) }
    }

    /// Returns the reason why recordings cannot be copied, as an error if there is one.
    fn check_offsite(&self) -> Result<(), String> {
        let offsite = self.recorder.get().and_then(|(_, offsite)| offsite.as_ref());
        offsite.and_then(Offsite::problem).map_or(Ok(()), |error| Err(error.detail))
    }

    /// Returns the names of the long-lived tasks that have ended, as an error if there are any.
    fn check_tasks(&self) -> Result<(), String> {
        let names = self.ended_tasks.names();
        if names.is_empty() { Ok(()) } else { Err(names.join(", ")) }
    }

    async fn probe_ffmpeg(self: Arc<Self>) -> ProbeResult {
        self.ffmpeg.run(PROBE_TIMEOUT).await
    }
}

impl Probe {
    /// Returns the result of `check`, or the reason why it failed or did not end within
    /// [`PROBE_TIMEOUT`]. While an earlier check is still running, returns the result of that
    /// check, and does not begin `check`.
    async fn result(
        &mut self,
        check: impl Future<Output = ProbeResult> + Send + 'static,
    ) -> Result<(), String> {
        // Drops a check that has ended. Its result was returned already, or came after the time limit.
        self.0.take_if(|(_, task)| task.is_finished());
        let (began, task) = self.0.get_or_insert_with(|| (Instant::now(), tokio::spawn(check)));
        match timeout_at(*began + PROBE_TIMEOUT, task).await {
            Ok(Ok(result)) => result.map_err(|error| error.to_string()),
            Ok(Err(error)) => Err(format!("the check failed: {error}")),
            Err(_) => Err(HANGS.to_owned()),
        }
    }
}

/// Returns the checks that failed according to `task`, which carries out the checks. If the task panics, nothing is
/// known about any check, so all of them count as failed.
async fn failures(task: JoinHandle<Vec<FailedCheck>>) -> Vec<FailedCheck> {
    task.await.unwrap_or_else(|error| {
        let detail = format!("the manager cannot carry out its checks: {error}");
        let error = Error::new(ErrorKind::Internal, detail);
        CHECKS.map(|(check, _)| FailedCheck { check, error: error.clone() }).into()
    })
}

fn is_nearly_full(disk: &Disk) -> bool {
    disk.available < NEARLY_FULL && disk.available.saturating_mul(10) < disk.size
}

/// Returns the disk that `path` is on; `None` if its size cannot be read. Error: the disk has fewer
/// than `free` bytes of free space.
async fn disk_with(free: u64, path: &Path) -> ProbeResult<Option<Disk>> {
    // The parent of a bare file name is the empty path, which means the working directory.
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path }.to_owned();
    let disk = tokio::task::spawn_blocking(move || Disk::of(&path)).await?;
    match &disk {
        Some(disk) if disk.available < free => {
            let needed = free / MIB;
            Err(format!("the disk is full: {disk}, but {needed} MiB are needed; free some space")
                .into())
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
    async fn a_check_that_hangs_is_reported_in_time_and_runs_once() {
        let (begun, answers) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
        let check = || {
            let (begun, answers) = (Arc::clone(&begun), Arc::clone(&answers));
            async move {
                begun.fetch_add(1, Ordering::SeqCst);
                answers.acquire().await?.forget();
                Ok(())
            }
        };
        let (mut probe, start) = (Probe::default(), Instant::now());
        for _ in 0..1000 {
            assert_eq!(probe.result(check()).await, Err(HANGS.to_owned()));
            assert_eq!(start.elapsed(), PROBE_TIMEOUT, "later requests do not wait again");
        }
        assert_eq!(begun.load(Ordering::SeqCst), 1);
        // One permit for the check that hangs, whose result is too late, and one for the next
        // check.
        answers.add_permits(2);
        tokio::task::yield_now().await;
        assert_eq!(probe.result(check()).await, Ok(()));
        assert_eq!(begun.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_panic_during_the_checks_makes_all_checks_fail() {
        let failed = failures(tokio::spawn(async { panic!("a fault of the manager") })).await;
        let failed: Vec<_> = failed.into_iter().map(|it| (it.check, it.error.kind)).collect();
        assert_eq!(failed, CHECKS.map(|(check, _)| (check, ErrorKind::Internal)));
        assert_eq!(failures(tokio::spawn(async { Vec::new() })).await, []);
    }

    #[test]
    fn a_disk_is_nearly_full_if_both_the_share_and_the_bytes_of_free_space_are_low() {
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
