//! The times of pictures on one clock. Pure.
//!
//! Each epoch of a stream has a clock of its own, which begins again when the camera is away. Within an epoch, the times of
//! presentation are exact; between two epochs, only the arrival of the pictures is known.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::pictures::picture::Picture;

/// Converts the times of pictures to a clock that never jumps back.
#[derive(Debug, Default)]
pub(super) struct PictureClock {
    last: Option<Last>,
}

/// The last picture.
#[derive(Debug, Clone, Copy)]
struct Last {
    epoch: u64,
    time: Duration,
    received_at: Instant,
    /// The time on this clock.
    at: Duration,
    taken_at: SystemTime,
}

impl PictureClock {
    /// Returns the time of the next picture.
    pub(super) fn time_of(&mut self, picture: &Picture) -> Duration {
        let (epoch, time) = (picture.position.epoch, picture.position.time);
        let at = self.last.map_or(Duration::ZERO, |last| {
            let passed = if last.epoch == epoch {
                time.saturating_sub(last.time)
            } else {
                picture.received_at.saturating_duration_since(last.received_at)
            };
            last.at + passed
        });
        let (received_at, taken_at) = (picture.received_at, picture.taken_at);
        self.last = Some(Last { epoch, time, received_at, at, taken_at });
        at
    }

    /// Returns the time of the wall clock at a time that is not later than the last picture.
    pub(super) fn date(&self, at: Duration) -> SystemTime {
        let Some(last) = self.last else { return SystemTime::UNIX_EPOCH };
        last.taken_at.checked_sub(last.at.saturating_sub(at)).unwrap_or(last.taken_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pictures::picture::{Position, testing};

    #[tokio::test(start_paused = true)]
    async fn the_clock_continues_when_the_camera_was_away() {
        let mut clock = PictureClock::default();
        let picture = |epoch, millis| {
            let time = Duration::from_millis(millis);
            Picture { position: Position { epoch, time }, ..testing::picture(time) }
        };
        let second = Duration::from_secs(1);
        assert_eq!(clock.time_of(&picture(1, 90_000)), Duration::ZERO);
        assert_eq!(clock.time_of(&picture(1, 90_200)), second / 5);
        assert_eq!(clock.date(Duration::ZERO), SystemTime::UNIX_EPOCH + second * 90);
        tokio::time::advance(second).await;
        assert_eq!(clock.time_of(&picture(2, 1000)), second * 6 / 5);
        assert_eq!(clock.time_of(&picture(2, 900)), second * 6 / 5, "the clock never jumps back");
    }
}
