//! Log lines about undelivered events. The first problem with each cause is logged at once, for the first
//! [`MAX_CAUSES`] causes. All other problems are counted, and logged together at intervals, so that a receiver that
//! is unreachable for an hour does not flood the log.

use std::time::Duration;

use tokio::time::Instant;
use tracing::{debug, warn};

/// The shortest time between two log lines, except at shutdown and for a new cause.
pub(crate) const INTERVAL: Duration = Duration::from_secs(30);
/// The largest number of causes that are remembered. Problems with further causes are counted in the next line, which
/// does not name these causes.
const MAX_CAUSES: usize = 8;

/// A problem with the delivery of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Problem {
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
#[derive(Debug)]
pub(crate) struct Report {
    /// The receivers of the events, for the log.
    receivers: &'static str,
    failed_attempts: u64,
    refused: u64,
    given_up: u64,
    queue_full: u64,
    /// The causes of the problems since the last line.
    causes: Vec<String>,
    /// The causes that have been logged at once.
    known: Vec<String>,
    last_logged: Option<Instant>,
}

impl Report {
    /// Creates a report of problems with the delivery of events to `receivers`.
    pub(crate) fn new(receivers: &'static str) -> Self {
        Self {
            receivers,
            failed_attempts: 0,
            refused: 0,
            given_up: 0,
            queue_full: 0,
            causes: Vec::new(),
            known: Vec::new(),
            last_logged: None,
        }
    }

    /// Counts `count` problems of the same kind. Logs them at once if the cause is new, or if the last line was
    /// logged at least [`INTERVAL`] ago.
    pub(crate) fn note(&mut self, problem: Problem, count: u64, cause: &str) {
        if count == 0 {
            return;
        }
        debug!(?problem, count, cause, "event not delivered");
        let counter = match problem {
            Problem::FailedAttempt => &mut self.failed_attempts,
            Problem::Refused => &mut self.refused,
            Problem::GivenUp => &mut self.given_up,
            Problem::QueueFull => &mut self.queue_full,
        };
        *counter += count;
        add(&mut self.causes, cause);
        let is_new = add(&mut self.known, cause);
        if is_new || self.last_logged.is_none_or(|logged| logged.elapsed() >= INTERVAL) {
            self.log();
        }
    }

    /// Logs the problems since the last line, if that line is at least [`INTERVAL`] old.
    pub(crate) fn log_if_due(&mut self) {
        if self.last_logged.is_some_and(|logged| logged.elapsed() >= INTERVAL) {
            self.log_remainder();
        }
    }

    /// Logs the problems since the last line, if there are any.
    pub(crate) fn log_remainder(&mut self) {
        if self.failed_attempts + self.refused + self.given_up + self.queue_full > 0 {
            self.log();
        }
    }

    fn log(&mut self) {
        let Self { receivers, failed_attempts, refused, given_up, queue_full, .. } = *self;
        let (cause, dropped) = (self.causes.join("; "), refused + given_up + queue_full);
        warn!(
            cause,
            failed_attempts,
            dropped,
            refused,
            given_up,
            queue_full,
            "problems with the delivery of events to {receivers}"
        );
        let known = std::mem::take(&mut self.known);
        *self = Self { known, last_logged: Some(Instant::now()), ..Self::new(receivers) };
    }
}

/// Adds a cause unless `causes` contains it or is full. Returns whether the cause was added.
fn add(causes: &mut Vec<String>, cause: &str) -> bool {
    let is_added = causes.len() < MAX_CAUSES && !causes.iter().any(|known| known == cause);
    if is_added {
        causes.push(cause.to_owned());
    }
    is_added
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_problem_is_logged_at_once_and_later_ones_are_counted_and_logged_together() {
        let mut report = Report::new("a receiver");
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
        report.note(Problem::QueueFull, 2, "refused");
        assert_eq!(report.queue_full, 2);
        report.log_remainder();
        assert_eq!(report.queue_full, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_cause_is_logged_at_once_and_all_causes_are_named() {
        let mut report = Report::new("a receiver");
        for cause in ["301", "403", "419"] {
            report.note(Problem::Refused, 1, cause);
            assert_eq!(report.refused, 0, "{cause} was not logged at once");
        }
        for cause in ["403", "301", "403"] {
            report.note(Problem::Refused, 1, cause);
        }
        assert_eq!((report.refused, report.causes.join("; ")), (3, "403; 301".to_owned()));
        for number in 0..1000 {
            report.note(Problem::Refused, 1, &number.to_string());
        }
        assert_eq!((report.known.len(), report.causes.len()), (MAX_CAUSES, MAX_CAUSES));
        assert!(report.refused > 900, "the number of lines is not limited");
    }
}
