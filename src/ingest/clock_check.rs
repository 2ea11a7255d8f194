//! Compares a camera's clock with this machine's. Some cameras give their frames times in a wrong unit,
//! or give all frames the same time. Such media cannot be played.

use std::time::Duration;

use tokio::time::Instant;

/// The shortest measurement. Shorter ones would be wrong, because frames arrive in bursts.
const SHORTEST_SAMPLE: Duration = Duration::from_millis(1500);
/// The lowest rate of a usable clock, relative to this machine's. A network that is congested, but
/// still lets viewers watch, does not slow the media that much.
const SLOWEST: f64 = 0.2;
/// The number of consecutive slow measurements that prove a fault. A single one may come from a camera
/// that hung for some seconds.
const SLOW_SAMPLES: u32 = 2;
/// The highest rate of a usable clock, relative to this machine's. Cameras that buffer, or whose clocks
/// are set forward, exceed it only briefly.
const FASTEST: f64 = 3.0;
/// The number of consecutive fast measurements that prove a fault.
const FAST_SAMPLES: u32 = 3;

/// Checks the clock of one run.
#[derive(Debug, Default)]
pub(crate) struct ClockCheck {
    last: Option<(Instant, Duration)>,
    slow_samples: u32,
    fast_samples: u32,
}

impl ClockCheck {
    /// Returns whether the clock looks usable, given that a frame with this decode time arrives now.
    pub(crate) fn is_plausible(&mut self, time: Duration) -> bool {
        let now = Instant::now();
        let (began, from) = *self.last.get_or_insert((now, time));
        let passed = now - began;
        // A time that goes back is a jump, which does not make the clock unusable.
        let Some(advanced) = time.checked_sub(from) else {
            self.last = Some((now, time));
            return true;
        };
        if passed < SHORTEST_SAMPLE {
            return true;
        }
        let rate = advanced.as_secs_f64() / passed.as_secs_f64();
        let count = |in_a_row: u32, is_faulty: bool| if is_faulty { in_a_row + 1 } else { 0 };
        self.last = Some((now, time));
        self.slow_samples = count(self.slow_samples, rate < SLOWEST);
        self.fast_samples = count(self.fast_samples, rate > FASTEST);
        self.slow_samples < SLOW_SAMPLES && self.fast_samples < FAST_SAMPLES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns whether ten seconds of frames are accepted from a camera whose clock first jumps ahead by
    /// `burst` and then runs at `rate`.
    async fn is_accepted(rate: f64, burst: Duration) -> bool {
        let mut clock = ClockCheck::default();
        let mut time = Duration::from_secs(100);
        let mut is_accepted = clock.is_plausible(time);
        time += burst;
        for _ in 0..100 {
            tokio::time::advance(Duration::from_millis(100)).await;
            time += Duration::from_millis(100).mul_f64(rate);
            is_accepted &= clock.is_plausible(time);
        }
        is_accepted
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_a_little_wrong_is_accepted() {
        let no_burst = Duration::ZERO;
        assert!(is_accepted(1.0, no_burst).await);
        assert!(is_accepted(0.5, no_burst).await);
        assert!(is_accepted(1.0, Duration::from_secs(20)).await);
        assert!(!is_accepted(0.0, no_burst).await);
        assert!(!is_accepted(1.0 / 90.0, no_burst).await);
        assert!(!is_accepted(90.0, no_burst).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_single_jump_is_accepted() {
        let mut clock = ClockCheck::default();
        assert!(clock.is_plausible(Duration::from_secs(1000)));
        tokio::time::advance(Duration::from_secs(5)).await;
        assert!(clock.is_plausible(Duration::from_secs(1)));
        tokio::time::advance(Duration::from_secs(5)).await;
        assert!(clock.is_plausible(Duration::from_secs(6)));
        tokio::time::advance(Duration::from_secs(5)).await;
        assert!(clock.is_plausible(Duration::from_secs(10_000)));
    }
}
