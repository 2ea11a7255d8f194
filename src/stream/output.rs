//! The seam between a stream and the output that serves or stores it.
//!
//! A stream does not know its output: the stream's resources hold an implementation of [`Output`]
//! from a layer above. An output reads the stream's hub for as long as the stream lives, over all
//! its epochs, and reports what clients can play and what went wrong.

use std::pin::Pin;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::{Instrument as _, Span, error, warn};

use crate::base::error::Error;
use crate::camera::Numbers;
use crate::camera::id::StreamId;
use crate::media::hub::FragmentHub;

/// An output that hangs must not keep the stream's name, nor the manager from ending.
const ENDS_WITHIN: Duration = Duration::from_secs(10);

/// A kind of output. One instance serves all streams.
pub trait Output: Send + Sync + 'static {
    /// Refuses a new stream when it lacks the resources to serve it.
    fn ensure_ready(&self) -> Result<(), Error>;

    /// Returns the task that serves one stream, until `control.end` is dropped and everything that
    /// the next stream of the camera must not find has been removed.
    fn serve(&self, request: OutputRequest, control: OutputControl) -> OutputTask;
}

/// The task of one stream's output.
pub(crate) type OutputTask = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The stream that an output serves.
#[derive(Debug)]
pub struct OutputRequest {
    /// The stream's name.
    pub id: StreamId,
    /// Where its fragments are read.
    pub hub: FragmentHub,
    /// The lowest number that the output can give to what it makes.
    pub first_number: u64,
    /// Where the output notes its numbers, so that no later stream of the camera uses them again.
    pub numbers: Numbers,
}

/// The output's end of the connection to its stream.
#[derive(Debug)]
pub struct OutputControl {
    /// Where the output reports. Dropped when it fails.
    pub progress: watch::Sender<OutputProgress>,
    /// Dropped to end the output.
    pub end: oneshot::Receiver<()>,
}

/// What an output reports.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutputProgress {
    /// The epoch that clients can play.
    pub playable: Option<u64>,
    /// The last failure, and its epoch. Cleared when the output works again.
    pub error: Option<(u64, Error)>,
}

/// One stream's output, as the supervisor holds it.
pub(super) struct OutputHandle {
    progress: watch::Receiver<OutputProgress>,
    end: oneshot::Sender<()>,
    task: JoinHandle<()>,
    has_failed: bool,
}

/// What happens to an output.
pub(super) enum OutputStep {
    Progress(OutputProgress),
    /// Its task has failed. Returned once.
    Failed,
}

impl OutputHandle {
    /// Starts serving a stream, on `thread`.
    pub(super) fn start(
        output: &dyn Output,
        request: OutputRequest,
        thread: &Handle,
        span: Span,
    ) -> Self {
        let (send_progress, progress) = watch::channel(OutputProgress::default());
        let (end, ended) = oneshot::channel();
        let task = output.serve(request, OutputControl { progress: send_progress, end: ended });
        Self { progress, end, task: thread.spawn(task.instrument(span)), has_failed: false }
    }

    /// Waits for the next step. Can be dropped and called again without losing a step.
    pub(super) async fn step(&mut self) -> OutputStep {
        if self.has_failed {
            return std::future::pending().await;
        }
        if self.progress.changed().await.is_ok() {
            OutputStep::Progress(self.progress.borrow_and_update().clone())
        } else {
            self.has_failed = true;
            OutputStep::Failed
        }
    }

    /// Ends the output, and waits until it has removed what it made.
    pub(super) async fn finish(mut self) {
        drop(self.end);
        match timeout(ENDS_WITHIN, &mut self.task).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!(%error, "the output failed"),
            Err(_) => {
                // Should it recover, it must not remove what the camera's next stream has made.
                self.task.abort();
                error!("the output hangs: what it made is left behind");
            }
        }
    }
}
