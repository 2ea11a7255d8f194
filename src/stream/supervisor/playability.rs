//! Decides when a stream is playable for callers who want its output, and for callers who do not.

use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::info;

use super::Supervisor;
use crate::base::error::{Error, ErrorKind};
use crate::camera::Camera;
use crate::stream::handle::{Joined, StartResult};
use crate::stream::output::WantedOutput;
use crate::stream::output_slot::SlotStep;
use crate::stream::state::{Event, State};

impl Supervisor {
    /// Handles a start. Starts the output if it is `wanted`, and adds the caller to the waiting callers. If the
    /// output cannot start, the caller gets the error instead.
    pub(super) fn on_start(
        &mut self,
        camera: Camera,
        wanted: WantedOutput,
        caller: oneshot::Sender<StartResult>,
    ) -> Option<Event> {
        let is_replaced = !camera.is_same_stream(&self.camera);
        self.camera = camera;
        self.reporter.set_identity(self.camera.identity.clone());
        // The media of the current epoch may come from the previous source.
        self.output.set_origin(self.camera.origin, self.status.epoch() + 1);
        if let Err(error) = self.request_output(wanted) {
            // A caller who has left needs no result.
            let _ = caller.send(Err(error));
            return is_replaced.then_some(Event::Replace);
        }
        self.waiters.add(wanted, caller);
        if self.run.promote(&self.starts) {
            self.deadlines.begin(true);
        }
        let event = if is_replaced { Event::Replace } else { Event::Start };
        // If this start wants no output, the stream may be playable from now on, although earlier starts
        // still wait for the output.
        let is_playable = self.state == State::Starting && !is_replaced && self.is_playable();
        Some(if is_playable { Event::Playable } else { event })
    }

    /// Starts the output if it is `wanted` and does not run.
    fn request_output(&mut self, wanted: WantedOutput) -> Result<(), Error> {
        let requested = match wanted {
            WantedOutput::Hls => self.output.request(),
            WantedOutput::None => Ok(()),
        };
        self.publish_output();
        requested
    }

    /// Handles a step of the output.
    pub(super) fn on_output(&mut self, step: SlotStep) -> Option<Event> {
        self.publish_output();
        match step {
            SlotStep::Changed => self.on_playable(),
            SlotStep::CannotServe(error) => self.on_output_error(&error, Event::OutputFailed),
            SlotStep::Failed(error) => self.on_output_error(&error, Event::End),
        }
    }

    /// Handles an error that keeps frames from the output. `None` means that the output gets frames again.
    pub(super) fn on_media_error(&mut self, error: Option<Error>) -> Option<Event> {
        if !self.output.is_on() {
            return None;
        }
        self.output.set_error(error.clone());
        self.publish_output();
        match error {
            Some(error) => self.on_output_error(&error, Event::OutputFailed),
            None => self.on_playable(),
        }
    }

    /// Handles a change after which the stream or its output may be playable.
    pub(super) fn on_playable(&mut self) -> Option<Event> {
        if self.state == State::Live {
            let is_output_playable = self.is_output_playable();
            self.waiters.announce(&Joined::Started, is_output_playable);
            return None;
        }
        self.is_playable().then_some(Event::Playable)
    }

    /// Handles an error of the output. The callers who wait for the output get the error. Returns `event`
    /// if the stream is neither kept nor wanted without the output, and otherwise the result of
    /// [`Self::on_playable`].
    pub(super) fn on_output_error(&mut self, error: &Error, event: Event) -> Option<Event> {
        self.status.note_error(error.clone());
        self.waiters.refuse_output(error);
        if self.is_wanted_without_output() { self.on_playable() } else { Some(event) }
    }

    /// Ends the output if no client uses it any more.
    pub(super) fn end_unused_output(&mut self) -> Option<Event> {
        if self.shared.interests.output_idle_for() < self.limits.idle_timeout {
            return None;
        }
        if self.output.is_on() {
            info!("HLS ends, because no client uses it");
        }
        self.output.end();
        self.publish_output();
        self.on_playable()
    }

    /// Returns whether the current epoch is playable. It is playable if its output is playable. It is also
    /// playable if its first keyframe has arrived, and either the output does not run or the stream is also
    /// wanted without the output.
    fn is_playable(&self) -> bool {
        let has_keyframe = *self.video_epoch.borrow() == Some(self.status.epoch());
        let needs_output = self.output.is_on() && !self.is_wanted_without_output();
        self.is_output_playable() || has_keyframe && !needs_output
    }

    /// Returns whether clients can play the output of the current epoch.
    pub(super) fn is_output_playable(&self) -> bool {
        self.output.is_playable(self.status.epoch())
    }

    /// Returns whether the stream is kept, or a client wants it without the output.
    fn is_wanted_without_output(&self) -> bool {
        self.is_kept() || self.shared.interests.other_idle_for() < self.limits.idle_timeout
    }

    /// Publishes the status of the output.
    pub(super) fn publish_output(&self) {
        self.status.set_output(self.output.status(self.status.epoch()));
    }

    /// Returns the time limit of the callers who wait for the output of a live stream. At this time, they get a
    /// response even if the output is not playable. `None` if no caller waits for the output, or if the stream is
    /// not live.
    pub(super) fn output_deadline(&self) -> Option<Instant> {
        let since = self.waiters.output_since()?.max(self.status.live_since()?);
        Some(since + self.limits.start_timeout)
    }

    /// Reports a delay of a live stream's output to the callers who wait for the output.
    pub(super) fn delay_output(&mut self) {
        let detail = "HLS is not playable yet; it begins with the camera's next keyframe";
        self.waiters.delay_output(Error::new(ErrorKind::AwaitingKeyframe, detail));
    }
}
