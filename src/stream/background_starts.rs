//! The starts whose result no caller waits for.

use std::sync::Mutex;

use tokio::task::AbortHandle;

use super::output::WantedOutput;
use crate::base::lock::lock;

/// The tasks that start a stream in the background. There is at most one task for each wanted output, however
/// many starts are requested.
#[derive(Debug, Default)]
pub(super) struct BackgroundStarts {
    with_hls: Mutex<Option<AbortHandle>>,
    without_output: Mutex<Option<AbortHandle>>,
}

impl BackgroundStarts {
    /// Keeps the task of a start that wants this output, and aborts the previous one.
    pub(super) fn replace(&self, wanted: WantedOutput, task: AbortHandle) {
        let place = match wanted {
            WantedOutput::Hls => &self.with_hls,
            WantedOutput::None => &self.without_output,
        };
        if let Some(previous) = lock(place).replace(task) {
            previous.abort();
        }
    }
}
