//! Holds a camera's clock against the wall clock. Some cameras stamp their frames in the wrong
//! unit, or all with the same time: what FFmpeg makes of that cannot be played.

use std::time::Duration;

use tokio::time::Instant;

/// Shorter looks prove nothing: frames come in bursts.
const SHORTEST_LOOK: Duration = Duration::from_millis(1500);
/// A camera that is slower is so by more than any congestion that leaves something to watch.
const SLOWEST: f64 = 0.2;
/// One look may fall on a camera that hung for some seconds.
const SLOW_LOOKS: u32 = 2;
/// Cameras with a memory send some seconds at once, and clocks are put forward; but not for ever.
const FASTEST: f64 = 3.0;
/// Looks in a row.
const FAST_LOOKS: u32 = 3;

/// The clock of one run.
#[derive(Debug, Default)]
pub struct ClockCheck {
    look: Option<(Instant, Duration)>,
    slow_looks: u32,
    fast_looks: u32,
}

impl ClockCheck {
    /// Whether a fragment that comes now, with video of that `time`, makes sense after those before.
    pub fn is_plausible(&mut self, time: Duration) -> bool {
        let now = Instant::now();
        let (began, from) = *self.look.get_or_insert((now, time));
        let passed = now - began;
        // A time that goes back is a jump, which the packager knows how to take.
        let Some(advanced) = time.checked_sub(from) else {
            self.look = Some((now, time));
            return true;
        };
        if passed < SHORTEST_LOOK {
            return true;
        }
        let rate = advanced.as_secs_f64() / passed.as_secs_f64();
        let count = |looks: u32, is_one_more: bool| if is_one_more { looks + 1 } else { 0 };
        self.look = Some((now, time));
        self.slow_looks = count(self.slow_looks, rate < SLOWEST);
        self.fast_looks = count(self.fast_looks, rate > FASTEST);
        self.slow_looks < SLOW_LOOKS && self.fast_looks < FAST_LOOKS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether all of ten seconds' fragments make sense when the camera's clock runs at `rate`,
    /// after `burst` at once.
    async fn is_accepted(rate: f64, burst: Duration) -> bool {
        let mut pace = ClockCheck::default();
        let mut time = Duration::from_secs(100);
        let mut all = pace.is_plausible(time);
        time += burst;
        for _ in 0..100 {
            tokio::time::advance(Duration::from_millis(100)).await;
            time += Duration::from_millis(100).mul_f64(rate);
            all &= pace.is_plausible(time);
        }
        all
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_may_be_off_but_not_by_much() {
        let none = Duration::ZERO;
        assert!(is_accepted(1.0, none).await);
        assert!(is_accepted(0.5, none).await);
        assert!(is_accepted(1.0, Duration::from_secs(20)).await);
        assert!(!is_accepted(0.0, none).await);
        assert!(!is_accepted(1.0 / 90.0, none).await);
        assert!(!is_accepted(90.0, none).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_jump_is_no_pace() {
        let mut pace = ClockCheck::default();
        assert!(pace.is_plausible(Duration::from_secs(1000)));
        tokio::time::advance(Duration::from_secs(5)).await;
        assert!(pace.is_plausible(Duration::from_secs(1)));
        tokio::time::advance(Duration::from_secs(5)).await;
        assert!(pace.is_plausible(Duration::from_secs(6)));
        tokio::time::advance(Duration::from_secs(5)).await;
        assert!(pace.is_plausible(Duration::from_secs(10_000)));
    }
}
