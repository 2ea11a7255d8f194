//! The rendition of a stream: H.264 that a transcoder makes from the stream's video while a consumer needs
//! it.
//!
//! All consumers share one run of the transcoder. After a failed run, the next run starts after a
//! delay; the stream and its epoch are not affected.

use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tracing::{Instrument as _, error, warn};

use super::backoff::{Backoff, STABLE_AFTER};
use crate::base::error::Error;
use crate::base::lock::lock;
use crate::child::log::ProcessLog;
use crate::ingest::RunOutcome;
use crate::ingest::rendition::{RenditionRequest, Transcoder};
use crate::media::flow::Flow;
use crate::media::frame_budget::FrameBudget;
use crate::media::hub::{FrameHub, HubReader, ReadFrom};

/// The largest number of bytes by which the transcoder can be behind the stream. The hub also limits the time by
/// which it can be behind.
const MAX_BEHIND: usize = 16 * 1024 * 1024;

/// The longest time for which [`Rendition::finish`] waits for the end of the transcoder.
const ENDS_WITHIN: Duration = Duration::from_secs(5);

/// The rendition of one stream. Cheap to clone.
#[derive(Clone)]
pub(super) struct Rendition(Arc<Inner>);

struct Inner {
    transcoder: Arc<dyn Transcoder>,
    source: FrameHub,
    frames: FrameBudget,
    process_log: Arc<ProcessLog>,
    state: Mutex<State>,
    /// The last error of the transcoder; `None` if it has worked since, or does not run.
    errors: watch::Sender<Option<Error>>,
}

#[derive(Default)]
struct State {
    current: Weak<RunningRendition>,
    /// The task that ran the transcoder last.
    task: Option<JoinHandle<()>>,
}

/// A running rendition. Ends when it is dropped.
#[derive(Debug)]
pub(super) struct RunningRendition {
    hub: FrameHub,
    _end: oneshot::Sender<()>,
}

impl Rendition {
    /// Creates the rendition of the stream that is published in `source`. Nothing runs yet.
    pub(super) fn new(
        transcoder: Arc<dyn Transcoder>,
        source: FrameHub,
        frames: FrameBudget,
        process_log: Arc<ProcessLog>,
    ) -> Self {
        let (state, errors) = (Mutex::default(), watch::Sender::new(None));
        Self(Arc::new(Inner { transcoder, source, frames, process_log, state, errors }))
    }

    /// Returns the running rendition. Starts the rendition first if it does not run.
    pub(super) fn run(&self) -> Arc<RunningRendition> {
        let mut state = lock(&self.0.state);
        if let Some(running) = state.current.upgrade() {
            return running;
        }
        let (end, ended) = oneshot::channel();
        let running = Arc::new(RunningRendition { hub: FrameHub::new(&self.0.frames), _end: end });
        state.current = Arc::downgrade(&running);
        let (inner, hub, before) = (Arc::clone(&self.0), running.hub.clone(), state.task.take());
        let task = async move {
            if let Some(before) = before {
                // The previous transcoder is ending, because its last consumer has left.
                let _ = before.await;
            }
            inner.keep_running(hub, ended).await;
            // The error concerns no later consumer.
            inner.forget_error();
        };
        state.task = Some(tokio::spawn(task.in_current_span()));
        running
    }

    /// Returns the flow of the rendition's frames; `None` if the rendition does not run or has not published video.
    pub(super) fn flow(&self) -> Option<Flow> {
        lock(&self.0.state).current.upgrade()?.hub.flow()
    }

    /// Returns a receiver of the transcoder's last error, which is `None` if the transcoder has worked since, or does
    /// not run.
    pub(super) fn errors(&self) -> watch::Receiver<Option<Error>> {
        self.0.errors.subscribe()
    }

    /// Waits at most [`ENDS_WITHIN`] until the transcoder has ended. All consumers must have left.
    pub(super) async fn finish(&self) {
        let task = lock(&self.0.state).task.take();
        if let Some(task) = task
            && timeout(ENDS_WITHIN, task).await.is_err()
        {
            error!("the transcoder of the rendition did not end in time");
        }
    }
}

impl Inner {
    /// Runs the transcoder until the sender of `ended` is dropped. Starts it again after a delay if it fails.
    async fn keep_running(&self, hub: FrameHub, mut ended: oneshot::Receiver<()>) {
        let mut backoff = Backoff::default();
        let mut from = ReadFrom::LastKeyframe;
        loop {
            let began = Instant::now();
            let mut run = self.transcoder.start(RenditionRequest {
                frames: self.source.read(from, MAX_BEHIND),
                hub: hub.clone(),
                process_log: Arc::clone(&self.process_log),
            });
            let mut frames = hub.read(ReadFrom::Now, 0);
            let outcome = loop {
                let has_error = self.errors.borrow().is_some();
                tokio::select! {
                    outcome = run.outcome() => break outcome,
                    _ = frames.next(), if has_error => self.forget_error(),
                    _ = &mut ended => {
                        run.stop_now();
                        run.outcome().await;
                        return;
                    }
                }
            };
            // Frames that the failed run has converted must not be converted again.
            from = ReadFrom::NextKeyframe;
            let ran_for = Some(began.elapsed()).filter(|ran_for| *ran_for >= STABLE_AFTER);
            let delay = backoff.next(ran_for, None);
            if let RunOutcome::Refused(error) | RunOutcome::Dropped(error) = outcome {
                warn!(cause = error.detail, retry_in = ?delay, "rendition interrupted");
                self.errors.send_replace(Some(error));
            }
            tokio::select! {
                () = sleep(delay) => {}
                _ = &mut ended => return,
            }
        }
    }

    fn forget_error(&self) {
        self.errors.send_if_modified(|error| error.take().is_some());
    }
}

impl RunningRendition {
    /// Returns a reader of the rendition's frames, which begins with the last keyframe.
    pub(super) fn read(&self, max_bytes: usize) -> HubReader {
        self.hub.read(ReadFrom::LastKeyframe, max_bytes)
    }
}

impl std::fmt::Debug for Rendition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rendition").finish_non_exhaustive()
    }
}
