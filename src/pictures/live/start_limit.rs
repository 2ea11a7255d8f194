//! The limit of the number of FFmpegs that start because other sizes are wanted, or because the video has changed. Without
//! it, a client that requests another width again and again, or a camera that changes its video again and again, would keep
//! the machine busy with starts. Pure.

use std::time::Duration;

use tokio::time::Instant;

use super::selection::MAX_SIZES;

/// The time after which one more FFmpeg can start.
const ONE_PER: Duration = Duration::from_secs(2);

/// The number of starts that are possible now. It rises with time, up to [`MAX_SIZES`].
#[derive(Debug)]
pub(super) struct StartLimit {
    /// The time at which the largest number of starts is possible again.
    full_at: Instant,
}

impl StartLimit {
    /// Creates a limit with the largest number of possible starts.
    pub(super) fn new(now: Instant) -> Self {
        Self { full_at: now }
    }

    /// Returns the time from which one start is possible. The time may be in the past.
    pub(super) fn possible_at(&self) -> Instant {
        let burst = ONE_PER * (u32::try_from(MAX_SIZES).unwrap_or(1) - 1);
        self.full_at.checked_sub(burst).unwrap_or(self.full_at)
    }

    /// Notes a start.
    pub(super) fn note_start(&mut self, now: Instant) {
        self.full_at = self.full_at.max(now) + ONE_PER;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_are_limited_over_time() {
        let began_at = Instant::now();
        let mut limit = StartLimit::new(began_at);
        let mut starts = Vec::new();
        for tenth in 0..300 {
            let now = began_at + Duration::from_millis(tenth * 100);
            if limit.possible_at() <= now {
                limit.note_start(now);
                starts.push(tenth);
            }
        }
        assert_eq!(starts[..MAX_SIZES], [0, 1, 2, 3, 4, 5], "all sizes can be requested at once");
        assert!(starts.len() <= MAX_SIZES + 15, "{starts:?}");
        assert!(starts[MAX_SIZES..].windows(2).all(|pair| pair[1] - pair[0] == 20), "{starts:?}");
    }
}
