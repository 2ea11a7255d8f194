//! Compares a camera's clock with the clock of this machine. Some cameras send timestamps in a wrong unit, or
//! the same timestamp with every frame. Players cannot play such media.

use std::time::Duration;

use tokio::time::Instant;

/// The shortest measurement. Shorter ones would be wrong, because frames arrive in bursts.
const SHORTEST_SAMPLE: Duration = Duration::from_millis(1500);
/// The lowest rate of a usable clock, relative to the clock of this machine. A congested network can also slow the
/// media, but not as much as this while viewers can still watch.
const SLOWEST: f64 = 0.2;
/// The number of consecutive slow measurements that prove a fault. A single slow measurement may come from a
/// camera that hung for some seconds.
const SLOW_SAMPLES: u32 = 2;
/// The highest rate of a usable clock, relative to the clock of this machine. Cameras that buffer, or whose
/// clocks are set forward, exceed this rate only briefly.
const FASTEST: f64 = 3.0;
/// The number of consecutive fast measurements that prove a fault.
const FAST_SAMPLES: u32 = 3;
/// The largest number of times that a usable clock is set during one measurement. A clock that is set more often
/// counts as too fast.
const MAX_JUMPS: u32 = 2;

/// Checks the clock of one run.
#[derive(Debug, Default)]
pub(crate) struct ClockCheck {
    last: Option<Sample>,
    slow_samples: u32,
    fast_samples: u32,
}

/// The beginning of a measurement.
#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Instant,
    time: Duration,
    jumps: u32,
}

impl ClockCheck {
    /// Returns whether the clock seems usable. A frame with the decode time `time` arrives now, and the clock has
    /// been set `jumps` times so far.
    pub(crate) fn is_plausible(&mut self, time: Duration, jumps: u32) -> bool {
        let now = Sample { at: Instant::now(), time, jumps };
        let last = *self.last.get_or_insert(now);
        let passed = now.at - last.at;
        if passed < SHORTEST_SAMPLE {
            return true;
        }
        let advanced = time.saturating_sub(last.time);
        let rate = advanced.as_secs_f64() / passed.as_secs_f64();
        let is_fast = rate > FASTEST || jumps - last.jumps > MAX_JUMPS;
        let count = |in_a_row: u32, is_faulty: bool| if is_faulty { in_a_row + 1 } else { 0 };
        self.last = Some(now);
        self.slow_samples = count(self.slow_samples, rate < SLOWEST);
        self.fast_samples = count(self.fast_samples, is_fast);
        self.slow_samples < SLOW_SAMPLES && self.fast_samples < FAST_SAMPLES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns whether ten seconds of frames are accepted from a camera whose clock runs at `rate`. Before these
    /// frames, the camera sends frames with a total duration of `burst` at once.
    async fn is_accepted(rate: f64, burst: Duration) -> bool {
        let mut clock = ClockCheck::default();
        let mut time = Duration::from_secs(100);
        let mut is_accepted = clock.is_plausible(time, 0);
        time += burst;
        for _ in 0..100 {
            tokio::time::advance(Duration::from_millis(100)).await;
            time += Duration::from_millis(100).mul_f64(rate);
            is_accepted &= clock.is_plausible(time, 0);
        }
        is_accepted
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_clock_that_is_very_wrong_is_refused() {
        let no_burst = Duration::ZERO;
        assert!(is_accepted(1.0, no_burst).await);
        assert!(is_accepted(0.5, no_burst).await);
        assert!(is_accepted(1.0, Duration::from_secs(20)).await);
        assert!(!is_accepted(0.0, no_burst).await);
        assert!(!is_accepted(1.0 / 90.0, no_burst).await);
        assert!(!is_accepted(90.0, no_burst).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_set_all_the_time_is_refused() {
        for (jumps_per_second, is_usable) in [(1, true), (10, false)] {
            let mut clock = ClockCheck::default();
            let mut is_accepted = true;
            for second in 0..10 {
                let time = Duration::from_secs(second.into());
                is_accepted &= clock.is_plausible(time, second * jumps_per_second);
                tokio::time::advance(Duration::from_secs(1)).await;
            }
            assert_eq!(is_accepted, is_usable, "{jumps_per_second}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn frames_that_are_read_late_because_the_manager_was_frozen_are_accepted() {
        let mut clock = ClockCheck::default();
        let frame = Duration::from_millis(40);
        let mut time = Duration::from_secs(100);
        for frozen_for in [20, 60] {
            for _ in 0..250 {
                assert!(clock.is_plausible(time, 0));
                tokio::time::advance(frame).await;
                time += frame;
            }
            tokio::time::advance(Duration::from_secs(frozen_for)).await;
            // The frames that arrived while the manager was frozen are then read within two seconds.
            for _ in 0..frozen_for * 25 {
                assert!(clock.is_plausible(time, 0));
                tokio::time::advance(
                    Duration::from_secs(2) / 25 / u32::try_from(frozen_for).expect("short"),
                )
                .await;
                time += frame;
            }
        }
    }
}
