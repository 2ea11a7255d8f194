//! Checks whether the program that `FFMPEG_BIN` names is an FFmpeg that can be run.

use std::error::Error as StdError;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::base::error::Error;
use crate::base::lock::lock;
use crate::child::pipes::{PipeReader, first_of};
use crate::child::spawner::{self, Spawner, cannot_run, exec_failure};

/// The longest time in which the program must respond to `-version` before the manager uses the program.
const RESPONDS_WITHIN: Duration = Duration::from_secs(5);
/// The first bytes that every FFmpeg prints for `-version`.
const GREETING: &[u8] = b"ffmpeg version ";

/// Runs FFmpeg in the way streams do, so that the check fails for the same reasons. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct FfmpegCheck {
    program: PathBuf,
    spawner: Spawner,
    /// The last file for which [`Self::ensure_ffmpeg`] succeeded.
    known: Arc<Mutex<Option<ProgramFile>>>,
}

/// The file of a program. A program that was replaced is another file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProgramFile {
    device: u64,
    inode: u64,
    size: u64,
    /// Seconds and nanoseconds of the last change.
    changed: (i64, i64),
}

impl FfmpegCheck {
    /// Creates a check that starts `program` with `spawner`.
    pub(crate) fn new(program: PathBuf, spawner: Spawner) -> Self {
        Self { program, spawner, known: Arc::default() }
    }

    /// Fails if the program is not an FFmpeg, or cannot be run. Runs the program only if its file is not the one for
    /// which this function last succeeded. Takes at most half of `start_timeout`. So if the program does not respond,
    /// the start fails with an error that states this, and not with a timeout.
    pub(crate) async fn ensure_ffmpeg(&self, start_timeout: Duration) -> Result<(), Error> {
        // Reading the properties of the file is quick, so it is done on this thread. Starting another thread could
        // fail.
        let file = ProgramFile::of(&self.program);
        let file = file.map_err(|error| self.error(&error.to_string()))?;
        if lock(&self.known).as_ref() != Some(&file) {
            let checked = self.run(RESPONDS_WITHIN.min(start_timeout / 2)).await;
            checked.map_err(|error| self.error(&error.to_string()))?;
            *lock(&self.known) = Some(file);
        }
        Ok(())
    }

    /// Runs `ffmpeg -version`. Fails if FFmpeg cannot be started, does not end successfully `within` this time, or
    /// prints no version of FFmpeg. A process that takes longer is killed.
    pub(crate) async fn run(
        &self,
        within: Duration,
    ) -> Result<(), Box<dyn StdError + Send + Sync>> {
        let mut process = self.spawner.spawn(&self.program, vec!["-version".to_owned()], 0).await?;
        let (stdin, stdout, stderr) = process.take_pipes()?;
        drop(stdin);
        let printed = PipeReader::spawn(first_of(stdout, GREETING.len() as u64));
        let messages = PipeReader::spawn(first_of(stderr, 0));
        let (status, is_late) = process.wait_or_kill(within).await;
        let printed = printed.finish().await.unwrap_or_default();
        drop(messages);
        let status = status?;
        match exec_failure(Some(status)) {
            _ if is_late => Err("it does not respond to -version".into()),
            Some(reason) => Err(reason.into()),
            None if printed != GREETING => {
                Err(format!("it is not an FFmpeg; -version prints no version ({status})").into())
            }
            None if status.success() => Ok(()),
            None => Err(status.to_string().into()),
        }
    }

    /// Returns the error to report if FFmpeg cannot be run for this `reason`.
    pub(crate) fn error(&self, reason: &str) -> Error {
        cannot_run(&self.program, reason)
    }
}

impl ProgramFile {
    /// Returns the file of `program`. Fails if it cannot be executed.
    pub(crate) fn of(program: &Path) -> io::Result<Self> {
        let file = std::fs::metadata(spawner::executable(program)?)?;
        let changed = (file.mtime(), file.mtime_nsec());
        Ok(Self { device: file.dev(), inode: file.ino(), size: file.size(), changed })
    }
}
