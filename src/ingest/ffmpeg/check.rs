//! Checks whether FFmpeg can be run at all.

use std::error::Error as StdError;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::timeout;

use crate::base::error::Error;
use crate::child::spawner::{Spawner, cannot_run, exec_failure};

/// Runs FFmpeg in the way streams do, so that the check fails for the same reasons.
#[derive(Debug, Clone)]
pub(crate) struct FfmpegCheck {
    program: PathBuf,
    spawner: Spawner,
}

impl FfmpegCheck {
    /// Creates a check that starts `program` with `spawner`.
    pub(crate) fn new(program: PathBuf, spawner: Spawner) -> Self {
        Self { program, spawner }
    }

    /// Runs `ffmpeg -version`. Fails if FFmpeg cannot be started, or does not end successfully `within`
    /// this time. A process that takes longer is killed.
    pub(crate) async fn run(
        &self,
        within: Duration,
    ) -> Result<(), Box<dyn StdError + Send + Sync>> {
        // The output is not read, because it fits into a pipe.
        let mut process = self.spawner.spawn(&self.program, vec!["-version".to_owned()], 0).await?;
        let ended = timeout(within, process.wait()).await;
        let status = ended.map_err(|_| "it does not respond")??;
        match exec_failure(Some(status)) {
            Some(reason) => Err(reason.into()),
            None if status.success() => Ok(()),
            None => Err(status.to_string().into()),
        }
    }

    /// Returns the error to report if FFmpeg cannot be run for this `reason`.
    pub(crate) fn error(&self, reason: &str) -> Error {
        cannot_run(&self.program, reason)
    }
}
