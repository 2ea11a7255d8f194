//! What did not arrive, in the log: at once when it begins, then in sums, so that a receiver that is
//! away for an hour makes a line now and then and no flood.

use std::time::Duration;

use tokio::time::Instant;
use tracing::{debug, warn};

/// Lines are at least so far apart.
pub const INTERVAL: Duration = Duration::from_secs(30);

/// Something that a receiver's operator should know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// An attempt failed; the event is tried again.
    Attempt,
    /// The receiver refused the event, which is dropped.
    Refused,
    /// The event was tried for as long as events are, and is dropped.
    GivenUp,
    /// There was no room for the event, which is dropped.
    NoRoom,
}

/// Counts troubles until they are said.
#[derive(Debug, Default)]
pub struct Report {
    failed_attempts: u64,
    refused: u64,
    given_up: u64,
    no_room: u64,
    cause: String,
    last_said: Option<Instant>,
}

impl Report {
    /// Notes `count` times the same trouble, and says so unless something was said just now.
    pub fn note(&mut self, trouble: Trouble, count: u64, cause: &str) {
        if count == 0 {
            return;
        }
        debug!(?trouble, count, cause, "webhook not delivered");
        let counter = match trouble {
            Trouble::Attempt => &mut self.failed_attempts,
            Trouble::Refused => &mut self.refused,
            Trouble::GivenUp => &mut self.given_up,
            Trouble::NoRoom => &mut self.no_room,
        };
        *counter += count;
        cause.clone_into(&mut self.cause);
        if self.last_said.is_none_or(|said| said.elapsed() >= INTERVAL) {
            self.say();
        }
    }

    /// Says what was noted since the last line, if that is long enough ago.
    pub fn say_if_due(&mut self) {
        if self.last_said.is_some_and(|said| said.elapsed() >= INTERVAL) {
            self.say_rest();
        }
    }

    /// Says what was noted since the last line.
    pub fn say_rest(&mut self) {
        if self.failed_attempts + self.refused + self.given_up + self.no_room > 0 {
            self.say();
        }
    }

    fn say(&mut self) {
        let Self { failed_attempts, refused, given_up, no_room, .. } = *self;
        let (cause, dropped) = (&self.cause, refused + given_up + no_room);
        warn!(
            cause,
            failed_attempts, dropped, refused, given_up, no_room, "webhooks are not delivered"
        );
        *self = Self { last_said: Some(Instant::now()), ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_is_said_at_once_and_the_next_in_sums() {
        let mut report = Report::default();
        report.note(Trouble::Attempt, 1, "refused");
        assert_eq!(report.failed_attempts, 0, "not said at once");
        for _ in 0..1000 {
            report.note(Trouble::Attempt, 1, "refused");
        }
        report.say_if_due();
        assert_eq!(report.failed_attempts, 1000, "a flood");
        tokio::time::advance(INTERVAL).await;
        report.say_if_due();
        assert_eq!(report.failed_attempts, 0);
        report.note(Trouble::NoRoom, 2, "full");
        assert_eq!(report.no_room, 2);
        report.say_rest();
        assert_eq!(report.no_room, 0);
    }
}
