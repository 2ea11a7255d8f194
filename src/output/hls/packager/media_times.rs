//! The times of a stream's media: where the next fragment should begin, and where the written media ends.

use std::time::Duration;

use crate::output::hls::fragment::{Fragment, MediaEnd};

/// The largest gap or overlap between two consecutive fragments that does not count as a jump.
const JUMP: Duration = Duration::from_millis(500);

/// The longest gap between the written media and the next fragment that players do not notice. It is longer than the
/// errors from rounding the times of the media.
const HOLE: Duration = Duration::from_millis(1);

/// The times of a stream's media, on the time line of its fragments.
#[derive(Debug, Default)]
pub(super) struct MediaTimes {
    /// The decode time at which the next fragment should begin.
    expected: Option<Duration>,
    /// The end of the media that was written.
    end: Option<MediaEnd>,
    /// The end of the media before the growing segment.
    end_before: Option<MediaEnd>,
}

impl MediaTimes {
    /// Returns the end of the media that was written; `None` before the first media, and after
    /// [`forget_end`](Self::forget_end).
    pub(super) fn end(&self) -> Option<&MediaEnd> {
        self.end.as_ref()
    }

    /// Sets the end of the media of the earlier playlist that continues.
    pub(super) fn continue_from(&mut self, end: MediaEnd) {
        self.end = Some(end);
    }

    /// Forgets the end of the written media, because no playlist lists that media any more.
    pub(super) fn forget_end(&mut self) {
        self.end = None;
    }

    /// Returns whether the media jumps before `fragment`. The previous fragment must have the same init segment.
    pub(super) fn jumps_before(&self, fragment: &Fragment) -> bool {
        let gap = self.expected.map(|expected| fragment.decode_time.abs_diff(expected));
        gap > Some(JUMP)
    }

    /// Returns whether media is missing between the written media and `fragment`, although both have the same init
    /// segment.
    pub(super) fn has_hole_before(&self, fragment: &Fragment) -> bool {
        let end = self.end.as_ref().filter(|end| end.init == fragment.init.id);
        end.is_some_and(|end| fragment.decode_time.saturating_sub(end.video) > HOLE)
    }

    /// Records that a fragment has arrived, whether or not it will be written.
    pub(super) fn arrived(&mut self, fragment: &Fragment) {
        self.expected = Some(fragment.decode_time + fragment.duration);
    }

    /// Records that a segment begins.
    pub(super) fn opened(&mut self) {
        self.end_before.clone_from(&self.end);
    }

    /// Records that a fragment of the growing segment was written.
    pub(super) fn written(&mut self, fragment: &Fragment) {
        let before = self.end.take().filter(|end| end.init == fragment.init.id);
        self.end = Some(MediaEnd {
            init: fragment.init.id,
            init_bytes: fragment.init.bytes.clone(),
            video: fragment.decode_time + fragment.duration,
            audio: fragment.audio_end.or(before.and_then(|before| before.audio)),
        });
    }

    /// Records that the growing segment is withdrawn.
    pub(super) fn withdrawn(&mut self) {
        self.end = self.end_before.take();
    }
}

#[cfg(test)]
mod tests {
    use crate::output::hls::fragment::testing;
    use crate::output::hls::packager::testing::setup;

    #[test]
    fn a_camera_that_corrects_its_clock_causes_a_discontinuity_and_no_long_segment() {
        for jump_ms in [3_600_000_u64, 700] {
            let mut setup = setup(2.0, 10);
            setup.feed(7, 0, 5, 2000);
            // The estimated duration of a frame includes the jump.
            let init = testing::init(7);
            let stretched = testing::fragment(&init, false, 5000, (200 + jump_ms).min(60_000));
            setup.packager.push(&stretched);
            let after = (5200 + jump_ms) / 2000 * 2000;
            setup.feed(7, after, 5, 2000);
            let playlist = setup.playlist();
            let text = setup.packager.playlist.render();
            assert!(playlist.segments.iter().all(|segment| segment.duration < 2.5), "{text}");
            assert!(text.contains("PART-TARGET=0.200") || jump_ms == 700, "{text}");
            let breaks = playlist.segments.iter().filter(|segment| segment.discontinuity).count();
            assert_eq!(breaks, 1, "{text}");
        }
    }
}
