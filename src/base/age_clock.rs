//! Protection from a system clock that is set forward by mistake: what is deleted because of its age is gone, even if the
//! clock is corrected later.

use std::time::{Duration, Instant, SystemTime};

use tracing::warn;

/// A clock that advances by this much more than the time that has passed was set forward.
const SET_FORWARD: Duration = Duration::from_hours(1);
/// The time for which nothing is deleted because of its age after the clock was set forward.
const PAUSE: Duration = Duration::from_hours(24);

/// Notices that the system's clock was set forward.
#[derive(Debug, Default)]
pub(crate) struct AgeClock {
    /// The last time, by the system's clock and by the clock that cannot be set.
    last: Option<(SystemTime, Instant)>,
    paused_until: Option<Instant>,
}

impl AgeClock {
    /// Returns whether `what` may be deleted because of its age now. `system` and `monotonic` are the present time.
    pub(crate) fn is_trusted(
        &mut self,
        what: &str,
        system: SystemTime,
        monotonic: Instant,
    ) -> bool {
        if let Some((last, at)) = self.last.replace((system, monotonic)) {
            let passed = monotonic.saturating_duration_since(at);
            let by = system.duration_since(last).unwrap_or_default().saturating_sub(passed);
            if by > SET_FORWARD {
                let seconds = by.as_secs();
                warn!(
                    seconds,
                    "the system's clock was set forward. If it is wrong, correct it: after 24 hours, {what} are again \
                     deleted because of their age"
                );
                self.paused_until = Some(monotonic + PAUSE);
            }
        }
        self.paused_until.is_none_or(|until| monotonic >= until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_deleted_for_a_day_after_the_clock_was_set_forward() {
        let (begin, monotonic) = (SystemTime::UNIX_EPOCH + PAUSE * 20_000, Instant::now());
        let hours = |count: u64| Duration::from_hours(count);
        let mut clock = AgeClock::default();
        // Hours by the system's clock and by the other one, and whether the time is trusted.
        let table = [
            (0, 0, true),
            (100, 100, true),
            // The clock was set back.
            (90, 101, true),
            (91, 102, true),
            (1000, 103, false),
            (1023, 126, false),
            (1024, 127, true),
            (1027, 128, false),
        ];
        for (system, passed, expected) in table {
            let trusted =
                clock.is_trusted("recordings", begin + hours(system), monotonic + hours(passed));
            assert_eq!(trusted, expected, "{system} {passed}");
        }
    }
}
