//! The current run of a stream's ingest.

use nix::sys::signal::Signal;

use super::start_queue::{Priority, QueuedSlot, StartSlot};
use crate::base::error::{Error, ErrorKind};
use crate::ingest::{RunOutcome, RunningIngest};

/// The current run of the ingest. To the state table a run that waits for its turn is a child like
/// any other: it has begun, and ends before the next one begins.
pub(super) enum CurrentRun {
    /// No run.
    None,
    /// Its turn has not come.
    Queued(Priority, QueuedSlot),
    /// It was cancelled before its turn came.
    Cancelled,
    /// Its turn has come; it starts within the same transition.
    Granted(StartSlot),
    /// The ingest runs.
    Child(RunningIngest),
}

/// What happens to a run without a command.
pub(super) enum Step {
    /// Its turn has come.
    SlotGranted(StartSlot),
    /// It has ended.
    Ended(RunOutcome),
}

impl CurrentRun {
    /// Returns the queue that the run waits in.
    pub(super) fn queued_as(&self) -> Option<Priority> {
        match self {
            Self::Queued(priority, _) => Some(*priority),
            _ => None,
        }
    }

    /// Takes the run, and leaves none.
    pub(super) fn take(&mut self) -> Self {
        std::mem::replace(self, Self::None)
    }

    /// Takes a run that has not started out of the queue.
    pub(super) fn cancel(&mut self) {
        if matches!(self, Self::Queued(..) | Self::Granted(_)) {
            *self = Self::Cancelled;
        }
    }

    /// Signals the child, if there is one.
    pub(super) fn signal(&self, signal: Signal) {
        if let Self::Child(ingest) = self {
            // Full or closed: signals are on their way, or the child has ended.
            let _ = ingest.signals.try_send(signal);
        }
    }

    /// Waits for the next step. Can be dropped and called again without losing a step.
    pub(super) async fn step(&mut self) -> Step {
        let dropped = |detail| RunOutcome::Dropped(Error::new(ErrorKind::Internal, detail));
        match self {
            Self::None | Self::Granted(_) => std::future::pending().await,
            Self::Queued(_, turn) => Step::SlotGranted(turn.await),
            Self::Cancelled => Step::Ended(dropped("the start was cancelled while it was queued")),
            Self::Child(ingest) => {
                let outcome = (&mut ingest.ended).await;
                Step::Ended(outcome.unwrap_or_else(|_| dropped("the ingest failed unexpectedly")))
            }
        }
    }
}
