//! The delays before a stream starts its ingest, or the transcoder of its rendition, again.

use std::time::Duration;

use crate::base::backoff::{Exponential, jittered};

/// The delays before retries.
const DELAYS: Exponential =
    Exponential { first: Duration::from_secs(1), ceiling: Duration::from_secs(15) };
/// The longest delay after an error that does not resolve without a change, such as a wrong password.
/// Cameras lock accounts after too many failed logins.
const PERMANENT: Duration = Duration::from_mins(1);
/// After a run that was live for this long, the delays start from the first one again.
const STABLE_AFTER: Duration = Duration::from_secs(30);

/// Computes the delays of one stream, or of its rendition.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Returns the next delay. `was_live_for` is how long the previous run was live, if it was.
    pub(super) fn next(&mut self, was_live_for: Option<Duration>, is_permanent: bool) -> Duration {
        if was_live_for.is_some_and(|live| live >= STABLE_AFTER) {
            self.failures = 0;
        }
        let delay = DELAYS.delay(self.failures);
        self.failures = self.failures.saturating_add(1);
        if is_permanent { jittered(PERMANENT) } else { delay }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_to_the_ceiling_and_starts_again_after_a_stable_run() {
        let mut backoff = Backoff::default();
        for nominal in [1, 2, 4, 8, 15, 15] {
            let nominal = Duration::from_secs(nominal);
            let delay = backoff.next(None, false);
            assert!(delay >= nominal / 2 && delay <= nominal, "{delay:?} of {nominal:?}");
        }
        assert!(backoff.next(Some(Duration::from_secs(29)), false) > DELAYS.first);
        assert!(backoff.next(Some(Duration::from_secs(30)), false) <= DELAYS.first);
    }

    #[test]
    fn a_permanent_refusal_is_retried_rarely() {
        assert!(Backoff::default().next(None, true) >= PERMANENT / 2);
    }

    #[test]
    fn never_overflows() {
        let mut backoff = Backoff { failures: u32::MAX };
        assert!(backoff.next(None, false) <= DELAYS.ceiling);
    }
}
