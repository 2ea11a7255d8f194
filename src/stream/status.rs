//! A stream's status, which its supervisor publishes and its handles read.

use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::Instant;

use super::output::{OutputState, OutputStatus, WantedOutput};
use super::state::State;
use crate::base::error::Error;
use crate::camera::Camera;

/// A stream's status.
#[derive(Debug, Clone)]
pub(crate) struct Status {
    /// The state, as the table in [`crate::stream::state`] determines it.
    pub(crate) state: State,
    /// Number of the current or last epoch.
    pub(crate) epoch: u64,
    /// The number of times that FFmpeg was started again after an interruption.
    pub(crate) restarts: u64,
    /// The time at which the stream was started.
    pub(crate) started_at: SystemTime,
    /// The time at which the current epoch became live; `None` while it is not live.
    pub(crate) live_since: Option<Instant>,
    /// The time from the start of FFmpeg until the current epoch was playable; `None` while the epoch is
    /// not live.
    pub(crate) start_took: Option<Duration>,
    /// The last error, and the time at which it occurred.
    pub(crate) last_error: Option<(Error, Instant)>,
    /// True once an epoch of the stream has been live.
    pub(crate) was_live: bool,
    /// The status of the stream's output.
    pub(crate) output: OutputStatus,
    /// The camera, with its source.
    pub(crate) camera: Camera,
}

impl Status {
    /// Returns whether the stream is live. If the output is `wanted`, the output must be live, too.
    pub(super) fn is_live(&self, wanted: WantedOutput) -> bool {
        let is_output_live = self.output.state == OutputState::Live;
        self.state == State::Live && (wanted == WantedOutput::None || is_output_live)
    }
}

/// The sender of a stream's status, which the supervisor holds. Dropped when the stream is gone.
#[derive(Debug)]
pub(super) struct StatusPublisher(watch::Sender<Status>);

impl StatusPublisher {
    /// Creates the status of a stream that starts now with `epoch`, and a receiver of it.
    pub(super) fn new(
        camera: Camera,
        epoch: u64,
        output: OutputStatus,
    ) -> (Self, watch::Receiver<Status>) {
        let (send, status) = watch::channel(Status {
            state: State::Starting,
            epoch,
            restarts: 0,
            started_at: SystemTime::now(),
            live_since: None,
            start_took: None,
            last_error: None,
            was_live: false,
            output,
            camera,
        });
        (Self(send), status)
    }

    /// Publishes the state and the camera. `running_for` is the time since the current run was queued, or since its
    /// FFmpeg was started.
    pub(super) fn publish(&self, state: State, camera: &Camera, running_for: Duration) {
        self.0.send_modify(|status| {
            let was_live = status.state == State::Live;
            status.state = state;
            status.camera.clone_from(camera);
            if state != State::Live {
                status.live_since = None;
                status.start_took = None;
            } else if !was_live {
                status.was_live = true;
                status.live_since = Some(Instant::now());
                status.start_took = Some(running_for);
            }
        });
    }

    /// Publishes the status of the output.
    pub(super) fn set_output(&self, output: OutputStatus) {
        self.0.send_if_modified(|status| {
            let is_changed = status.output != output;
            status.output = output;
            is_changed
        });
    }

    /// Publishes the number of an epoch that has begun.
    pub(super) fn set_epoch(&self, epoch: u64) {
        self.0.send_modify(|status| status.epoch = epoch);
    }

    /// Counts a start after an interruption.
    pub(super) fn count_restart(&self) {
        self.0.send_modify(|status| status.restarts += 1);
    }

    /// Publishes an error as the last error.
    pub(super) fn note_error(&self, error: Error) {
        self.0.send_modify(|status| status.last_error = Some((error, Instant::now())));
    }

    /// Returns the last error.
    pub(super) fn last_error(&self) -> Option<Error> {
        self.0.borrow().last_error.as_ref().map(|(error, _)| error.clone())
    }

    /// Returns the number of the current or last epoch.
    pub(super) fn epoch(&self) -> u64 {
        self.0.borrow().epoch
    }

    /// Returns when the current epoch became live; `None` if it is not live.
    pub(super) fn live_since(&self) -> Option<Instant> {
        self.0.borrow().live_since
    }

    /// Returns how long the current epoch has been live; `None` if it is not live.
    pub(super) fn live_for(&self) -> Option<Duration> {
        self.live_since().map(|since| since.elapsed())
    }
}
