//! Whether the service can do its work, and all that keeps it from it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::process::Command;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use tracing::warn;
use utoipa::ToSchema;

use crate::error::{Error, ErrorKind};
use crate::ffmpeg::process::Spawner;
use crate::hls::layout::{Disk, Layout};
use crate::hls::room;
use crate::store::db::Database;

/// A good result holds this long: orchestrators ask every few seconds, and FFmpeg need not be run
/// for each of them.
const GOOD_HOLDS: Duration = Duration::from_secs(10);
/// A bad one is looked at again sooner, but not by every probe that waits in line.
const BAD_HOLDS: Duration = Duration::from_secs(1);
/// FFmpeg, the disk and the database must answer within this time.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

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
    last: Mutex<Option<(Instant, Vec<Trouble>)>>,
    found: std::sync::Mutex<Option<Vec<Trouble>>>,
}

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
            last: Mutex::default(),
            found: std::sync::Mutex::default(),
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
        self.found.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn look(&self) -> Vec<Trouble> {
        if self.is_closing() {
            return vec![Trouble { check: Check::Shutdown, error: Error::shutting_down() }];
        }
        // Held across the probe on purpose: many probes at once make one run of FFmpeg.
        let mut last = self.last.lock().await;
        if let Some((at, troubles)) = last.as_ref()
            && at.elapsed() < if troubles.is_empty() { GOOD_HOLDS } else { BAD_HOLDS }
        {
            return troubles.clone();
        }
        let troubles = self.probe().await;
        *last = Some((Instant::now(), troubles.clone()));
        *self.found.lock().unwrap_or_else(PoisonError::into_inner) = Some(troubles.clone());
        troubles
    }

    async fn probe(&self) -> Vec<Trouble> {
        let (stream_dir, ffmpeg, database) =
            tokio::join!(self.probe_stream_dir(), self.probe_ffmpeg(), self.probe_database());
        let results = [
            (Check::StreamDir, stream_dir, ErrorKind::StorageUnavailable),
            (Check::Ffmpeg, ffmpeg, ErrorKind::FfmpegUnavailable),
            (Check::Database, database, ErrorKind::StorageUnavailable),
        ];
        let troubles = results.into_iter().filter_map(|(check, result, kind)| {
            Some(Trouble { check, error: Error::new(kind, result.err()?) })
        });
        troubles.collect()
    }

    async fn probe_stream_dir(&self) -> Result<(), String> {
        let told = |reason: String| {
            format!("STREAM_DIR {} cannot be written: {reason}", self.layout.root().display())
        };
        let path = self.layout.ready_file();
        let written = async {
            tokio::fs::write(&path, b"ready").await?;
            tokio::fs::remove_file(&path).await
        };
        in_time(written).await.map_err(told)?;
        self.warn_when_nearly_full(room_of(room::FREE, self.layout.root()).await.map_err(told)?);
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

    async fn probe_database(&self) -> Result<(), String> {
        let path = self.database.path();
        let told =
            |reason: String| format!("the database {} cannot be used: {reason}", path.display());
        // What was deleted can still be written to, until the manager ends.
        in_time(tokio::fs::metadata(path)).await.map_err(told)?;
        in_time(self.database.check()).await.map_err(told)?;
        room_of(DATABASE_FREE, path.parent().unwrap_or(path)).await.map_err(told).map(drop)
    }

    async fn probe_ffmpeg(&self) -> Result<(), String> {
        let mut command = Command::new(&self.ffmpeg);
        command.arg("-version");
        // As streams start it, so that what keeps these from it shows here. What it says, a pipe holds.
        let run = async { self.spawner.spawn(command).await?.wait().await };
        let reason = match in_time(run).await {
            Ok(status) if status.success() => return Ok(()),
            Ok(status) => status.to_string(),
            Err(reason) => reason,
        };
        Err(format!("FFmpeg ({}) cannot be run: {reason}", self.ffmpeg.display()))
    }
}

fn is_nearly_full(disk: &Disk) -> bool {
    disk.available < NEARLY_FULL && disk.available.saturating_mul(10) < disk.size
}

async fn in_time<T, E: ToString>(probe: impl Future<Output = Result<T, E>>) -> Result<T, String> {
    match timeout(PROBE_TIMEOUT, probe).await {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_) => Err("it does not answer".to_owned()),
    }
}

/// The disk that `path` is on, if `least` bytes of it are free.
async fn room_of(least: u64, path: &Path) -> Result<Option<Disk>, String> {
    // The empty parent of a bare file name is the working directory.
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path }.to_owned();
    let disk = in_time(tokio::task::spawn_blocking(move || Disk::of(&path))).await?;
    match &disk {
        Some(disk) if disk.available < least => {
            Err(format!("the disk is full, only {} bytes are free", disk.available))
        }
        _ => Ok(disk),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
