//! The slot of a stream's output. The output runs only while clients use it.
//!
//! An output that cannot serve the stream, for example because the disk is full, keeps running and tries
//! again. If the task of an output fails, the output ends, and starts again when a client requests it.

use std::pin::Pin;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::time::Instant;
use tracing::{Span, error, info, warn};

use super::output::{
    Output, OutputHandle, OutputProgress, OutputRequest, OutputState, OutputStatus, OutputStep,
};
use crate::base::error::{Error, ErrorKind};
use crate::camera::id::StreamId;
use crate::camera::numbers::Numbers;
use crate::camera::origin::{CurrentOrigin, Origin};
use crate::stream::playable::PlayableMedia;

/// The slot of one stream's output.
pub(super) struct OutputSlot {
    output: Arc<dyn Output>,
    media: OutputMedia,
    thread: Handle,
    span: Span,
    state: SlotState,
    /// The error of the last failure, and its time; `None` while the output works.
    error: Option<(Error, Instant)>,
}

/// The stream that the output serves.
pub(super) struct OutputMedia {
    /// The stream's name.
    pub(super) id: StreamId,
    /// The frames that players can play.
    pub(super) media: PlayableMedia,
    /// The next free numbers of segments, epochs and discontinuities.
    pub(super) numbers: Numbers,
    /// The origin of the media.
    pub(super) origin: CurrentOrigin,
}

enum SlotState {
    /// The output does not run.
    Off,
    /// The output runs.
    Running(OutputHandle, OutputProgress),
    /// The output is ending. If `is_wanted`, it starts again when it has ended.
    Ending { ended: Pin<Box<dyn Future<Output = ()> + Send>>, is_wanted: bool },
}

/// A change of the output.
#[derive(Debug)]
pub(super) enum SlotStep {
    /// The output has made progress, or has ended.
    Changed,
    /// The output cannot serve the stream for this reason, and tries again.
    CannotServe(Error),
    /// The output's task has failed, so the output ends.
    Failed(Error),
}

impl OutputSlot {
    /// Creates the slot of an output that does not run yet. The tasks of the output run on `thread`.
    pub(super) fn new(
        output: Arc<dyn Output>,
        media: OutputMedia,
        thread: &Handle,
        span: Span,
    ) -> Self {
        let (thread, state) = (thread.clone(), SlotState::Off);
        Self { output, media, thread, span, state, error: None }
    }

    /// Records that the stream's media has this origin from `epoch` on.
    pub(super) fn set_origin(&self, origin: Origin, epoch: u64) {
        self.media.origin.change(origin, epoch);
    }

    /// Starts the output if it does not run. An output that is ending starts again once it has ended.
    /// Fails if the resources that the output needs, such as disk space, are missing.
    pub(super) fn request(&mut self) -> Result<(), Error> {
        match &mut self.state {
            SlotState::Off => {
                let is_ready = self.output.ensure_ready();
                if let Err(error) = &is_ready {
                    self.error = Some((error.clone(), Instant::now()));
                } else {
                    self.start();
                }
                is_ready
            }
            SlotState::Running(..) => Ok(()),
            SlotState::Ending { is_wanted, .. } => {
                *is_wanted = true;
                self.error = None;
                Ok(())
            }
        }
    }

    /// Starts the output. The output must not be running already.
    pub(super) fn start(&mut self) {
        self.error = None;
        let request = self.output_request();
        let handle = OutputHandle::start(&*self.output, request, &self.thread, self.span.clone());
        self.state = SlotState::Running(handle, OutputProgress::default());
    }

    /// Returns the request for a run of the output.
    fn output_request(&self) -> OutputRequest {
        let OutputMedia { id, media, numbers, origin } = &self.media;
        let (id, media) = (id.clone(), media.clone());
        OutputRequest { id, media, numbers: numbers.clone(), origin: origin.clone() }
    }

    /// Ends the output. Forgets its last failure.
    pub(super) fn end(&mut self) {
        self.error = None;
        self.state = match std::mem::replace(&mut self.state, SlotState::Off) {
            SlotState::Off => SlotState::Off,
            SlotState::Running(handle, _) => {
                SlotState::Ending { ended: Box::pin(handle.finish()), is_wanted: false }
            }
            SlotState::Ending { ended, .. } => SlotState::Ending { ended, is_wanted: false },
        };
    }

    /// Sets the error that keeps frames from the output; `None` if the output gets frames again.
    pub(super) fn set_error(&mut self, error: Option<Error>) {
        self.error = error.map(|error| (error, Instant::now()));
    }

    /// Waits for the next step. Dropping the future loses no step.
    pub(super) async fn step(&mut self) -> SlotStep {
        match &mut self.state {
            SlotState::Off => std::future::pending().await,
            SlotState::Running(handle, progress) => match handle.step().await {
                OutputStep::Progress(now) => {
                    log_failure(progress, &now);
                    *progress = now;
                    let error = progress.error.as_ref().map(|(_, error)| error.clone());
                    self.error = error.clone().map(|error| (error, Instant::now()));
                    error.map_or(SlotStep::Changed, SlotStep::CannotServe)
                }
                OutputStep::Failed => self.fail(),
            },
            SlotState::Ending { ended, is_wanted } => {
                ended.await;
                let is_wanted = *is_wanted;
                self.state = SlotState::Off;
                if is_wanted {
                    self.start();
                }
                SlotStep::Changed
            }
        }
    }

    fn fail(&mut self) -> SlotStep {
        error!("the stream's output failed");
        let error = Error::new(ErrorKind::Internal, "the stream's output failed");
        self.end();
        self.error = Some((error.clone(), Instant::now()));
        SlotStep::Failed(error)
    }

    /// Returns whether the output runs, or will start again when it has ended.
    pub(super) fn is_on(&self) -> bool {
        match self.state {
            SlotState::Off => false,
            SlotState::Running(..) => true,
            SlotState::Ending { is_wanted, .. } => is_wanted,
        }
    }

    /// Returns whether clients can play this epoch.
    pub(super) fn is_playable(&self, epoch: u64) -> bool {
        self.status(epoch).state == OutputState::Live
    }

    /// Returns the status to publish during this epoch.
    pub(super) fn status(&self, epoch: u64) -> OutputStatus {
        let state = match &self.state {
            _ if self.error.is_some() => OutputState::Failed,
            SlotState::Running(_, progress) if progress.playable == Some(epoch) => {
                OutputState::Live
            }
            _ if self.is_on() => OutputState::Starting,
            _ => OutputState::Off,
        };
        OutputStatus { state, error: self.error.clone() }
    }

    /// Ends the output, and waits until it has removed what it made.
    pub(super) async fn finish(mut self) {
        self.end();
        if let SlotState::Ending { ended, .. } = self.state {
            ended.await;
        }
    }
}

/// Logs the first of several failures in a row, and the end of the failures.
fn log_failure(before: &OutputProgress, now: &OutputProgress) {
    match (&before.error, &now.error) {
        (None, Some((_, error))) => {
            warn!(code = ?error.kind, cause = error.detail, "HLS failed; trying again");
        }
        (Some(_), None) => info!("HLS works again"),
        _ => {}
    }
}
