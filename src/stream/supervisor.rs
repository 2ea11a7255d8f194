//! The task that owns a stream: it passes events to the state table, and carries out the actions that
//! the table returns.
//!
//! The supervisor owns the ingest's run, the output, the deadlines and the list of waiting callers.
//! `playability` decides when the stream is playable. The table in [`state`] makes every decision about
//! the life of the stream. Nothing here depends on HTTP.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::sleep_until;
use tracing::{debug, info, info_span, warn};

use super::active_count::ActiveShare;
use super::backoff::Backoff;
use super::deadlines::{Deadlines, Situation};
use super::handle::{Command, Joined, Shared};
use super::kept::KeptStreams;
use super::limits::Limits;
use super::output_slot::OutputSlot;
use super::plan_choice::PlanChoice;
use super::playable::PlayableErrors;
use super::reporter::EventReporter;
use super::run::{CurrentRun, Step};
use super::start_queue::{Priority, StartQueue, StartSlot};
use super::state::{self, Action, After, Context, Event, State};
use super::status::StatusPublisher;
use super::transition_metrics::{Evidence, TransitionMetrics};
use super::waiters::Waiters;
use crate::base::error::{Error, ErrorKind};
use crate::camera::Camera;
use crate::camera::plan;
use crate::events::StopReason;
use crate::ingest::{Ingest, IngestRequest, RunOutcome};

/// The largest number of changes of plan until the stream is playable. The lessons about a camera need fewer
/// changes, unless the camera contradicts itself. Such a camera must not be retried for ever.
const MAX_REPLANS: u32 = 6;

struct Supervisor {
    shared: Arc<Shared>,
    limits: Limits,
    ingest: Arc<dyn Ingest>,
    starts: StartQueue,
    metrics: TransitionMetrics,
    reporter: EventReporter,
    deadlines: Deadlines,
    commands: mpsc::Receiver<Command>,
    status: StatusPublisher,
    output: OutputSlot,
    /// The epoch of the last video in the hub.
    video_epoch: watch::Receiver<Option<u64>>,
    media_errors: PlayableErrors,
    camera: Camera,
    active: ActiveShare,
    kept: KeptStreams,
    state: State,
    run: CurrentRun,
    /// The start slot that the current run holds.
    slot: Option<StartSlot>,
    waiters: Waiters,
    backoff: Backoff,
    plans: PlanChoice,
    /// The number of changes of plan since the stream was last playable.
    replans: u32,
    was_live: bool,
    /// The duration for which the last live run was live; `None` if there was none, or if the next delay has already
    /// been computed from this duration.
    last_live_for: Option<Duration>,
}

impl Supervisor {
    async fn run(mut self, priority: Priority, on_gone: impl FnOnce()) {
        self.begin_epoch(true, priority, None);
        while self.state != State::Gone {
            if let Some(event) = self.next_event().await {
                self.handle(event);
            }
        }
        self.finish(on_gone).await;
    }

    /// Waits for the next change, and returns its event; `None` if the change does not affect the state.
    async fn next_event(&mut self) -> Option<Event> {
        let (deadline, due) = self.deadlines.next(self.situation());
        let output_deadline = self.output_deadline();
        tokio::select! {
            command = self.commands.recv() => self.on_command(command?),
            step = self.run.step() => Some(self.on_step(step)),
            () = sleep_until(self.deadlines.slot()), if self.slot.is_some() => {
                self.slot = None;
                None
            }
            step = self.output.step() => self.on_output(step),
            error = self.media_errors.next() => self.on_media_error(error),
            Ok(()) = self.video_epoch.changed() => self.on_playable(),
            () = sleep_until(output_deadline.unwrap_or(deadline)), if output_deadline.is_some() => {
                self.delay_output();
                None
            }
            () = sleep_until(deadline) => self.on_deadline(due),
        }
    }

    fn on_command(&mut self, command: Command) -> Option<Event> {
        match command {
            Command::Start(camera, wanted, caller) => self.on_start(camera, wanted, caller),
            Command::Stop => {
                let detail = "the stream was stopped before it was playable";
                self.waiters.refuse(&Error::new(ErrorKind::Stopped, detail));
                Some(self.end_because(StopReason::Stop))
            }
            Command::Idle if self.is_wanted() => self.end_unused_output(),
            Command::Idle => Some(self.end_because(StopReason::Idle)),
            Command::Shutdown => {
                self.waiters.refuse(&Error::shutting_down());
                Some(self.end_because(StopReason::Shutdown))
            }
            Command::Note(problem) => {
                self.note_problem(problem);
                None
            }
        }
    }

    /// Publishes a problem of a live stream that does not interrupt it.
    fn note_problem(&self, problem: Error) {
        if self.state != State::Live {
            return;
        }
        if self.status.last_error().as_ref() != Some(&problem) {
            warn!(
                generation = self.status.epoch(),
                problem = problem.detail,
                "the stream has a problem"
            );
        }
        self.status.note_error(problem);
    }

    fn end_because(&mut self, reason: StopReason) -> Event {
        self.reporter.ending(reason);
        Event::End
    }

    fn on_step(&mut self, step: Step) -> Event {
        match step {
            Step::SlotGranted(slot) => {
                self.run = CurrentRun::Granted(slot);
                let is_abandoned = self.waiters.have_all_left();
                if is_abandoned { Event::Abandoned } else { Event::SlotGranted }
            }
            Step::Ended(outcome) => self.on_end(outcome),
        }
    }

    fn on_end(&mut self, outcome: RunOutcome) -> Event {
        self.run = CurrentRun::None;
        if matches!(self.state, State::Stopping(_)) {
            // The ingest was requested to end, so its outcome shows nothing about the camera.
            return Event::Ended;
        }
        self.plans.note_outcome(&outcome, &self.camera);
        match outcome {
            RunOutcome::Replan(_) if self.replans == MAX_REPLANS => {
                self.camera.learned.revert();
                self.status.note_error(plan::exhausted());
                Event::Exhausted
            }
            RunOutcome::Replan(plan) => {
                info!(?plan, "retrying with another plan");
                self.replans += 1;
                if self.state == State::Live {
                    let detail = "reconnecting with different stream settings";
                    self.status.note_error(Error::new(ErrorKind::SourceChanged, detail));
                }
                Event::EndedReplan
            }
            RunOutcome::Refused(error) => {
                self.status.note_error(error);
                Event::EndedRefused
            }
            RunOutcome::Dropped(error) => {
                self.status.note_error(error);
                Event::Ended
            }
        }
    }

    fn on_deadline(&mut self, due: Event) -> Option<Event> {
        let now = self.situation();
        let event = self.deadlines.pass(due, now)?;
        if let Some(error) = self.deadlines.error(event, now) {
            self.status.note_error(error);
        }
        Some(event)
    }

    fn situation(&self) -> Situation {
        Situation {
            state: self.state,
            queued_as: self.run.queued_as(),
            is_retried: self.is_retried(),
            is_kept: self.is_kept(),
            last_progress: self.shared.hub.last_progress().get(),
            last_leading_frame: self.shared.hub.last_leading_frame(self.status.epoch()),
            frames: self.shared.hub.frames_of(self.status.epoch()),
            frame_distance: self.shared.hub.frame_distance(),
        }
    }

    fn handle(&mut self, event: Event) {
        let context = Context { is_retried: self.is_retried(), is_wanted: self.is_wanted() };
        let (next, action) = state::next(self.state, event, context);
        if next != self.state || action != Action::None {
            debug!(generation = self.status.epoch(), from = ?self.state, ?event, to = ?next, ?action, "transition");
        }
        let from = std::mem::replace(&mut self.state, next);
        if from == State::Live && next != State::Live {
            self.last_live_for = self.status.live_for();
        }
        let evidence = Evidence {
            frozen_for: self.shared.hub.last_progress().age(),
            last_error: self.status.last_error().map(|error| error.kind),
        };
        self.metrics.transition(from, event, action, evidence);
        match (event, next) {
            (Event::Stalled, State::Stopping(_)) if from == State::Live => {
                self.reporter.stalled(self.status.epoch(), self.status.last_error());
            }
            (Event::Abandoned, State::Stopping(After::End)) => {
                self.reporter.ending(StopReason::Idle);
            }
            _ => {}
        }
        self.active.set(next.is_active());
        // Published before any caller gets the result, because the caller may request the status at once.
        self.status.publish(next, &self.camera, self.deadlines.running_for());
        self.act(action, from, event);
        self.publish_output();
        if !matches!(self.run, CurrentRun::Child(_)) {
            self.slot = None;
        }
    }

    fn act(&mut self, action: Action, from: State, event: Event) {
        match action {
            Action::None => {}
            Action::Spawn => self.spawn_epoch(from, event),
            Action::Launch => {
                if let CurrentRun::Granted(slot) = self.run.take() {
                    self.deadlines.leave_queue();
                    self.launch(slot);
                }
            }
            Action::Delay => self.delay(event),
            Action::Announce => self.announce(from),
            Action::AnnounceDelay => self.announce_delay(),
            Action::Refuse => self.refuse_with_last_error(),
            Action::Terminate => self.terminate(),
            Action::TerminateAndRefuse => {
                self.refuse_with_last_error();
                self.terminate();
            }
            Action::Kill => {
                warn!(
                    generation = self.status.epoch(),
                    "the ingest did not end in time; killing it"
                );
                self.run.stop_now();
                self.deadlines.begin_grace();
            }
        }
    }

    /// Begins the next epoch, because of `event` in the state `from`.
    fn spawn_epoch(&mut self, from: State, event: Event) {
        let is_requested = matches!(event, Event::Start | Event::Replace);
        let is_replaced = from == State::Stopping(After::Replace);
        if is_requested || is_replaced {
            self.replans = 0;
        }
        let is_restart = from == State::Backoff && event != Event::Replace;
        let slot = match event {
            Event::EndedReplan => self.slot.take().or_else(|| Some(StartSlot::for_next_attempt())),
            _ => None,
        };
        let is_retry = is_restart && !is_requested;
        let priority = if is_retry { Priority::Low } else { Priority::Requested };
        let is_new_start = self.is_retried() || is_requested || is_replaced;
        self.begin_epoch(is_new_start, priority, slot);
        if is_restart {
            self.status.count_restart();
        }
    }

    /// Begins the next epoch: starts its ingest with `slot`, or else with a free slot. If there is no slot,
    /// queues the ingest. If `is_new_start`, the time limit for becoming playable starts now; otherwise the
    /// limit of the previous attempt continues to apply.
    fn begin_epoch(&mut self, is_new_start: bool, priority: Priority, slot: Option<StartSlot>) {
        let epoch = self.camera.numbers.take_epoch();
        self.deadlines.begin(is_new_start);
        self.status.set_epoch(epoch);
        match slot.or_else(|| self.starts.try_slot(priority)) {
            Some(slot) => self.launch(slot),
            None => self.run = CurrentRun::Queued(priority, self.starts.enqueue(priority)),
        }
    }

    fn launch(&mut self, slot: StartSlot) {
        self.slot = Some(slot);
        self.deadlines.launch();
        let epoch = self.status.epoch();
        self.shared.media.set_option(self.camera.options.video);
        self.reporter.launched(epoch);
        let plan = self.plans.choose(&self.camera, self.was_live);
        if let Some(error) = plan::missing_audio(plan, self.camera.options) {
            self.status.note_error(error);
        }
        let request = IngestRequest {
            source: self.camera.source.clone(),
            plan,
            options: self.camera.options,
            onvif: self.camera.onvif.clone(),
            epoch,
            hub: self.shared.hub.clone(),
            process_log: Arc::clone(&self.shared.process_log),
            counters: self.metrics.counters(),
        };
        let running =
            info_span!("ingest", generation = epoch).in_scope(|| self.ingest.start(request));
        self.run = CurrentRun::Child(running);
    }

    fn delay(&mut self, event: Event) {
        let live_for = self.last_live_for.take();
        let last_error = self.status.last_error();
        let delay = self.backoff.next(live_for, last_error.as_ref().map(|error| error.kind));
        self.deadlines.retry_in(delay);
        let cause = last_error.as_ref().map(|error| error.detail.as_str()).unwrap_or_default();
        warn!(generation = self.status.epoch(), cause, retry_in = ?delay, "stream interrupted");
        self.reporter.interrupted(self.status.epoch(), last_error.clone(), self.is_kept());
        if let (Event::EndedRefused | Event::Exhausted, Some(error)) = (event, &last_error) {
            self.waiters.refuse(error);
        }
    }

    fn announce(&mut self, from: State) {
        let joined = if from == State::Live { Joined::Active } else { Joined::Started };
        if from == State::Starting {
            self.slot = None;
            self.was_live = true;
            self.replans = 0;
            self.plans.note_live(&self.camera);
            let (waiting, took) = (self.waiters.len(), self.deadlines.running_for());
            info!(generation = self.status.epoch(), waiting, ?took, "stream is live");
            self.reporter.live(self.status.epoch());
        }
        let is_output_playable = self.is_output_playable();
        self.waiters.announce(&joined, is_output_playable);
    }

    fn announce_delay(&mut self) {
        let cause = self.last_error();
        let took = self.deadlines.running_for();
        info!(generation = self.status.epoch(), cause = cause.detail, ?took, "start is delayed");
        self.waiters.delay(cause);
    }

    fn last_error(&self) -> Error {
        self.status.last_error().unwrap_or_else(|| {
            Error::new(ErrorKind::Internal, "the stream failed for an unknown reason")
        })
    }

    fn refuse_with_last_error(&mut self) {
        let error = self.last_error();
        warn!(generation = self.status.epoch(), code = ?error.kind, cause = error.detail, "start failed");
        self.waiters.refuse(&error);
        if self.state != State::Stopping(After::Retry) {
            self.reporter.failed(self.status.epoch(), error);
        }
    }

    fn terminate(&mut self) {
        self.deadlines.begin_grace();
        self.run.cancel();
        self.run.stop_gently();
    }

    /// Returns whether the stream is kept, or there has been interest in it within the idle timeout.
    fn is_wanted(&self) -> bool {
        self.is_kept() || self.shared.interests.idle_for() < self.limits.idle_timeout
    }

    /// Returns whether the stream is kept, so that it runs without viewers as well.
    fn is_kept(&self) -> bool {
        self.kept.is_kept(&self.shared.id)
    }

    /// Returns whether a failed start is retried.
    fn is_retried(&self) -> bool {
        self.was_live || self.is_kept()
    }

    /// Ends the output and the rendition of a stream whose child has been reaped, and then frees the stream's
    /// name. By that time, the output has ended, so that it does not write into the directory of the camera's next
    /// stream. After that, the channels of the callers who still wait are closed.
    async fn finish(mut self, on_gone: impl FnOnce()) {
        let (epoch, last_error) = (self.status.epoch(), self.status.last_error());
        self.output.finish().await;
        self.shared.media.finish().await;
        self.shared.log_visits(self.shared.viewers.forget_all());
        info!("stream ended");
        self.reporter.stopped(epoch, last_error);
        on_gone();
    }
}

mod playability;
pub(super) mod spawn;

#[cfg(test)]
mod tests;
