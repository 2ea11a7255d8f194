//! How long to wait before a camera is tried again: exponential with jitter, so that a hundred
//! cameras that went down together do not come back in step.

use std::time::Duration;

/// First delay at most.
const BASE: Duration = Duration::from_secs(1);
/// Longest delay while somebody watches.
const CEILING: Duration = Duration::from_secs(15);
/// Delay at most after a refusal that waiting does not cure, such as a wrong password: cameras
/// lock accounts that are tried too often.
const PERMANENT: Duration = Duration::from_mins(1);
/// A stream that was live for this long starts from the first delay again.
const STABLE_AFTER: Duration = Duration::from_secs(30);

/// The delays of one stream.
#[derive(Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The next delay: between half of the nominal delay and all of it. `was_live_for` is how
    /// long the run before was live.
    pub fn next(&mut self, was_live_for: Option<Duration>, is_permanent: bool) -> Duration {
        if was_live_for.is_some_and(|live| live >= STABLE_AFTER) {
            self.failures = 0;
        }
        let exponential = BASE.saturating_mul(2_u32.saturating_pow(self.failures)).min(CEILING);
        self.failures = self.failures.saturating_add(1);
        let nominal = if is_permanent { PERMANENT } else { exponential };
        nominal.mul_f64(0.5 + fastrand::f64() / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_to_the_ceiling_and_begins_anew_after_a_stable_run() {
        let mut backoff = Backoff::default();
        for nominal in [1, 2, 4, 8, 15, 15] {
            let nominal = Duration::from_secs(nominal);
            let delay = backoff.next(None, false);
            assert!(delay >= nominal / 2 && delay <= nominal, "{delay:?} of {nominal:?}");
        }
        assert!(backoff.next(Some(Duration::from_secs(29)), false) > BASE);
        assert!(backoff.next(Some(Duration::from_secs(30)), false) <= BASE);
    }

    #[test]
    fn a_permanent_refusal_is_tried_rarely() {
        assert!(Backoff::default().next(None, true) >= PERMANENT / 2);
    }

    #[test]
    fn never_overflows() {
        let mut backoff = Backoff { failures: u32::MAX };
        assert!(backoff.next(None, false) <= CEILING);
    }
}
