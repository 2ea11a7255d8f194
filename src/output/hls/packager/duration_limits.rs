//! The longest durations of fragments and segments, also for cameras that send a frame every few seconds.

use std::time::Duration;

use crate::base::error::{Error, ErrorKind};
use crate::output::hls::cutter::SegmentPolicy;
use crate::output::hls::fragment::Fragment;

/// The longest duration of a fragment, unless segments can be longer. Only fragments of cameras that send a frame
/// every few seconds are as long as this.
const LONGEST_FRAGMENT: Duration = Duration::from_secs(10);

/// If this number of consecutive fragments are too long, the output fails. Fewer are not an error, because the first
/// frames of an epoch, and the frame before a jump of the camera's clock, may seem to last longer than they do.
const TOO_LONG: u32 = 3;

/// The longest durations of a stream's fragments and segments.
#[derive(Debug)]
pub(super) struct DurationLimits {
    policy: SegmentPolicy,
    /// The longest duration of a segment before the target duration was first raised.
    initial_longest_segment: Duration,
    /// The number of consecutive fragments so far that were too long.
    too_long: u32,
}

impl DurationLimits {
    /// Creates the limits of a stream that begins with this policy.
    pub(super) fn new(policy: SegmentPolicy) -> Self {
        Self { policy, initial_longest_segment: policy.longest_segment(), too_long: 0 }
    }

    /// Returns the policy, whose segments are long enough for the stream's fragments.
    pub(super) fn policy(&self) -> SegmentPolicy {
        self.policy
    }

    /// Sets the wanted duration of a segment to that of the earlier playlist that continues.
    pub(super) fn set_segment_time(&mut self, segment_time: Duration) {
        self.policy.segment_time = segment_time;
    }

    /// Raises the target duration if `fragment` is too long for it. Returns whether it was raised. The durations of an
    /// epoch's first frames are inexact, and later frames may last longer. So the target duration is also raised if
    /// `fragment` is a single frame that lasts for more than three fifths of the longest segment.
    pub(super) fn raise_for(&mut self, fragment: &Fragment) -> bool {
        let longest = self.policy.longest_segment();
        let is_first = longest == self.initial_longest_segment;
        let part = if fragment.duration > longest && fragment.duration <= LONGEST_FRAGMENT {
            fragment.duration
        } else if is_first && fragment.frames == 1 && fragment.duration > longest * 3 / 5 {
            longest * 6 / 5
        } else {
            return false;
        };
        self.policy = self.policy.for_long_parts(part);
        true
    }

    /// Returns whether a fragment is too long to be written.
    pub(super) fn is_too_long(&self, fragment: &Fragment) -> bool {
        fragment.duration > self.longest_fragment()
    }

    /// Counts a fragment that is left out because it is too long. Returns the error to report if it is the last one of
    /// [`TOO_LONG`] fragments in a row.
    pub(super) fn left_out(&mut self, fragment: &Fragment) -> Option<Error> {
        self.too_long = self.too_long.saturating_add(1);
        let is_error = self.too_long == TOO_LONG;
        is_error.then(|| too_few_frames(fragment.duration, self.longest_fragment()))
    }

    /// Records that a fragment is not too long.
    pub(super) fn accepted(&mut self) {
        self.too_long = 0;
    }

    /// Returns the duration that the playlist declares for `fragment`: its playing time, unless the camera has become
    /// so slow that a single frame exceeds the target duration, which must not change. Players take the playing time
    /// from the media.
    pub(super) fn declared(&self, fragment: &Fragment) -> Duration {
        if fragment.duration <= self.policy.longest_segment() {
            fragment.duration
        } else {
            Duration::from_secs(self.policy.target_duration())
        }
    }

    /// Returns the longest duration of a fragment that is written.
    fn longest_fragment(&self) -> Duration {
        self.policy.longest_segment().max(LONGEST_FRAGMENT)
    }
}

/// Returns the error of a camera that sends a frame only every `interval`, although this time must be at most
/// `longest`.
fn too_few_frames(interval: Duration, longest: Duration) -> Error {
    let (interval, longest) = (interval.as_secs_f64().round(), longest.as_secs());
    Error::new(
        ErrorKind::SourceUnsupported,
        format!(
            "the camera sends a frame only every {interval} s, but HLS needs one at least every {longest} s; \
             increase the camera's frame rate"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::hls::fragment::testing;
    use crate::output::hls::packager::testing::setup;

    #[test]
    fn a_camera_with_a_frame_every_few_seconds_gets_a_longer_target_duration() {
        for ms in [1700, 2600, 3000, 5000, 9000] {
            let mut setup = setup(2.0, 5);
            let init = testing::init(7);
            for number in 0..8 {
                let frame = testing::fragment(&init, true, number * ms, ms);
                assert!(setup.packager.push(&Fragment { frames: 1, ..frame }), "{ms} ms");
            }
            let playlist = setup.playlist();
            let target = playlist.target_duration;
            assert!(target >= Duration::from_millis(ms).as_secs() && target < 12, "{ms}: {target}");
            assert!(setup.durations().iter().all(|it| u64::from(*it) >= ms), "{ms} ms");
            assert_eq!(setup.packager.playlist.last_discontinuity(), 40, "{ms} ms");
        }
    }

    #[test]
    fn the_target_duration_stays_the_same_if_the_camera_becomes_slow() {
        let mut setup = setup(2.0, 5);
        setup.feed(7, 0, 5, 2000);
        let init = testing::init(7);
        let mut after_first = String::new();
        for number in 0..12 {
            if number == 1 {
                // Only the last part of a segment can be much shorter than `PART-TARGET`.
                after_first = setup.packager.playlist.render();
            }
            let frame = testing::fragment(&init, number % 4 == 0, 5000 + number * 5000, 5000);
            assert!(setup.packager.push(&Fragment { frames: 1, ..frame }), "frame {number}");
            assert_eq!(setup.packager.progress().error, None);
            let playlist = setup.playlist();
            assert_eq!(playlist.target_duration, 2);
            assert!(setup.durations().iter().all(|it| *it <= 2490), "{:?}", setup.durations());
            assert_eq!(playlist.discontinuity_sequence, 40);
            assert!(!playlist.segments.iter().any(|segment| segment.discontinuity));
        }
        let text = setup.packager.playlist.render();
        assert!(text.contains("PART-TARGET=2.000"), "{text}");
        assert!(!after_first.contains("PART:DURATION=0.20000"), "{after_first}");
        let dates = setup.dates();
        assert!(dates.windows(2).all(|pair| pair[1] - pair[0] == 5000), "{dates:?}");
        for segment in setup.playlist().segments {
            assert!(setup.has(&segment.uri), "{} is listed but missing", segment.uri);
        }
    }

    #[test]
    fn frames_that_are_too_far_apart_are_an_error_but_a_single_long_one_is_not() {
        for (count, is_error) in [(2, false), (3, true), (30, true)] {
            let mut setup = setup(2.0, 5);
            let init = testing::init(7);
            for number in 0..count {
                let frame = testing::fragment(&init, true, number * 12_000, 12_000);
                assert!(!setup.packager.push(&Fragment { frames: 1, ..frame }));
            }
            let progress = setup.packager.progress().clone();
            assert_eq!((progress.error.is_some(), progress.failures), (is_error, is_error.into()));
            if let Some((epoch, error)) = progress.error {
                assert_eq!((epoch, error.kind), (7, ErrorKind::SourceUnsupported));
                assert!(error.detail.contains("every 12 s"), "{error}");
            }
            setup.feed_after_error(7, count * 12_000, 5, 2000);
            assert_eq!(setup.packager.progress().playable, Some(7), "it works again");
        }
    }

    #[test]
    fn a_slow_camera_is_playable_although_only_its_first_frame_is_a_keyframe() {
        let mut setup = setup(2.0, 5);
        let init = testing::init(7);
        for (begin, ms) in [(0, 1200), (1200, 5000), (6200, 5000)] {
            let frame = testing::fragment(&init, begin == 0, begin, ms);
            setup.packager.push(&Fragment { frames: 1, ..frame });
        }
        assert_eq!(setup.packager.progress().playable, Some(7));
    }
}
