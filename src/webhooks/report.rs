//! Log lines about undelivered events. The first problem is logged at once. Further problems are
//! counted and logged at intervals, so that a receiver that is unreachable for an hour does not flood the log.

use std::time::Duration;

use tokio::time::Instant;
use tracing::{debug, warn};

/// The shortest time between two log lines, except at shutdown.
pub(super) const INTERVAL: Duration = Duration::from_secs(30);

/// A problem with the delivery of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Problem {
    /// An attempt failed. The event is sent again.
    FailedAttempt,
    /// The receiver refused the event. The event is dropped.
    Refused,
    /// The event has used up its attempts or its time. The event is dropped.
    GivenUp,
    /// The queue was full. The event is dropped.
    QueueFull,
}

/// Counts problems until they are logged.
#[derive(Debug, Default)]
pub(super) struct Report {
    failed_attempts: u64,
    refused: u64,
    given_up: u64,
    queue_full: u64,
    /// The cause of the last problem.
    cause: String,
    last_logged: Option<Instant>,
}

impl Report {
    /// Counts `count` problems of the same kind. Logs them at once unless the last line was logged
    /// less than [`INTERVAL`] ago.
    pub(super) fn note(&mut self, problem: Problem, count: u64, cause: &str) {
        if count == 0 {
            return;
        }
        debug!(?problem, count, cause, "webhook not delivered");
        let counter = match problem {
            Problem::FailedAttempt => &mut self.failed_attempts,
            Problem::Refused => &mut self.refused,
            Problem::GivenUp => &mut self.given_up,
            Problem::QueueFull => &mut self.queue_full,
        };
        *counter += count;
        cause.clone_into(&mut self.cause);
        if self.last_logged.is_none_or(|logged| logged.elapsed() >= INTERVAL) {
            self.log();
        }
    }

    /// Logs the problems since the last line, if that line is at least [`INTERVAL`] old.
    pub(super) fn log_if_due(&mut self) {
        if self.last_logged.is_some_and(|logged| logged.elapsed() >= INTERVAL) {
            self.log_remainder();
        }
    }

    /// Logs the problems since the last line, if there are any.
    pub(super) fn log_remainder(&mut self) {
        if self.failed_attempts + self.refused + self.given_up + self.queue_full > 0 {
            self.log();
        }
    }

    fn log(&mut self) {
        let Self { failed_attempts, refused, given_up, queue_full, .. } = *self;
        let (cause, dropped) = (&self.cause, refused + given_up + queue_full);
        warn!(
            cause,
            failed_attempts,
            dropped,
            refused,
            given_up,
            queue_full,
            "problems with the delivery of events to WEBHOOK_URL"
        );
        *self = Self { last_logged: Some(Instant::now()), ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_problem_is_logged_at_once_and_the_next_ones_in_sums() {
        let mut report = Report::default();
        report.note(Problem::FailedAttempt, 1, "refused");
        assert_eq!(report.failed_attempts, 0, "the first problem was not logged at once");
        for _ in 0..1000 {
            report.note(Problem::FailedAttempt, 1, "refused");
        }
        report.log_if_due();
        assert_eq!(report.failed_attempts, 1000, "logged before the interval has passed");
        tokio::time::advance(INTERVAL).await;
        report.log_if_due();
        assert_eq!(report.failed_attempts, 0);
        report.note(Problem::QueueFull, 2, "full");
        assert_eq!(report.queue_full, 2);
        report.log_remainder();
        assert_eq!(report.queue_full, 0);
    }
}
