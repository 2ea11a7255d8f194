//! How long a stream waits before its camera is tried again.

use std::time::Duration;

use crate::base::backoff::{Exponential, jittered};

/// Delays after interruptions, while the stream has viewers.
const DELAYS: Exponential =
    Exponential { first: Duration::from_secs(1), ceiling: Duration::from_secs(15) };
/// The longest delay after a refusal that waiting does not cure, such as a wrong password: cameras
/// lock accounts that are tried too often.
const PERMANENT: Duration = Duration::from_mins(1);
/// A stream that was live for this long starts from the first delay again.
const STABLE_AFTER: Duration = Duration::from_secs(30);

/// The delays of one stream.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Returns the next delay. `was_live_for` is how long the run before was live.
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
    fn a_permanent_refusal_is_tried_rarely() {
        assert!(Backoff::default().next(None, true) >= PERMANENT / 2);
    }

    #[test]
    fn never_overflows() {
        let mut backoff = Backoff { failures: u32::MAX };
        assert!(backoff.next(None, false) <= DELAYS.ceiling);
    }
}
