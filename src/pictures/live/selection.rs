//! The selection of the frames that become pictures. Pure.
//!
//! FFmpeg has to decode all frames, because each frame builds on earlier ones, but only some of them become pictures.
//! The manager selects them, and marks a selected frame in the frame's time: each output has one bit, which is set if
//! the frame becomes a picture of this output. So neither a change of a rate nor a load that is too high needs another
//! FFmpeg.

use std::collections::VecDeque;
use std::time::Duration;

/// The largest number of sizes of JPEGs of one FFmpeg.
pub(super) const MAX_SIZES: usize = 6;
/// The largest number of outputs of one FFmpeg: the JPEGs and the grey pictures.
const MAX_OUTPUTS: usize = MAX_SIZES + 1;

/// The times of frames, in ticks of the stream to FFmpeg, are rounded down to multiples of this number. The rest has
/// one bit for each output.
const TIME_STEP: u64 = 1 << MAX_OUTPUTS;

/// If the wanted distance between two pictures is at most this multiple of the distance between two frames, each frame
/// becomes a picture. Otherwise, the small variations of the frames' times would cost many pictures.
const EACH_FRAME: f64 = 1.1;

/// The number of intervals that are remembered: more than the number of frames by which B-frames are reordered.
const REMEMBERED: usize = 32;

/// Returns the time of a frame with the marks of the outputs in `marked`, a set of bits.
pub(super) fn marked_time(time: u64, marked: u64) -> u64 {
    time - time % TIME_STEP + marked % TIME_STEP
}

/// Returns FFmpeg's expression that selects the frames that are marked for the output with this index.
pub(super) fn expression(index: usize) -> String {
    format!("mod(floor(pts/{})\\,2)", 1_u64 << index)
}

/// Selects the frames of one output: the first frame of each interval.
///
/// Frames come in the order in which they are decoded. With B-frames, that is not the order in which they are shown,
/// so several of the last intervals are remembered.
#[derive(Debug, Default)]
pub(super) struct Selection {
    interval: Duration,
    /// The numbers of the last intervals of which a frame was selected.
    used: VecDeque<u128>,
}

impl Selection {
    /// Returns whether the frame that is shown at `time` is selected. `interval` is the wanted distance between two
    /// pictures, and `frame_distance` is the usual distance between two frames.
    pub(super) fn takes(
        &mut self,
        time: Duration,
        interval: Duration,
        frame_distance: Duration,
    ) -> bool {
        if interval <= frame_distance.mul_f64(EACH_FRAME) || interval.is_zero() {
            return true;
        }
        if self.interval != interval {
            self.interval = interval;
            self.used.clear();
        }
        let number = time.as_nanos() / interval.as_nanos();
        if self.used.contains(&number) {
            return false;
        }
        if self.used.len() == REMEMBERED {
            self.used.pop_front();
        }
        self.used.push_back(number);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the numbers of the frames that are selected from frames that are shown in this order, 25 a second.
    fn selected(order: &[u64], rate: u32) -> Vec<u64> {
        let mut selection = Selection::default();
        let (interval, distance) = (Duration::from_secs(1) / rate, Duration::from_millis(40));
        let is_selected = |number: &&u64| {
            selection.takes(Duration::from_millis(**number * 40), interval, distance)
        };
        let mut selected: Vec<_> = order.iter().filter(is_selected).copied().collect();
        selected.sort_unstable();
        selected
    }

    #[test]
    fn one_frame_of_each_interval_is_selected() {
        let order: Vec<_> = (0..100).collect();
        assert_eq!(selected(&order, 10).len(), 40);
        assert_eq!(selected(&order, 1), [0, 25, 50, 75]);
        assert_eq!(selected(&order, 25), order);
        assert_eq!(selected(&order, 30), order);
        assert_eq!(selected(&order, 24), order, "the rates are almost the same");
    }

    #[test]
    fn b_frames_are_selected_as_often_as_other_frames() {
        let order: Vec<_> = (0..100).step_by(3).flat_map(|n| [n + 3, n + 1, n + 2]).collect();
        let rates = [(10, 41), (5, 21)];
        for (rate, expected) in rates {
            let count = selected(&order, rate).len();
            assert!(count.abs_diff(expected) <= 1, "{count} at {rate} a second");
        }
    }

    #[test]
    fn a_time_carries_the_marks() {
        assert_eq!(marked_time(1_000_001, 0), 999_936);
        assert_eq!(marked_time(130, 0b101), 133);
        assert_eq!(marked_time(130, u64::MAX), 255, "there are only seven marks");
    }
}
