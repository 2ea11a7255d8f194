//! The times at which a stream has to act unless something else happens first.

use std::time::Duration;

use tokio::time::Instant;

use super::limits::Limits;
use super::start_queue::{self, Priority, StartQueue};
use super::state::{Event, State};
use crate::base::error::{Error, ErrorKind};

/// The longest sleep of a stream that waits only for commands.
const NEVER: Duration = Duration::from_hours(1);

/// A live stream is stale only after a pause that is at least this many times as long as the usual distance between
/// two frames, even if this pause is longer than `stale_timeout`.
const MISSED_FRAMES: u32 = 3;

/// The longest pause that [`MISSED_FRAMES`] can allow.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// A start is extended only if the camera has sent at most this number of frames. HLS is playable with fewer
/// frames, so a camera that has sent more gets no more time.
const FEW_FRAMES: u64 = 8;

/// If the manager notices the end of `stale_timeout` with more than this delay, the manager was suspended, for
/// example with SIGSTOP, or the machine slept. The frames that arrived in the meantime have not been read yet.
const WAS_SUSPENDED: Duration = Duration::from_millis(200);

/// The deadlines of one stream.
#[derive(Debug)]
pub(super) struct Deadlines {
    limits: Limits,
    /// The time at which the current run was queued, or at which its ingest started if it has started.
    began_at: Instant,
    /// The time at which the start times out.
    start: Instant,
    /// The time at which the start slot is released.
    slot: Instant,
    /// The end of the back-off in `Backoff`, and of the grace period in `Stopping`.
    timer: Instant,
    /// The time at which the manager continued after it had been suspended. For a picture that has not advanced
    /// since then, `stale_timeout` begins at this time.
    continued_at: Instant,
    /// True if the current run had frames, but no keyframe, when the start last timed out.
    is_keyframe_late: bool,
}

/// The facts about a stream that its deadlines depend on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Situation {
    pub(super) state: State,
    /// The queue in which the current run waits; `None` if it does not wait.
    pub(super) queued_as: Option<Priority>,
    /// True if a failed start is retried.
    pub(super) is_retried: bool,
    /// True if the stream is kept.
    pub(super) is_kept: bool,
    /// The time at which the picture last advanced.
    pub(super) last_progress: Instant,
    /// The time at which the last frame of the current run arrived; `None` before the first frame, and after the
    /// first keyframe.
    pub(super) last_leading_frame: Option<Instant>,
    /// The number of frames of the current run since its first keyframe, and the time at which the last frame
    /// arrived; `None` before the first keyframe.
    pub(super) frames: Option<(u64, Instant)>,
    /// The usual distance between two frames; zero before the first frame.
    pub(super) frame_distance: Duration,
}

impl Deadlines {
    pub(super) fn new(limits: Limits) -> Self {
        let now = Instant::now();
        Self {
            limits,
            began_at: now,
            start: now,
            slot: now,
            timer: now,
            continued_at: now,
            is_keyframe_late: false,
        }
    }

    /// Notes that a run begins. If `is_new_start`, the time limit for becoming playable starts now;
    /// otherwise the limit of the previous attempt continues to apply.
    pub(super) fn begin(&mut self, is_new_start: bool) {
        self.began_at = Instant::now();
        self.is_keyframe_late = false;
        if is_new_start {
            self.start = self.began_at + self.limits.start_timeout;
        }
    }

    /// Notes that the run has its start slot. The time in the queue does not count towards the limit.
    pub(super) fn leave_queue(&mut self) {
        self.start += self.began_at.elapsed();
    }

    /// Notes that the run's ingest starts.
    pub(super) fn launch(&mut self) {
        self.began_at = Instant::now();
        self.slot = self.began_at + start_queue::MAX_HELD;
    }

    /// Returns the time since the current run was queued, or since its ingest started.
    pub(super) fn running_for(&self) -> Duration {
        self.began_at.elapsed()
    }

    /// Returns the time at which the start slot is released.
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

    /// Returns the next deadline, and the event that happens when it passes.
    pub(super) fn next(&self, now: Situation) -> (Instant, Event) {
        match now.state {
            // No caller waits for this start, so it can wait for its slot without a limit.
            State::Starting if now.is_kept && now.queued_as == Some(Priority::Low) => {
                (Instant::now() + NEVER, Event::TimedOut)
            }
            State::Starting if now.queued_as.is_some() => {
                (self.began_at + start_queue::MAX_WAIT, Event::StartTimedOut)
            }
            State::Starting => (self.start, Event::StartTimedOut),
            State::Live => (self.stale_at(now), Event::Stalled),
            State::Backoff if !now.is_retried && self.start < self.timer => {
                (self.start, Event::StartTimedOut)
            }
            State::Backoff | State::Stopping(_) => (self.timer, Event::TimedOut),
            State::Failed | State::Gone => (Instant::now() + NEVER, Event::TimedOut),
        }
    }

    /// Returns the event of a deadline that has passed. Returns `None` if the situation has changed while
    /// the timer ran: the picture has advanced, or a late keyframe has arrived. Also returns `None` if the
    /// manager was suspended while the timer ran, because the camera may have sent frames in that time.
    pub(super) fn pass(&mut self, due: Event, now: Situation) -> Option<Event> {
        match due {
            Event::Stalled => {
                let stale_at = self.stale_at(now);
                let was_suspended = stale_at.elapsed() > WAS_SUSPENDED;
                if was_suspended {
                    self.continued_at = Instant::now();
                }
                (!was_suspended && stale_at <= Instant::now()).then_some(due)
            }
            Event::StartTimedOut if now.state == State::Starting && now.queued_as.is_none() => {
                self.time_out_start(now)
            }
            _ => Some(due),
        }
    }

    /// Returns the time at which a live stream is stale if its picture does not advance until then.
    fn stale_at(&self, now: Situation) -> Instant {
        now.last_progress.max(self.continued_at) + self.stale_timeout(now)
    }

    /// Returns the time after which a picture that does not advance is stale.
    fn stale_timeout(&self, now: Situation) -> Duration {
        let pause = now.frame_distance.saturating_mul(MISSED_FRAMES).min(LONGEST_PAUSE);
        self.limits.stale_timeout.max(pause)
    }

    /// Returns the event of a start that has timed out. If the camera sends frames but no keyframe, the start gets
    /// another `start_timeout`, and the event is [`Event::KeyframeLate`]. If the keyframe has arrived since the last
    /// extension, or the camera has sent only a few frames so far, the start also gets another `start_timeout`, so
    /// that the stream can become playable. In this case, returns `None`.
    fn time_out_start(&mut self, now: Situation) -> Option<Event> {
        let (was_late, stale_timeout) = (self.is_keyframe_late, self.limits.stale_timeout);
        self.is_keyframe_late =
            now.last_leading_frame.is_some_and(|at| at.elapsed() < stale_timeout);
        let has_keyframe = was_late && now.last_leading_frame.is_none();
        let is_slow = now.frames.is_some_and(|(count, last)| {
            count <= FEW_FRAMES && last.elapsed() < self.stale_timeout(now)
        });
        if self.is_keyframe_late || has_keyframe || is_slow {
            self.start = Instant::now() + self.limits.start_timeout;
        }
        match (self.is_keyframe_late, has_keyframe || is_slow) {
            (true, _) => Some(Event::KeyframeLate),
            (_, true) => None,
            _ => Some(Event::StartTimedOut),
        }
    }

    /// Returns the error of a deadline that has passed. Returns `None` if the deadline is not an error,
    /// or if earlier attempts have already reported the cause.
    pub(super) fn error(&self, event: Event, now: Situation) -> Option<Error> {
        let timeout = |detail| Some(Error::new(ErrorKind::SourceTimeout, detail));
        match (event, now.queued_as) {
            (Event::Stalled, _) => {
                let seconds = (self.stale_timeout(now).as_secs_f64() * 10.0).round() / 10.0;
                timeout(format!("the camera's picture did not advance for {seconds} s"))
            }
            (Event::KeyframeLate, _) => {
                let detail = "the camera sends video, but has not sent a keyframe yet; the stream \
                              starts with the next one. Set a shorter keyframe interval at the \
                              camera, such as 2 seconds";
                Some(Error::new(ErrorKind::AwaitingKeyframe, detail))
            }
            (Event::StartTimedOut, Some(Priority::Requested)) => Some(StartQueue::took_too_long()),
            (Event::StartTimedOut, None) if now.state != State::Backoff => {
                let seconds = self.limits.start_timeout.as_secs_f64();
                timeout(format!("the camera sent no playable video within {seconds} s"))
            }
            _ => None,
        }
    }
}
