//! Decides where segments end, from durations and keyframes alone, without files or a clock.

use std::time::Duration;

use crate::output::hls::fragment::Fragment;
use crate::output::hls::segment::{PartStart, Segment};

/// The number of parts of the wanted duration after which an epoch's first segment ends, even without a keyframe. A
/// player needs one whole segment before it shows a picture. With fewer than two parts in that segment, playback
/// would stall at once. Exception: if a keyframe follows the first part, the segment ends there, so that the next
/// segment begins with this keyframe.
const FIRST_SEGMENT_PARTS: u32 = 2;

/// The time by which a segment can exceed the target duration. It is less than half a second, because players round
/// durations to whole seconds.
const ROUNDING: Duration = Duration::from_millis(490);

/// The shortest duration with which a segment can end early because it would be too long at the next keyframe, or
/// because its last part is short.
const SHORTEST_SEGMENT: Duration = Duration::from_secs(1);

/// A GOP is divided into as many segments as its length requires. A GOP that is longer than the previous GOP by at
/// most this time needs no additional segment.
const GOP_JITTER: Duration = Duration::from_millis(200);

/// The shortest part after which another part can follow in the same segment, as a fraction of the segment's
/// longest part. RFC 8216bis (4.4.4.9) requires this fraction of `PART-TARGET`.
const SHORTEST_PART: f64 = 0.85;

/// The durations of segments and parts, and the length of the playlist.
#[derive(Debug, Clone, Copy)]
pub struct SegmentPolicy {
    /// Wanted duration of a segment.
    pub segment_time: Duration,
    /// Wanted duration of a part.
    pub part_time: Duration,
    /// Wanted number of finished segments in the playlist.
    pub list_size: usize,
}

impl SegmentPolicy {
    /// Returns the value of `EXT-X-TARGETDURATION`, in seconds.
    pub(super) fn target_duration(self) -> u64 {
        (self.segment_time + Duration::from_millis(500)).as_secs()
    }

    /// Returns this policy with a segment duration that is long enough for parts that last for `part`.
    pub(super) fn for_long_parts(self, part: Duration) -> Self {
        // One fifth is added, because cameras do not send frames at exact intervals.
        Self { segment_time: self.segment_time.max(part * 6 / 5), ..self }
    }

    /// Returns the longest duration of a segment that the target duration allows.
    pub(super) fn longest_segment(self) -> Duration {
        Duration::from_secs(self.target_duration()) + ROUNDING
    }
}

/// Decides where the segments of one stream end.
#[derive(Debug)]
pub(super) struct Cutter {
    policy: SegmentPolicy,
    warm_up: WarmUp,
    since_keyframe: Duration,
    last_gop: Duration,
}

/// The progress of an epoch's warm-up, in which segments are shorter so that a player can start early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WarmUp {
    /// The epoch has no finished segment yet.
    FirstSegment,
    /// The first segment is finished, but no further keyframe has come.
    FirstGop {
        /// Total duration of the finished segments.
        finished: Duration,
    },
    /// A keyframe has come after the first segment, or no epoch has begun.
    Over,
}

impl Cutter {
    /// Uses another policy from now on.
    pub(super) fn set_policy(&mut self, policy: SegmentPolicy) {
        self.policy = policy;
    }

    /// Creates a cutter for a stream whose first epoch has not begun.
    pub(super) fn new(policy: SegmentPolicy) -> Self {
        let (since_keyframe, last_gop) = (Duration::ZERO, Duration::ZERO);
        Self { policy, warm_up: WarmUp::Over, since_keyframe, last_gop }
    }

    /// Resets the cutter before a fragment that is the first of an epoch, needs another init segment, or
    /// follows an interruption. In each case, the media from this fragment on is treated as an epoch.
    pub(super) fn begin_epoch(&mut self) {
        *self = Self { warm_up: WarmUp::FirstSegment, ..Self::new(self.policy) };
    }

    /// Returns whether the growing segment ends before `fragment`; false if no segment is growing.
    ///
    /// If `fragment` begins with a keyframe, the segment ends in each of these cases:
    ///
    /// - It has about the wanted duration. During the warm-up, the duration of one part is enough.
    /// - It would be too long at the next keyframe.
    /// - It does not begin with a keyframe. A player that joins can begin only with a segment that does.
    /// - Its last part is short. Only the last part of a segment can be short.
    ///
    /// Whether or not `fragment` begins with a keyframe, the segment ends in each of these cases:
    ///
    /// - With `fragment`, it would be longer than `longest_segment`.
    /// - It is the first segment of its epoch and has about two parts.
    /// - It is a complete piece of a GOP that is longer than `longest_segment`. Such a GOP is divided into
    ///   segments of equal length.
    /// - The first keyframe after the first segment has not come yet, and another part could make the segment
    ///   too long for hls.js.
    ///
    /// A segment is finished only when the first fragment of the next one has arrived. So the last segment of every
    /// playlist is a growing one. hls.js requires this, because it mistakes a finished segment at the end of a
    /// playlist for a growing one. It then miscalculates the segment's time, and fails permanently with "media
    /// sequence mismatch" if the next playlist comes before the segment is loaded.
    pub(super) fn cuts_before(&mut self, fragment: &Fragment, growing: Option<&Segment>) -> bool {
        if fragment.is_keyframe {
            self.last_gop = std::mem::take(&mut self.since_keyframe);
        }
        let Some(growing) = growing else { return false };
        let duration = growing.duration();
        let longest = self.policy.longest_segment();
        if duration + fragment.duration > longest
            || self.is_complete_first_segment(growing)
            || self.ends_piece_of_gop(fragment, duration)
            || self.is_long_enough_in_first_gop(growing)
        {
            return true;
        }
        fragment.is_keyframe && self.cuts_before_keyframe(growing, None)
    }

    /// Returns whether the growing segment ends before a keyframe that follows after another part of the duration
    /// `last_part`.
    pub(super) fn will_cut_before_keyframe(&self, growing: &Segment, last_part: Duration) -> bool {
        let last_gop = self.since_keyframe + last_part;
        Self { last_gop, ..*self }.cuts_before_keyframe(growing, Some(last_part))
    }

    /// Returns whether a keyframe that comes next would end the growing segment. `another_part`, if there is
    /// one, comes before the keyframe.
    fn cuts_before_keyframe(&self, growing: &Segment, another_part: Option<Duration>) -> bool {
        let duration = growing.duration() + another_part.unwrap_or_default();
        // A GOP that should last for two seconds may be slightly shorter.
        let is_long_enough = duration >= self.policy.segment_time * 19 / 20;
        let is_last_chance = duration >= SHORTEST_SEGMENT
            && duration + self.last_gop > self.policy.longest_segment();
        let ends_warm_up = self.is_warming_up() && duration >= self.policy.part_time;
        let is_between = growing.begin() == Some(PartStart::Between);
        let has_short_end =
            duration >= SHORTEST_SEGMENT && ends_with_short_part(growing, another_part);
        is_long_enough || is_last_chance || ends_warm_up || is_between || has_short_end
    }

    /// Returns whether the growing segment, which lasts for `duration`, ends before `fragment` because the
    /// GOP is divided there. Assumes that the GOP is as long as the previous one. The last piece of the GOP is
    /// not divided: it ends at the next keyframe, even if this keyframe comes slightly later than assumed.
    fn ends_piece_of_gop(&self, fragment: &Fragment, duration: Duration) -> bool {
        let longest = self.policy.longest_segment().saturating_sub(GOP_JITTER);
        if self.is_warming_up() || fragment.is_keyframe || self.last_gop <= longest + GOP_JITTER {
            return false;
        }
        let pieces = self.last_gop.div_duration_f64(longest).ceil();
        let piece = self.last_gop.div_f64(pieces);
        let begun_at = self.since_keyframe.saturating_sub(duration);
        let end = begun_at.div_duration_f64(piece).round() + 1.0;
        end < pieces && self.since_keyframe + fragment.duration / 2 > piece.mul_f64(end)
    }

    /// Returns whether the growing segment is the first of its epoch and is complete, so that the epoch
    /// becomes playable.
    fn is_complete_first_segment(&self, growing: &Segment) -> bool {
        // A part may be a little shorter than wanted.
        let enough = self.policy.part_time * FIRST_SEGMENT_PARTS * 19 / 20;
        self.warm_up == WarmUp::FirstSegment && growing.duration() >= enough
    }

    /// Returns whether another part could make the growing segment too long for the first GOP. In this
    /// GOP, a segment must be at least one part shorter than all finished segments together. Otherwise
    /// hls.js would wait for the whole segment, because it loads the parts of the growing segment only if the
    /// segment is shorter than the media in the player's buffer.
    fn is_long_enough_in_first_gop(&self, growing: &Segment) -> bool {
        let WarmUp::FirstGop { finished } = self.warm_up else { return false };
        let longest_part = growing.parts.iter().map(|part| part.duration).max();
        growing.duration() + longest_part.unwrap_or_default() * 2 > finished
    }

    /// Records that `fragment` was appended to the growing segment.
    pub(super) fn appended(&mut self, fragment: &Fragment) {
        let begun_at = self.since_keyframe;
        self.since_keyframe += fragment.duration;
        if let Some(distance) = fragment.later_keyframe {
            self.last_gop = begun_at + distance;
            self.since_keyframe = fragment.duration.saturating_sub(distance);
        }
    }

    /// Records that the next fragment begins with a keyframe. After the first segment, this ends the
    /// warm-up.
    pub(super) fn saw_keyframe(&mut self) {
        if matches!(self.warm_up, WarmUp::FirstGop { .. }) {
            self.warm_up = WarmUp::Over;
        }
    }

    /// Records that a segment of this duration is finished.
    pub(super) fn finished(&mut self, duration: Duration) {
        self.warm_up = match self.warm_up {
            WarmUp::FirstSegment if duration.is_zero() => WarmUp::FirstSegment,
            WarmUp::FirstSegment => WarmUp::FirstGop { finished: duration },
            WarmUp::FirstGop { finished } => WarmUp::FirstGop { finished: finished + duration },
            WarmUp::Over => WarmUp::Over,
        };
    }

    /// Returns whether the epoch is warming up, which it does until the first keyframe after its first
    /// segment.
    pub(super) fn is_warming_up(&self) -> bool {
        self.warm_up != WarmUp::Over
    }
}

/// Returns whether the last part of `growing`, or `another_part` if there is one, is so short that no other part of
/// the same segment can follow it.
fn ends_with_short_part(growing: &Segment, another_part: Option<Duration>) -> bool {
    let durations = || growing.parts.iter().map(|part| part.duration).chain(another_part);
    let longest = durations().max().unwrap_or_default();
    durations().last().is_some_and(|last| last < longest.mul_f64(SHORTEST_PART))
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::output::hls::fragment::{InitId, testing};
    use crate::output::hls::segment::Part;

    const MS: Duration = Duration::from_millis(1);

    fn segment(parts: u32) -> Segment {
        let part = Part { duration: MS * 200, offset: 0, length: 1, begin: PartStart::Keyframe };
        Segment {
            sequence: 1,
            begins_at: SystemTime::UNIX_EPOCH,
            init: InitId { epoch: 1, version: 0 },
            is_discontinuity: false,
            parts: vec![part; parts as usize],
            undeclared: Duration::ZERO,
        }
    }

    fn cutter() -> Cutter {
        Cutter::new(SegmentPolicy { segment_time: MS * 2000, part_time: MS * 200, list_size: 5 })
    }

    #[test]
    fn the_first_segment_is_complete_with_two_parts() {
        let mut cutter = cutter();
        let next = testing::fragment(&testing::init(1), false, 0, 200);
        assert!(!cutter.cuts_before(&next, Some(&segment(9))), "no epoch has begun");
        cutter.begin_epoch();
        for (parts, is_complete) in [(1, false), (2, true)] {
            assert_eq!(cutter.cuts_before(&next, Some(&segment(parts))), is_complete);
        }
        cutter.finished(MS * 1000);
        assert!(!cutter.cuts_before(&next, Some(&segment(2))));
    }

    #[test]
    fn segments_get_longer_until_the_second_keyframe_and_then_end_at_keyframes_or_the_limit() {
        let mut cutter = cutter();
        let init = testing::init(1);
        let [between, keyframe] = [false, true].map(|is| testing::fragment(&init, is, 0, 200));
        cutter.begin_epoch();
        cutter.finished(MS * 400);
        assert!(
            cutter.cuts_before(&between, Some(&segment(1))),
            "another part would make the segment too long for the finished 400 ms"
        );
        cutter.finished(MS * 1000);
        assert!(!cutter.cuts_before(&between, Some(&segment(4))));
        assert!(cutter.cuts_before(&keyframe, Some(&segment(1))));
        cutter.saw_keyframe();
        assert!(!cutter.is_warming_up());
        assert!(!cutter.cuts_before(&between, Some(&segment(11))));
        assert!(
            cutter.cuts_before(&between, Some(&segment(12))),
            "the segment would exceed the target duration"
        );
        assert!(cutter.cuts_before(&keyframe, Some(&segment(10))));
        assert!(!cutter.cuts_before(&keyframe, Some(&segment(2))));
        assert!(!cutter.cuts_before(&keyframe, None));
    }
}
