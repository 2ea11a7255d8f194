//! The task that owns a stream: it feeds events to the state table and does what the table says.
//!
//! Owns the ingest, the packager's task, the timers and the callers who wait. Decides nothing by
//! itself about the life of the stream (that is `state.rs`) and knows nothing of HTTP.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use nix::sys::signal::Signal;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tracing::{Instrument, debug, error, info, info_span, warn};

use super::handle::{COMMANDS, Command, Joined, Shared, StartAnswer, Status, StreamHandle};
use super::limits::Limits;
use super::resources::StreamResources;
use super::state::{self, Action, After, Context, Event, State};
use super::viewers::Viewers;
use crate::base::atomic_instant::AtomicInstant;
use crate::base::backoff::Backoff;
use crate::base::error::{Error, ErrorKind};
use crate::base::time::unix_now;
use crate::camera::Camera;
use crate::camera::plan;
use crate::events::{EventReporter, StopReason};
use crate::ingest::{Ingest, IngestRequest, RunOutcome, RunningIngest};
use crate::media::hub::FragmentHub;
use crate::output::hls::packager::{self, Packager, Progress};
use crate::stream::start_queue::{self, Priority, QueuedSlot, StartQueue, StartSlot};
use crate::stream::transition_metrics::{Evidence, TransitionMetrics};

/// A disk that hangs must not keep the stream's name, nor the manager from ending.
const PACKAGER_ENDS_WITHIN: Duration = Duration::from_secs(10);

/// Plans that may be tried one after the other until one is playable. More than there are lessons
/// for one camera: a camera that contradicts itself must not be tried for ever.
const MAX_REPLANS: u32 = 6;

/// The beginning of 2025, in Unix time.
const NUMBERS_SINCE: u64 = 1_735_689_600;
const NUMBERS_A_SECOND: u64 = 4;

/// Starts the supervisor of a new stream. Calls `on_gone` with the stream's handle when all of
/// the stream has gone: child, packager and directory.
pub fn spawn(
    camera: Camera,
    resources: &StreamResources,
    on_gone: impl FnOnce(&StreamHandle) + Send + 'static,
) -> StreamHandle {
    let span = info_span!("stream", camera = %camera.id);
    let thread = resources.threads.pick();
    let first_number = camera.numbers.first(first_number());
    let limits = resources.limits;
    let (dir, share) = (resources.layout.stream(&camera.id), resources.room.share());
    let packager = Packager::new(dir, share, limits.cutting, first_number);
    let shared = Arc::new(Shared {
        id: camera.id.clone(),
        last_access: AtomicInstant::now(),
        viewers: Viewers::new(limits.max_viewers),
        hub: FragmentHub::default(),
        journal: Arc::default(),
        playlist: packager.newest(),
    });
    let (send_command, commands) = mpsc::channel(COMMANDS);
    let (status, status_seen) = watch::channel(Status {
        state: State::Starting,
        generation: first_number,
        restarts: 0,
        started_at: SystemTime::now(),
        live_since: None,
        start_took: None,
        last_error: None,
        camera: camera.clone(),
    });
    let handle =
        StreamHandle { shared: Arc::clone(&shared), commands: send_command, status: status_seen };
    let (send_progress, progress) = watch::channel(Progress::default());
    let (end_packaging, packaging_ended) = oneshot::channel();
    let packaging = packager::run(
        packager,
        shared.hub.subscribe(),
        send_progress,
        packaging_ended,
        resources.counters.clone(),
    );
    let supervisor = Supervisor {
        shared,
        limits,
        launcher: Arc::clone(&resources.launcher),
        teller: EventReporter::new(resources.events.clone(), camera.id.clone()),
        commands,
        status,
        progress,
        tally: TransitionMetrics::new(resources.counters.clone(), &limits),
        packaging: thread.spawn(packaging.instrument(span.clone())),
        is_packager_lost: false,
        end_packaging,
        camera,
        state: State::Starting,
        next_generation: first_number,
        run: CurrentRun::None,
        slot: None,
        slot_until: Instant::now(),
        starts: resources.starts.clone(),
        waiting: Vec::new(),
        backoff: Backoff::default(),
        replans: 0,
        was_live: false,
        last_live_for: None,
        spawned_at: Instant::now(),
        start_deadline: Instant::now(),
        timer: Instant::now(),
    };
    let gone = handle.clone();
    thread.spawn(supervisor.run(move || on_gone(&gone)).instrument(span));
    handle
}

/// Numbers of generations and segments start from the clock, so that they grow over restarts of
/// the manager too. Both are used up more slowly than the clock gives them out, in the long run:
/// segments are a few a second until the second keyframe of a generation, and one a second at most
/// then. They fit into the 31 bits that some players read until 2041.
fn first_number() -> u64 {
    unix_now().saturating_sub(NUMBERS_SINCE) * NUMBERS_A_SECOND
}

struct Supervisor {
    shared: Arc<Shared>,
    limits: Limits,
    launcher: Arc<dyn Ingest>,
    tally: TransitionMetrics,
    teller: EventReporter,
    commands: mpsc::Receiver<Command>,
    status: watch::Sender<Status>,
    progress: watch::Receiver<Progress>,
    packaging: JoinHandle<()>,
    /// It has failed, and was heard of.
    is_packager_lost: bool,
    /// Dropped to end the packager.
    end_packaging: oneshot::Sender<()>,
    camera: Camera,
    state: State,
    next_generation: u64,
    run: CurrentRun,
    /// The right to start, for the first moments of a run.
    slot: Option<StartSlot>,
    slot_until: Instant,
    starts: StartQueue,
    /// Callers who want to know when the stream is playable. No more than there are connections.
    waiting: Vec<oneshot::Sender<StartAnswer>>,
    backoff: Backoff,
    /// Since the stream was last playable.
    replans: u32,
    was_live: bool,
    /// How long the last run that was live was so.
    last_live_for: Option<Duration>,
    /// When the current run of FFmpeg was begun.
    spawned_at: Instant,
    start_deadline: Instant,
    /// End of the back-off in Backoff, of the grace period in Stopping.
    timer: Instant,
}

impl Supervisor {
    async fn run(mut self, on_gone: impl FnOnce()) {
        self.spawn_generation(true, Priority::Asked, None);
        while self.state != State::Gone {
            if let Some(event) = self.next_event().await {
                self.handle(event);
            }
        }
        self.finish(on_gone).await;
    }

    /// Waits for something to happen. `None` when it does not concern the state.
    async fn next_event(&mut self) -> Option<Event> {
        let (time, timer) = self.next_timer();
        tokio::select! {
            command = self.commands.recv() => self.take(command?),
            step = self.run.step() => self.take_step(step),
            () = tokio::time::sleep_until(self.slot_until), if self.slot.is_some() => {
                self.slot = None;
                None
            }
            changed = self.progress.changed(), if !self.is_packager_lost => match changed {
                Ok(()) => self.take_progress(),
                Err(_) => Some(self.take_loss()),
            },
            () = tokio::time::sleep_until(time) => self.check_timer(timer),
        }
    }

    fn take(&mut self, command: Command) -> Option<Event> {
        match command {
            Command::Start(camera, answer) => {
                self.shared.last_access.touch();
                self.waiting.retain(|waiting| !waiting.is_closed());
                self.waiting.push(answer);
                let is_replaced = !camera.is_same_stream(&self.camera);
                self.camera = camera;
                Some(if is_replaced { Event::Replace } else { Event::Start })
            }
            Command::Stop => {
                self.refuse(&Error::new(ErrorKind::Stopped, "the stream was stopped meanwhile"));
                Some(self.end_because(StopReason::Stop))
            }
            Command::Idle => (!self.is_wanted()).then(|| self.end_because(StopReason::Idle)),
            Command::Shutdown => {
                self.refuse(&Error::shutting_down());
                Some(self.end_because(StopReason::Shutdown))
            }
        }
    }

    fn end_because(&mut self, reason: StopReason) -> Event {
        self.teller.ending(reason);
        Event::End
    }

    fn take_step(&mut self, step: Step) -> Option<Event> {
        match step {
            Step::QueuedSlot(slot) => self.take_turn(slot),
            Step::Ended(ending) => Some(self.take_ending(ending)),
        }
    }

    /// What waited in line was not for nothing only if somebody still wants it.
    fn take_turn(&mut self, slot: StartSlot) -> Option<Event> {
        let has_been_left =
            !self.waiting.is_empty() && self.waiting.iter().all(oneshot::Sender::is_closed);
        if !self.was_live && has_been_left {
            self.run = CurrentRun::Cancelled;
            return Some(self.end_because(StopReason::Idle));
        }
        // Time in line is no time of the camera's.
        self.start_deadline += self.spawned_at.elapsed();
        self.launch(slot);
        None
    }

    fn take_ending(&mut self, ending: RunOutcome) -> Event {
        self.run = CurrentRun::None;
        if matches!(self.state, State::Stopping(_)) {
            // It was told to leave: that it did tells nothing about the camera.
            return Event::Ended;
        }
        match ending {
            RunOutcome::Replan(_) if self.replans == MAX_REPLANS => {
                self.note_error(plan::exhausted());
                Event::EndedRefused
            }
            RunOutcome::Replan(plan) => {
                info!(?plan, "trying again with what was learned");
                self.replans += 1;
                self.camera.learned.set(plan);
                if self.state == State::Live {
                    let detail = "the camera has to be taken in another way from now on";
                    self.note_error(Error::new(ErrorKind::SourceChanged, detail));
                }
                Event::EndedReplan
            }
            RunOutcome::Refused(error) => {
                self.note_error(error);
                Event::EndedRefused
            }
            RunOutcome::Dropped(error) => {
                self.note_error(error);
                Event::Ended
            }
        }
    }

    fn take_progress(&mut self) -> Option<Event> {
        let progress = self.progress.borrow_and_update().clone();
        if let Some((_, error)) = progress.error {
            self.note_error(Error::new(
                ErrorKind::StorageUnavailable,
                format!("segments cannot be written: {error}"),
            ));
            return Some(Event::StorageFailed);
        }
        (progress.playable == Some(self.generation())).then_some(Event::Playable)
    }

    /// Without its packager the stream is of no use: it goes, so that the next start makes another.
    fn take_loss(&mut self) -> Event {
        self.is_packager_lost = true;
        let error = Error::new(ErrorKind::Internal, "segments are no longer written");
        error!(generation = self.generation(), "the packager failed");
        self.note_error(error.clone());
        self.refuse(&error);
        Event::End
    }

    /// The next moment to wake at, and the event that it then may be.
    fn next_timer(&self) -> (Instant, Event) {
        match self.state {
            State::Starting if self.run.line().is_some() => {
                (self.spawned_at + start_queue::PATIENCE, Event::StartTimedOut)
            }
            State::Starting => (self.start_deadline, Event::StartTimedOut),
            State::Live => {
                let last = self.shared.hub.last_progress().get();
                (last + self.limits.stale_timeout, Event::Stalled)
            }
            State::Backoff if !self.was_live && self.start_deadline < self.timer => {
                (self.start_deadline, Event::StartTimedOut)
            }
            State::Backoff | State::Stopping(_) => (self.timer, Event::TimedOut),
            // Until the reaper or a caller comes.
            State::Failed | State::Gone => {
                (Instant::now() + Duration::from_hours(1), Event::TimedOut)
            }
        }
    }

    fn check_timer(&mut self, timer: Event) -> Option<Event> {
        match timer {
            // Fragments have come while the timer ran.
            Event::Stalled if self.shared.hub.last_progress().age() < self.limits.stale_timeout => {
                None
            }
            Event::Stalled => {
                let seconds = self.limits.stale_timeout.as_secs_f64();
                let detail = format!("the camera sent no video for {seconds} s");
                self.note_error(Error::new(ErrorKind::SourceTimeout, detail));
                Some(timer)
            }
            // The attempts before have said what is wrong, which is not that others are tried too.
            Event::StartTimedOut
                if self.state == State::Backoff || self.run.line() == Some(Priority::Retry) =>
            {
                Some(timer)
            }
            Event::StartTimedOut if self.run.line() == Some(Priority::Asked) => {
                self.note_error(StartQueue::took_too_long());
                Some(timer)
            }
            Event::StartTimedOut => {
                let seconds = self.limits.start_timeout.as_secs_f64();
                let detail =
                    format!("the camera sent no video that can be played within {seconds} s");
                self.note_error(Error::new(ErrorKind::SourceTimeout, detail));
                Some(timer)
            }
            timer => Some(timer),
        }
    }

    fn handle(&mut self, event: Event) {
        let context = Context { was_live: self.was_live, is_wanted: self.is_wanted() };
        let (next, action) = state::next(self.state, event, context);
        if next != self.state || action != Action::None {
            debug!(generation = self.generation(), from = ?self.state, ?event, to = ?next, ?action, "transition");
        }
        let from = std::mem::replace(&mut self.state, next);
        if from == State::Live && next != State::Live {
            self.last_live_for = self.status.borrow().live_since.map(|since| since.elapsed());
        }
        let evidence = Evidence {
            stood_still: self.shared.hub.last_progress().age(),
            last_error: self.last_error().map(|error| error.kind),
        };
        self.tally.transition(from, event, action, evidence);
        if (from, event) == (State::Live, Event::Stalled) {
            self.teller.stalled(self.generation(), self.last_error());
        }
        self.show_state(from);
        self.act(action, from, event);
        if !matches!(self.run, CurrentRun::Child(_)) {
            self.slot = None;
        }
    }

    /// Before anybody is answered, who may look at once.
    fn show_state(&self, from: State) {
        let (state, camera) = (self.state, &self.camera);
        self.status.send_modify(|status| {
            status.state = state;
            status.camera.clone_from(camera);
            if state != State::Live {
                status.live_since = None;
                status.start_took = None;
            } else if from != State::Live {
                status.live_since = Some(Instant::now());
                status.start_took = Some(self.spawned_at.elapsed());
            }
        });
    }

    fn act(&mut self, action: Action, from: State, event: Event) {
        match action {
            Action::None => {}
            Action::Spawn => {
                let is_asked_for = matches!(event, Event::Start | Event::Replace);
                let is_replaced = from == State::Stopping(After::Replace);
                if is_asked_for || is_replaced {
                    self.replans = 0;
                }
                let is_restart = from == State::Backoff && event != Event::Replace;
                let slot = match event {
                    Event::EndedReplan => {
                        self.slot.take().or(Some(StartSlot::of_a_further_attempt()))
                    }
                    _ => None,
                };
                let is_retry = is_restart && !is_asked_for;
                let line = if is_retry { Priority::Retry } else { Priority::Asked };
                self.spawn_generation(self.was_live || is_asked_for || is_replaced, line, slot);
                self.status.send_modify(|status| status.restarts += u64::from(is_restart));
            }
            Action::Delay => self.delay(event),
            Action::Announce => self.announce(from),
            Action::Refuse => self.refuse_with_last_error(),
            Action::Terminate => self.terminate(),
            Action::TerminateAndRefuse => {
                self.refuse_with_last_error();
                self.terminate();
            }
            Action::Kill => {
                warn!(generation = self.generation(), "FFmpeg does not leave: killed");
                self.signal(Signal::SIGKILL);
                self.timer = Instant::now() + self.limits.stop_grace;
            }
        }
    }

    /// Starts the next run of FFmpeg, in the `slot` of the attempt before or after its turn in
    /// `line`. The time to become playable counts from here when `is_new_start`, else it goes on
    /// from the attempt before.
    fn spawn_generation(&mut self, is_new_start: bool, line: Priority, slot: Option<StartSlot>) {
        let generation = self.next_generation;
        self.next_generation += 1;
        self.spawned_at = Instant::now();
        if is_new_start {
            self.start_deadline = self.spawned_at + self.limits.start_timeout;
        }
        self.status.send_modify(|status| status.generation = generation);
        match slot.or_else(|| self.starts.try_slot(line)) {
            Some(slot) => self.launch(slot),
            None => self.run = CurrentRun::Queued(line, self.starts.turn(line)),
        }
    }

    fn launch(&mut self, slot: StartSlot) {
        self.spawned_at = Instant::now();
        self.slot = Some(slot);
        self.slot_until = self.spawned_at + start_queue::HELD;
        let generation = self.generation();
        self.teller.launched(generation);
        let order = IngestRequest {
            source: self.camera.source.clone(),
            plan: self.camera.learned.get(),
            options: self.camera.options,
            onvif: self.camera.onvif.clone(),
            generation,
            hub: self.shared.hub.clone(),
            journal: Arc::clone(&self.shared.journal),
        };
        let ingest = info_span!("ingest", generation).in_scope(|| self.launcher.launch(order));
        self.run = CurrentRun::Child(ingest);
    }

    fn delay(&mut self, event: Event) {
        let live_for = self.last_live_for.take();
        let last_error = self.last_error();
        let is_permanent = last_error.as_ref().is_some_and(|error| error.kind.is_permanent());
        let delay = self.backoff.next(live_for, is_permanent);
        self.timer = Instant::now() + delay;
        let cause = last_error.as_ref().map(|error| error.detail.as_str()).unwrap_or_default();
        warn!(generation = self.generation(), cause, retry_in = ?delay, "interrupted");
        self.teller.interrupted(self.generation(), last_error.clone());
        if let (Event::EndedRefused, Some(error)) = (event, &last_error) {
            self.refuse(error);
        }
    }

    fn announce(&mut self, from: State) {
        // Whoever waited now goes to fetch the playlist.
        self.shared.last_access.touch();
        let joined = if from == State::Live { Joined::Active } else { Joined::Started };
        if from == State::Starting {
            self.slot = None;
            self.was_live = true;
            self.replans = 0;
            let took = self.spawned_at.elapsed();
            info!(generation = self.generation(), waiting = self.waiting.len(), ?took, "live");
            self.teller.live(self.generation());
        }
        for waiting in self.waiting.drain(..) {
            // A caller who has left needs no answer.
            let _ = waiting.send(Ok(joined));
        }
    }

    fn refuse_with_last_error(&mut self) {
        let error = self.last_error().unwrap_or_else(|| {
            Error::new(ErrorKind::Internal, "the stream failed, and nobody noted why")
        });
        warn!(generation = self.generation(), code = ?error.kind, cause = error.detail, "failed");
        self.refuse(&error);
        if self.state != State::Stopping(After::Retry) {
            self.teller.failed(self.generation(), error);
        }
    }

    fn refuse(&mut self, error: &Error) {
        for waiting in self.waiting.drain(..) {
            let _ = waiting.send(Err(error.clone()));
        }
    }

    fn terminate(&mut self) {
        self.timer = Instant::now() + self.limits.stop_grace;
        if self.run.line().is_some() {
            self.run = CurrentRun::Cancelled;
        }
        self.signal(Signal::SIGTERM);
    }

    fn signal(&self, signal: Signal) {
        if let CurrentRun::Child(ingest) = &self.run {
            // Full or closed: signals are on their way already, or the child has gone.
            let _ = ingest.signals.try_send(signal);
        }
    }

    fn note_error(&self, error: Error) {
        self.status.send_modify(|status| status.last_error = Some((error, Instant::now())));
    }

    fn last_error(&self) -> Option<Error> {
        self.status.borrow().last_error.as_ref().map(|(error, _)| error.clone())
    }

    fn generation(&self) -> u64 {
        self.status.borrow().generation
    }

    /// Whether somebody watches or waits.
    fn is_wanted(&self) -> bool {
        self.shared.last_access.age() < self.limits.idle_timeout
            || self.waiting.iter().any(|waiting| !waiting.is_closed())
    }

    /// The child has gone; now the packager and the directory, and only then the name, so that
    /// no other stream of this camera can meet them. Callers who wait see their channels close
    /// after that.
    async fn finish(mut self, on_gone: impl FnOnce()) {
        let (generation, last_error) = (self.generation(), self.last_error());
        drop(self.end_packaging);
        match timeout(PACKAGER_ENDS_WITHIN, self.packaging).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!(%error, "the packager failed"),
            Err(_) => error!("STREAM_DIR hangs: the stream's files are left"),
        }
        let last_segment =
            self.shared.playlist.borrow().as_ref().map(|now| now.position().sequence);
        self.camera.numbers.used(self.next_generation.max(last_segment.unwrap_or_default()));
        self.shared.tell_who_watched(self.shared.viewers.forget_all());
        info!("gone");
        self.teller.stopped(generation, last_error);
        on_gone();
    }
}

/// The current run of FFmpeg. To the state table one that waits for its turn is a child like any
/// other: it is begun, and ends before the next one begins.
enum CurrentRun {
    /// There is none.
    None,
    /// Its turn has not come.
    Queued(Priority, QueuedSlot),
    /// It was called off before its turn came.
    Cancelled,
    /// It runs.
    Child(RunningIngest),
}

/// What happens to a run by itself.
enum Step {
    /// Its turn has come.
    QueuedSlot(StartSlot),
    /// It has ended.
    Ended(RunOutcome),
}

impl CurrentRun {
    /// The line that it stands in.
    fn line(&self) -> Option<Priority> {
        match self {
            Self::Queued(line, _) => Some(*line),
            _ => None,
        }
    }

    /// Waits for what comes next. May be called off and called again.
    async fn step(&mut self) -> Step {
        let lost = |detail| RunOutcome::Dropped(Error::new(ErrorKind::Internal, detail));
        match self {
            Self::None => std::future::pending().await,
            Self::Queued(_, turn) => Step::QueuedSlot(turn.await),
            Self::Cancelled => Step::Ended(lost("it was called off before its turn came")),
            Self::Child(ingest) => {
                let ending = (&mut ingest.ended).await;
                Step::Ended(ending.unwrap_or_else(|_| lost("the ingest was lost")))
            }
        }
    }
}

#[cfg(test)]
mod tests;
