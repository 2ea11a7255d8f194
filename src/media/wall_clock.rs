//! Maps the times of an epoch to the wall clock. Pure.
//!
//! Frames arrive with a delay that varies, and a frame that is read late must not be dated late. So the
//! mapping follows the frames with the shortest delay. A camera's clock runs a little fast or slow. So the
//! mapping is corrected all the time, but slowly, so that dates do not jump.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// The first seconds of an epoch, in which a frame with a shorter delay corrects the mapping at once. The first
/// frames arrive late, because FFmpeg keeps them while it probes the stream.
const SETTLING: Duration = Duration::from_secs(2);
/// The length of a window. The mapping follows the shortest delay in the current and the previous window.
const WINDOW: Duration = Duration::from_secs(5);
/// Limits the speed of all other corrections: the largest correction is the time since the last one, divided by
/// this number.
const CORRECTION: u32 = 200;

/// The mapping of one epoch.
#[derive(Debug)]
pub(crate) struct WallClock {
    /// The first frame of the epoch.
    first: First,
    /// The correction of all dates, in nanoseconds. Negative if the dates are earlier than the arrival of
    /// the first frame suggests.
    offset: i128,
    /// The smallest delays in the current and in the previous window, in nanoseconds relative to the
    /// delay of the first frame.
    earliest: [i128; 2],
    window_began: Instant,
    corrected_at: Instant,
}

#[derive(Debug, Clone, Copy)]
struct First {
    time: Duration,
    arrived: Instant,
    wall: SystemTime,
}

impl WallClock {
    /// Creates the mapping from an epoch's first frame.
    pub(crate) fn new(time: Duration, arrived: Instant, wall: SystemTime) -> Self {
        let first = First { time, arrived, wall };
        let (offset, earliest) = (0, [0, 0]);
        Self { first, offset, earliest, window_began: arrived, corrected_at: arrived }
    }

    /// Adjusts the mapping to a frame with this time on the epoch's clock.
    pub(crate) fn note(&mut self, time: Duration, arrived: Instant) {
        let passed = nanos(time) - nanos(self.first.time);
        let lateness = nanos(arrived.saturating_duration_since(self.first.arrived)) - passed;
        if arrived.saturating_duration_since(self.window_began) >= WINDOW {
            self.earliest = [lateness, self.earliest[0]];
            self.window_began = arrived;
        }
        self.earliest[0] = self.earliest[0].min(lateness);
        self.correct(arrived);
    }

    /// Returns the date of the frame with this time on the epoch's clock.
    pub(crate) fn date(&self, time: Duration) -> SystemTime {
        let since_first = nanos(time) - nanos(self.first.time) + self.offset;
        let distance = Duration::from_nanos(u64::try_from(since_first.abs()).unwrap_or(u64::MAX));
        let date = if since_first < 0 {
            self.first.wall.checked_sub(distance)
        } else {
            self.first.wall.checked_add(distance)
        };
        date.unwrap_or(self.first.wall)
    }

    fn correct(&mut self, arrived: Instant) {
        let wanted = self.earliest[0].min(self.earliest[1]) - self.offset;
        let is_settling = arrived.saturating_duration_since(self.first.arrived) < SETTLING;
        if is_settling && wanted < 0 {
            self.offset += wanted;
        } else {
            let passed = arrived.saturating_duration_since(self.corrected_at);
            let most = nanos(passed / CORRECTION);
            self.offset += wanted.clamp(-most, most);
        }
        self.corrected_at = arrived;
    }
}

fn nanos(duration: Duration) -> i128 {
    i128::try_from(duration.as_nanos()).unwrap_or(i128::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    struct Camera {
        clock: WallClock,
        began: Instant,
        wall: SystemTime,
    }

    impl Camera {
        fn new() -> Self {
            let (began, wall) = (Instant::now(), SystemTime::UNIX_EPOCH);
            Self { clock: WallClock::new(Duration::ZERO, began, wall), began, wall }
        }

        /// Returns the date of a frame, in milliseconds since the first frame arrived.
        fn date(&mut self, time: u32, arrived: u32) -> i64 {
            self.clock.note(MS * time, self.began + MS * arrived);
            let date = self.clock.date(MS * time);
            let ms = |duration: Duration| i64::try_from(duration.as_millis()).expect("short");
            date.duration_since(self.wall).map_or_else(|early| -ms(early.duration()), ms)
        }
    }

    #[test]
    fn a_frame_that_is_read_late_is_not_dated_late() {
        let mut camera = Camera::new();
        for frame in 1..100 {
            assert_eq!(camera.date(frame * 40, frame * 40), i64::from(frame) * 40);
        }
        assert_eq!(camera.date(4000, 4700), 4000);
        assert_eq!(camera.date(4040, 4700), 4040);
    }

    #[test]
    fn the_first_frame_of_an_epoch_may_be_late() {
        let mut camera = Camera::new();
        // FFmpeg has probed for 200 ms. So five frames arrive together, and the dates follow the last of them.
        for frame in 1..=5 {
            assert_eq!(camera.date(frame * 40, 0), 0);
        }
        assert_eq!(camera.date(0, 0), -200);
        assert_eq!(camera.date(240, 40), 40);
    }

    #[test]
    fn a_clock_that_runs_fast_is_followed_slowly() {
        let mut camera = Camera::new();
        let mut last = 0;
        // The camera's clock counts 1001 milliseconds in a second.
        for frame in 1..100_000_u32 {
            let (time, arrived) = (frame * 40 + frame / 25, frame * 40);
            let date = camera.date(time, arrived);
            assert!((0..=60).contains(&(date - last)), "{last} {date}");
            assert!((date - i64::from(arrived)).abs() < 40, "{arrived} {date}");
            last = date;
        }
    }
}
