//! The dates of segments: the wall-clock time of each segment's first frame.

use std::time::{Duration, SystemTime};

use crate::output::hls::segment::Segment;

/// The date of a segment is corrected by at most the duration of the previous segment, divided by this number. Cameras'
/// clocks run a little fast or slow, and players accept such a small step.
const CLOCK_CORRECTION: u32 = 100;

/// The divisor that replaces [`CLOCK_CORRECTION`] while dates are too late by more than [`LARGE_ERROR`]. Dates are that
/// late if the first frames of an epoch were read late, for example because the manager was suspended. Dates must not
/// go back, so they advance at half the speed until they are right.
const LARGE_CORRECTION: u32 = 2;

/// The largest error of a date that is corrected in small steps.
const LARGE_ERROR: Duration = Duration::from_millis(500);

/// Chooses the dates of a stream's segments.
#[derive(Debug, Default)]
pub(super) struct SegmentDates {
    /// The end of the last segment; `None` if no segment of the epoch is finished.
    expected: Option<SystemTime>,
}

impl SegmentDates {
    /// Records that an epoch begins, or that the media continues after an interruption.
    pub(super) fn begin_epoch(&mut self) {
        self.expected = None;
    }

    /// Records that a segment is finished.
    pub(super) fn finished(&mut self, segment: &Segment) {
        self.expected = Some(segment.begins_at + segment.playing_time());
    }

    /// Returns the date of a segment whose first frame the camera took at `taken_at`: the end of the `previous`
    /// segment, slowly corrected towards `taken_at`. The first segment gets the date `taken_at`. The first segment of an
    /// epoch, and the first one after a discontinuity, get this time or the end of the previous segment, whichever is
    /// later. So dates do not go back, even if the machine's clock was set back.
    pub(super) fn next(&self, taken_at: SystemTime, previous: Option<&Segment>) -> SystemTime {
        let Some(previous) = previous else { return taken_at };
        match self.expected {
            Some(expected) => corrected(expected, taken_at, previous.playing_time()),
            None => taken_at.max(previous.begins_at + previous.playing_time()),
        }
    }
}

/// Returns the date of a segment that should begin at `expected`, and whose first frame was taken at
/// `taken_at`. `previous` is the duration of the previous segment.
fn corrected(expected: SystemTime, taken_at: SystemTime, previous: Duration) -> SystemTime {
    match taken_at.duration_since(expected) {
        Ok(late) => expected + late.min(previous / CLOCK_CORRECTION),
        Err(early) => {
            let early = early.duration();
            let divisor = if early > LARGE_ERROR { LARGE_CORRECTION } else { CLOCK_CORRECTION };
            expected - early.min(previous / divisor)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::hls::fragment::testing;
    use crate::output::hls::layout::segment_name;
    use crate::output::hls::packager::testing::setup;

    #[test]
    fn dates_do_not_go_back_if_the_clock_was_set_back() {
        let mut setup = setup(2.0, 20);
        setup.feed(7, 0, 5, 2000);
        let init = testing::init(8);
        for time in (0..5000).step_by(200) {
            let mut fragment = testing::fragment(&init, time % 2000 == 0, time, 200);
            fragment.taken_at -= Duration::from_mins(15);
            setup.packager.push(&fragment);
        }
        let dates = setup.dates();
        assert!(dates.len() > 10 && dates.is_sorted(), "{dates:?}");
    }

    #[test]
    fn dates_become_right_after_the_first_frames_were_read_late() {
        let mut setup = setup(2.0, 20);
        let init = testing::init(7);
        for time in (0..40_000).step_by(200) {
            let mut fragment = testing::fragment(&init, time % 2000 == 0, time, 200);
            // The first second was read 11 s late.
            let is_late = time < 1000;
            fragment.taken_at += Duration::from_secs(if is_late { 11 } else { 0 });
            setup.packager.push(&fragment);
        }
        let dates = setup.dates();
        assert!(dates.is_sorted(), "{dates:?}");
        let last = setup.packager.playlist.segments().next_back().expect("a segment");
        let file = std::fs::read_to_string(
            setup.root.path().join("cam").join(segment_name(last.sequence)),
        );
        let first = file.expect("a segment");
        let begin: u128 = first[1..first.find(']').expect("a time")].parse().expect("a number");
        let error = dates.last().expect("a date") - (1_000_000 + begin);
        assert!((0..500).contains(&error), "{error} ms: {dates:?}");
    }
}
