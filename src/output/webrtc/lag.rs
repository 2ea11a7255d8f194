//! Whether a viewer with a TCP connection has fallen behind.

use std::time::{Duration, Instant};

/// The age from which on frames that are sent are old.
pub(super) const OLD: Duration = Duration::from_secs(1);
/// The time for which all frames may be old. A viewer who joins gets old frames first.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long a viewer has been behind.
#[derive(Debug, Default)]
pub(super) struct Lag {
    since: Option<Instant>,
}

impl Lag {
    /// Notes the age of a frame that is to be sent. Returns true if the connection is too slow: all frames of the last
    /// seconds were old. The next frame then counts as the first.
    pub(super) fn note(&mut self, age: Duration, now: Instant) -> bool {
        if age < OLD {
            self.since = None;
            return false;
        }
        let since = *self.since.get_or_insert(now);
        let is_too_slow = now.saturating_duration_since(since) > PATIENCE;
        if is_too_slow {
            self.since = None;
        }
        is_too_slow
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_viewer_who_stays_behind_has_a_slow_connection() {
        let (mut lag, start, ms) = (Lag::default(), Instant::now(), Duration::from_millis(1));
        for n in 0..30 {
            assert!(!lag.note(ms * 2000, start + ms * 100 * n), "the viewer joins");
        }
        assert!(!lag.note(ms * 900, start + ms * 3000), "caught up");
        for n in 31..=61 {
            assert!(!lag.note(ms * 1500, start + ms * 100 * n), "{n}");
        }
        assert!(lag.note(ms * 1500, start + ms * 6200));
        assert!(!lag.note(ms * 1500, start + ms * 6300), "reported once");
    }
}
