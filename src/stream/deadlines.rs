//! The times at which a stream has to act if nothing else happens before.

use std::time::Duration;

use tokio::time::Instant;

use super::limits::Limits;
use super::start_queue::{self, Priority, StartQueue};
use super::state::{Event, State};
use crate::base::error::{Error, ErrorKind};

/// A stream that waits for nothing but commands wakes up as rarely as this.
const NEVER: Duration = Duration::from_hours(1);

/// The deadlines of one stream.
#[derive(Debug)]
pub(super) struct Deadlines {
    limits: Limits,
    /// When the current run began: when it was queued and, from then on, when its ingest started.
    began_at: Instant,
    /// When the start must be playable.
    start: Instant,
    /// When the start slot is given back.
    slot: Instant,
    /// End of the back-off in `Backoff`, of the grace period in `Stopping`.
    timer: Instant,
}

/// What a deadline depends on besides the time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Situation {
    pub(super) state: State,
    /// The queue in which the current run waits.
    pub(super) queued_as: Option<Priority>,
    /// An epoch was live since the last start from nothing.
    pub(super) was_live: bool,
    /// When the picture last advanced.
    pub(super) last_progress: Instant,
}

impl Deadlines {
    pub(super) fn new(limits: Limits) -> Self {
        let now = Instant::now();
        Self { limits, began_at: now, start: now, slot: now, timer: now }
    }

    /// Begins a run. The time to become playable counts from here when `is_new_start`; otherwise
    /// it continues from the attempt before.
    pub(super) fn begin(&mut self, is_new_start: bool) {
        self.began_at = Instant::now();
        if is_new_start {
            self.start = self.began_at + self.limits.start_timeout;
        }
    }

    /// The run's turn has come: the camera is not charged for the time in the queue.
    pub(super) fn leave_queue(&mut self) {
        self.start += self.began_at.elapsed();
    }

    /// The run's ingest starts.
    pub(super) fn launch(&mut self) {
        self.began_at = Instant::now();
        self.slot = self.began_at + start_queue::HELD;
    }

    /// Returns the time since the current run began.
    pub(super) fn running_for(&self) -> Duration {
        self.began_at.elapsed()
    }

    /// Returns when the start slot is given back.
    pub(super) fn slot(&self) -> Instant {
        self.slot
    }

    /// Sets the timer to the end of the back-off.
    pub(super) fn retry_in(&mut self, delay: Duration) {
        self.timer = Instant::now() + delay;
    }

    /// Sets the timer to the end of the grace period.
    pub(super) fn begin_grace(&mut self) {
        self.timer = Instant::now() + self.limits.stop_grace;
    }

    /// Returns the next deadline, and the event that it is about.
    pub(super) fn next(&self, now: Situation) -> (Instant, Event) {
        match now.state {
            State::Starting if now.queued_as.is_some() => {
                (self.began_at + start_queue::PATIENCE, Event::StartTimedOut)
            }
            State::Starting => (self.start, Event::StartTimedOut),
            State::Live => (now.last_progress + self.limits.stale_timeout, Event::Stalled),
            State::Backoff if !now.was_live && self.start < self.timer => {
                (self.start, Event::StartTimedOut)
            }
            State::Backoff | State::Stopping(_) => (self.timer, Event::TimedOut),
            State::Failed | State::Gone => (Instant::now() + NEVER, Event::TimedOut),
        }
    }

    /// Returns whether the deadline of `event` has really passed: the picture can have advanced
    /// while the timer ran.
    pub(super) fn has_passed(&self, event: Event, now: Situation) -> bool {
        event != Event::Stalled || now.last_progress.elapsed() >= self.limits.stale_timeout
    }

    /// Returns what went wrong when the deadline of `event` has passed, unless earlier attempts
    /// have already reported the cause.
    pub(super) fn error(&self, event: Event, now: Situation) -> Option<Error> {
        let timeout = |detail| Some(Error::new(ErrorKind::SourceTimeout, detail));
        match (event, now.queued_as) {
            (Event::Stalled, _) => {
                let seconds = self.limits.stale_timeout.as_secs_f64();
                timeout(format!("the camera sent no video for {seconds} s"))
            }
            (Event::StartTimedOut, Some(Priority::Asked)) => Some(StartQueue::took_too_long()),
            (Event::StartTimedOut, None) if now.state != State::Backoff => {
                let seconds = self.limits.start_timeout.as_secs_f64();
                timeout(format!("the camera sent no playable video within {seconds} s"))
            }
            _ => None,
        }
    }
}
