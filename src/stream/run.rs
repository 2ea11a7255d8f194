//! The current run of a stream's ingest.

use super::start_queue::{Priority, QueuedSlot, StartQueue, StartSlot};
use crate::base::error::{Error, ErrorKind};
use crate::ingest::{RunOutcome, RunningIngest};

/// The current run of the ingest. The state table treats a queued run like a run whose child is running. Both
/// have begun, and must end before the next run begins.
pub(super) enum CurrentRun {
    /// There is no run.
    None,
    /// The run waits for a start slot.
    Queued(Priority, QueuedSlot),
    /// The run was cancelled before its ingest started.
    Cancelled,
    /// The run has its start slot. Its ingest starts within the same transition.
    Granted(StartSlot),
    /// The run's ingest has started.
    Child(RunningIngest),
}

/// A change of a run that no command causes.
pub(super) enum Step {
    /// The run has been granted a start slot.
    SlotGranted(StartSlot),
    /// The run has ended.
    Ended(RunOutcome),
}

impl CurrentRun {
    /// Returns the queue in which the run waits; `None` if it does not wait.
    pub(super) fn queued_as(&self) -> Option<Priority> {
        match self {
            Self::Queued(priority, _) => Some(*priority),
            _ => None,
        }
    }

    /// Takes the run out, and leaves [`CurrentRun::None`].
    pub(super) fn take(&mut self) -> Self {
        std::mem::replace(self, Self::None)
    }

    /// Moves the run to the queue of requested starts if it waits in the queue of low priority. Returns
    /// whether the run was moved.
    pub(super) fn promote(&mut self, starts: &StartQueue) -> bool {
        let is_low = self.queued_as() == Some(Priority::Low);
        if is_low {
            *self = Self::Queued(Priority::Requested, starts.enqueue(Priority::Requested));
        }
        is_low
    }

    /// Cancels the run if its ingest has not started.
    pub(super) fn cancel(&mut self) {
        if matches!(self, Self::Queued(..) | Self::Granted(_)) {
            *self = Self::Cancelled;
        }
    }

    /// Requests that the ingest ends gently, if it has started.
    pub(super) fn stop_gently(&self) {
        if let Self::Child(ingest) = self {
            ingest.stop_gently();
        }
    }

    /// Requests that the ingest ends at once, if it has started.
    pub(super) fn stop_now(&self) {
        if let Self::Child(ingest) = self {
            ingest.stop_now();
        }
    }

    /// Waits for the next step. Dropping the future loses no step.
    pub(super) async fn step(&mut self) -> Step {
        match self {
            Self::None | Self::Granted(_) => std::future::pending().await,
            Self::Queued(_, slot) => Step::SlotGranted(slot.await),
            Self::Cancelled => {
                let detail = "the start was cancelled while it was queued";
                Step::Ended(RunOutcome::Dropped(Error::new(ErrorKind::Internal, detail)))
            }
            Self::Child(ingest) => Step::Ended(ingest.outcome().await),
        }
    }
}
