//! Derives decode times from presentation times. Pure.
//!
//! Cameras give each frame its presentation time. Without B-frames, this is also the decode time. With
//! B-frames, some frames are decoded before frames that are shown earlier. The decode times are then the
//! presentation times in ascending order, shifted by the number of reordered frames.

use std::time::Duration;

/// The assumed duration of a frame, until a duration is known.
const USUAL_FRAME: Duration = Duration::from_millis(40);
/// The most frames that H.264 and H.265 reorder.
const MAX_REORDER: usize = 16;
/// The longest duration of a frame. If at least this time passes between two frames, it is an interruption.
const MAX_FRAME: Duration = Duration::from_mins(1);
/// A distance between two frames is an interruption if it is at least this long and at least [`OUTLIER`] times as long
/// as the distance before it. If the next distance is as long, the camera now sends fewer frames, and this distance is
/// no interruption.
const LEAST_OUTLIER: Duration = Duration::from_millis(200);
/// See [`LEAST_OUTLIER`].
const OUTLIER: u32 = 4;
/// The shortest distance between two decode times: slightly more than a tick of MP4's clock for video, so that the
/// decode times in MP4 differ as well. It is so short that, if a camera's clock is frozen, the decode times hardly
/// advance.
const LEAST_DISTANCE: Duration = Duration::from_micros(12);

/// The shortest distance between the first two frames. If the distance is shorter, the time of the second frame is
/// wrong, because no camera sends more than 1000 frames per second.
const LEAST_FRAME: Duration = Duration::from_millis(1);

/// The times of one frame on the clock of its epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Times {
    /// The time of decoding.
    pub(crate) decode: Duration,
    /// The time of presentation.
    pub(crate) presentation: Duration,
    /// The time until the next frame, estimated from the last ones.
    pub(crate) duration: Duration,
}

/// The time line of one track in one epoch.
#[derive(Debug)]
pub(crate) struct Timeline {
    /// The largest number of frames that are decoded before a frame but shown after it.
    reorder: usize,
    /// The latest presentation times in ascending order, at most `reorder + 1`.
    latest: Vec<Duration>,
    last_decode: Option<Duration>,
    /// The last known duration of a frame, apart from interruptions. Before a duration is known, the announced or
    /// the usual duration.
    frame: Duration,
    last_distance: Option<Duration>,
    /// The last presentation time, as the caller gave it and as it was returned.
    last_shown: Option<(Duration, Duration)>,
    /// The time that is added to the given times of all frames after the first one; `None` before the second frame.
    offset: Option<Duration>,
}

impl Timeline {
    /// Creates a time line. The stream announces `reorder`, the number of reordered frames, and `frame`,
    /// the duration of a frame. If more frames are reordered, the time line detects this from their
    /// times.
    pub(crate) fn new(reorder: usize, frame: Option<Duration>) -> Self {
        let reorder = reorder.min(MAX_REORDER);
        let frame = frame.filter(|frame| !frame.is_zero()).unwrap_or(USUAL_FRAME).min(MAX_FRAME);
        Self {
            reorder,
            latest: Vec::new(),
            last_decode: None,
            frame,
            last_distance: None,
            last_shown: None,
            offset: None,
        }
    }

    /// Notes that the stream announces this number of reordered frames.
    pub(crate) fn announce(&mut self, reorder: usize) {
        self.reorder = self.reorder.max(reorder.min(MAX_REORDER));
    }

    /// Returns the times of the next frame in decoding order, which is shown at `shown` on the epoch's clock.
    pub(crate) fn place(&mut self, shown: Duration) -> Times {
        let shown = self.distinct(shown);
        if self.last_decode.is_some_and(|last| shown < last) && self.reorder < MAX_REORDER {
            self.reorder += 1;
        }
        let place = self.latest.partition_point(|other| *other <= shown);
        self.latest.insert(place, shown);
        if self.latest.len() > self.reorder + 1 {
            self.latest.remove(0);
        }
        let decode = self.next_decode_time();
        Times { decode, presentation: shown, duration: self.frame }
    }

    /// Returns the time at which to show a frame that has the time `given`. Two frames in succession have different
    /// times, even if the camera gives both the same.
    fn distinct(&mut self, given: Duration) -> Duration {
        let shown = match (self.last_shown, self.offset) {
            (None, _) => given,
            // If a camera's RTP times begin at 0, or with another time than the camera has announced, FFmpeg gives the
            // second frame nearly the time of the first one. All later frames are then too early by the duration of a
            // frame.
            (Some((last, _)), None) => {
                let is_early = given.abs_diff(last) < LEAST_FRAME;
                let offset = if is_early { self.frame } else { Duration::ZERO };
                given + *self.offset.insert(offset)
            }
            // The clocks of some cameras stand still.
            (Some((last, placed)), Some(_)) if last == given => placed + LEAST_DISTANCE,
            (Some(_), Some(offset)) => given + offset,
        };
        self.last_shown = Some((given, shown));
        shown
    }

    fn next_decode_time(&mut self) -> Duration {
        let earliest = self.latest.first().copied().unwrap_or_default();
        // While `latest` is not full, the missing times are assumed to be before the earliest one.
        let unknown = self.reorder + 1 - self.latest.len().min(self.reorder + 1);
        let ahead = self.frame.saturating_mul(u32::try_from(unknown).unwrap_or(0));
        let decode = earliest.saturating_sub(ahead);
        let Some(last) = self.last_decode else {
            self.last_decode = Some(decode);
            return decode;
        };
        self.note_distance(decode.saturating_sub(last));
        // When the time line learns that frames are reordered, the last decode time may be too late for the next
        // frames.
        let decode = decode.max(last + LEAST_DISTANCE);
        self.last_decode = Some(decode);
        decode
    }

    fn note_distance(&mut self, distance: Duration) {
        if distance <= LEAST_DISTANCE || distance >= MAX_FRAME {
            return;
        }
        let is_outlier = |before: Duration| distance >= (before * OUTLIER).max(LEAST_OUTLIER);
        if !self.last_distance.replace(distance).is_some_and(is_outlier) {
            self.frame = distance;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The time of the first frame.
    const BEGIN: Duration = Duration::from_secs(1);

    /// Returns decode and presentation times in milliseconds since `BEGIN`.
    fn place(timeline: &mut Timeline, milliseconds: &[u64]) -> Vec<(i64, i64)> {
        let since_begin = |time: Duration| {
            let (time, begin) = (time.as_millis(), BEGIN.as_millis());
            i64::try_from(time).expect("short") - i64::try_from(begin).expect("short")
        };
        let place = |ms: &u64| timeline.place(BEGIN + Duration::from_millis(*ms));
        let times = milliseconds.iter().map(place);
        times.map(|times| (since_begin(times.decode), since_begin(times.presentation))).collect()
    }

    #[test]
    fn without_reordering_decode_and_presentation_times_are_the_same() {
        let mut timeline = Timeline::new(0, None);
        assert_eq!(place(&mut timeline, &[0, 40, 100]), [(0, 0), (40, 40), (100, 100)]);
        let next = timeline.place(BEGIN + Duration::from_millis(150));
        assert_eq!(next.duration, Duration::from_millis(50));
    }

    #[test]
    fn an_interruption_does_not_change_the_duration_of_a_frame() {
        let mut timeline = Timeline::new(0, None);
        let durations = [0, 5000, 10_000, 10_040, 10_080, 13_080, 13_120, 16_000, 19_000, 22_000];
        let durations =
            durations.map(|ms| timeline.place(Duration::from_millis(ms)).duration.as_millis());
        assert_eq!(durations, [40, 5000, 5000, 40, 40, 40, 40, 40, 3000, 3000]);
    }

    #[test]
    fn b_frames_that_are_announced_give_evenly_spaced_decode_times() {
        let mut timeline = Timeline::new(1, None);
        let times = place(&mut timeline, &[0, 80, 40, 160, 120, 240, 200]);
        let decode: Vec<_> = times.iter().map(|(decode, _)| *decode).collect();
        assert_eq!(decode, [-40, 0, 40, 80, 120, 160, 200]);
        assert!(times.iter().all(|(decode, shown)| decode <= shown));
    }

    #[test]
    fn b_frames_that_are_not_announced_are_detected() {
        let mut timeline = Timeline::new(0, None);
        let shown = [0, 120, 40, 80, 240, 160, 200, 360, 280, 320, 480, 400, 440];
        let shown = shown.map(|ms| BEGIN + Duration::from_millis(ms));
        let times = shown.map(|shown| timeline.place(shown));
        let ticks = times.map(|times| times.decode.as_nanos() * 90_000 / 1_000_000_000);
        assert!(ticks.is_sorted_by(|a, b| a < b), "{times:?}");
        assert!(times[4..].iter().all(|it| it.decode <= it.presentation), "{times:?}");
        let is_usual = |it: &Times| it.duration.abs_diff(Duration::from_millis(40)) < BEGIN / 1000;
        assert!(times[6..].iter().all(is_usual), "{times:?}");
    }

    #[test]
    fn b_frames_that_are_announced_later_give_increasing_decode_times() {
        let mut timeline = Timeline::new(0, None);
        let first = [0, 40, 80].map(|ms| timeline.place(BEGIN + Duration::from_millis(ms)).decode);
        timeline.announce(2);
        let later = [240, 160, 120, 200, 400, 320, 280, 360];
        let later = later.map(|ms| timeline.place(BEGIN + Duration::from_millis(ms)).decode);
        let all = [first.as_slice(), &later].concat();
        assert!(all.is_sorted_by(|a, b| a < b), "{all:?}");
    }

    #[test]
    fn if_the_second_frame_has_the_time_of_the_first_all_later_frames_are_shown_later() {
        let frame = Duration::from_millis(50);
        let mut timeline = Timeline::new(0, Some(frame));
        let times = place(&mut timeline, &[0, 0, 50, 100]);
        assert_eq!(times, [(0, 0), (50, 50), (100, 100), (150, 150)]);
        let (mut timeline, tick) = (Timeline::new(0, Some(frame)), Duration::from_nanos(11_111));
        let first = timeline.place(BEGIN).presentation;
        assert_eq!(timeline.place(BEGIN + tick).presentation, first + frame + tick);
    }

    #[test]
    fn decode_times_hardly_advance_if_the_clock_is_frozen() {
        let mut timeline = Timeline::new(0, None);
        let times = [0; 1000].map(|ms| timeline.place(BEGIN + Duration::from_millis(ms)).decode);
        assert!(times.is_sorted_by(|a, b| a < b));
        assert!(times[999] < times[0] + Duration::from_millis(60));
    }
}
