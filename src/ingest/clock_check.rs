//! Compares a camera's clock with the wall clock. Some cameras stamp their frames in the wrong unit,
//! or all with the same time, and what FFmpeg makes of that cannot be played.

use std::time::Duration;

use tokio::time::Instant;

/// The shortest measurement: frames come in bursts.
const SHORTEST_SAMPLE: Duration = Duration::from_millis(1500);
/// The lowest rate of a usable clock. Congestion that leaves anything to watch slows it less.
const SLOWEST: f64 = 0.2;
/// Slow measurements in a row that prove a fault: a single one can be a camera that hung for some
/// seconds.
const SLOW_SAMPLES: u32 = 2;
/// The highest rate of a usable clock. Cameras with a buffer send some seconds at once, and clocks are
/// put forward, but not for long.
const FASTEST: f64 = 3.0;
/// Fast measurements in a row that prove a fault.
const FAST_SAMPLES: u32 = 3;

/// Checks the clock of one run.
#[derive(Debug, Default)]
pub(crate) struct ClockCheck {
    last: Option<(Instant, Duration)>,
    slow_samples: u32,
    fast_samples: u32,
}

impl ClockCheck {
    /// Whether a fragment that arrives now, with the media time `time`, fits those before it.
    pub(crate) fn is_plausible(&mut self, time: Duration) -> bool {
        let now = Instant::now();
        let (began, from) = *self.last.get_or_insert((now, time));
        let passed = now - began;
        // A time that goes back is a jump, which the packager handles.
        let Some(advanced) = time.checked_sub(from) else {
            self.last = Some((now, time));
            return true;
        };
        if passed < SHORTEST_SAMPLE {
            return true;
        }
        let rate = advanced.as_secs_f64() / passed.as_secs_f64();
        let count = |samples: u32, is_one_more: bool| if is_one_more { samples + 1 } else { 0 };
        self.last = Some((now, time));
        self.slow_samples = count(self.slow_samples, rate < SLOWEST);
        self.fast_samples = count(self.fast_samples, rate > FASTEST);
        self.slow_samples < SLOW_SAMPLES && self.fast_samples < FAST_SAMPLES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether all of ten seconds' fragments make sense when the camera's clock runs at `rate`,
    /// after `burst` at once.
    async fn is_accepted(rate: f64, burst: Duration) -> bool {
        let mut clock = ClockCheck::default();
        let mut time = Duration::from_secs(100);
        let mut all = clock.is_plausible(time);
        time += burst;
        for _ in 0..100 {
            tokio::time::advance(Duration::from_millis(100)).await;
            time += Duration::from_millis(100).mul_f64(rate);
            all &= clock.is_plausible(time);
        }
        all
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_can_be_off_but_not_by_much() {
        let none = Duration::ZERO;
        assert!(is_accepted(1.0, none).await);
        assert!(is_accepted(0.5, none).await);
        assert!(is_accepted(1.0, Duration::from_secs(20)).await);
        assert!(!is_accepted(0.0, none).await);
        assert!(!is_accepted(1.0 / 90.0, none).await);
        assert!(!is_accepted(90.0, none).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_jump_is_not_a_rate() {
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
