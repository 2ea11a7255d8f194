//! The interface between a stream and the output that serves or stores it.
//!
//! A stream knows only the trait [`Output`]; a layer above implements it, and the stream's resources
//! hold the implementation. An output reads the stream's playable frames through all epochs, until the
//! stream ends or no client uses the output any more. The output reports which epoch clients can play, and its
//! last failure.

use std::pin::Pin;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tracing::{Instrument as _, Span, error, warn};
use utoipa::ToSchema;

use super::playable::PlayableMedia;
use crate::base::error::Error;
use crate::camera::id::StreamId;
use crate::camera::numbers::Numbers;
use crate::camera::origin::CurrentOrigin;

/// The time limit within which an output must end. An output that hangs must neither block the stream's name
/// nor keep the manager from ending.
const ENDS_WITHIN: Duration = Duration::from_secs(10);

/// The output that a caller wants of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum WantedOutput {
    /// HLS. The start waits until HLS is playable.
    #[default]
    Hls,
    /// No output. The stream is playable as soon as its first keyframe has arrived.
    None,
}

/// A kind of output. One instance serves all streams.
pub trait Output: Send + Sync + 'static {
    /// Fails if the output lacks the resources to serve another stream.
    fn ensure_ready(&self) -> Result<(), Error>;

    /// Returns the task that serves one stream. The task runs until the sender of `control.end` is
    /// dropped. It then removes everything that the camera's next stream must not find, and ends.
    fn serve(&self, request: OutputRequest, control: OutputControl) -> OutputTask;
}

/// The task of one stream's output.
pub(crate) type OutputTask = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The stream that an output serves.
#[derive(Debug)]
pub struct OutputRequest {
    /// The stream's name.
    pub id: StreamId,
    /// The frames that the output reads.
    pub media: PlayableMedia,
    /// The next free numbers of segments, epochs and discontinuities. The output records the numbers that it
    /// uses, so that no later stream of this name reuses them.
    pub numbers: Numbers,
    /// The origin of the media.
    pub origin: CurrentOrigin,
}

/// The channels between an output and its stream, as the output holds them.
#[derive(Debug)]
pub struct OutputControl {
    /// Publishes the output's progress. Dropped when the output's task ends or fails.
    pub progress: watch::Sender<OutputProgress>,
    /// Ends the output when its sender is dropped.
    pub end: oneshot::Receiver<()>,
}

/// The progress that an output reports.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutputProgress {
    /// The epoch that clients can play; `None` before the first playable epoch.
    pub playable: Option<u64>,
    /// The epoch and the error of a failure; `None` while the output works.
    pub error: Option<(u64, Error)>,
    /// The number of failures so far. Because of this number, each failure is a change, even if its error is the
    /// same as before.
    pub failures: u64,
}

/// The status of a stream's output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OutputStatus {
    /// The state.
    pub(crate) state: OutputState,
    /// The error of the last failure, and its time; `None` unless the state is `Failed`.
    pub(crate) error: Option<(Error, Instant)>,
}

/// The state of a stream's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OutputState {
    /// The output does not run, because no client uses it.
    Off,
    /// The output is not playable yet, or is not playable again yet after an interruption.
    Starting,
    /// The output is playable.
    Live,
    /// The output failed; `error` has the reason. Depending on the reason, the output is retried with the next
    /// keyframe, when the transcoder has been restarted, or when a client requests the output.
    Failed,
}

/// One stream's output, as the supervisor holds it.
pub(super) struct OutputHandle {
    progress: watch::Receiver<OutputProgress>,
    end: oneshot::Sender<()>,
    task: JoinHandle<()>,
    has_failed: bool,
}

/// A change of an output.
pub(super) enum OutputStep {
    /// The output reports progress.
    Progress(OutputProgress),
    /// The output's task has failed. Returned once.
    Failed,
}

impl OutputHandle {
    /// Starts the output of a stream on `thread`.
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

    /// Waits for the next step. Dropping the future loses no step.
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

    /// Ends the output, and waits until it has removed what it made, or until [`ENDS_WITHIN`] has
    /// passed.
    pub(super) async fn finish(mut self) {
        drop(self.end);
        match timeout(ENDS_WITHIN, &mut self.task).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!(%error, "the task of the output failed"),
            Err(_) => {
                // If the task recovered later, it would remove the files of the camera's next stream.
                self.task.abort();
                error!("the output did not end in time; its files may be left behind");
            }
        }
    }
}
