//! The fragments of a recorded file that are needed for a span of time, and their division into segments of a playlist.
//! Pure. All times are milliseconds since the beginning of the file.

use crate::store::db::fragment_list::RecordedFragment;

/// The longest playing time of a segment that consists of several fragments. The playlist promises that segments last
/// for at most this time.
pub(crate) const MAX_SEGMENT_MS: u32 = 10_000;
/// The shortest playing time of a segment that ends before the last fragment. Closer keyframes share a segment, because
/// playlists would otherwise be long.
const MIN_SEGMENT_MS: u32 = 1_000;

/// A part of a recorded file that players load at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Position in the file, in bytes.
    pub(crate) offset: u64,
    /// Size in bytes.
    pub(crate) size: u64,
    /// The time between the beginning of the file and the beginning of the segment, in milliseconds.
    pub(crate) begin_ms: u32,
    /// Playing time in milliseconds.
    pub(crate) duration_ms: u32,
}

/// The fragments of a file that are needed for a span of time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Needed<'a> {
    /// The fragments, from the last keyframe at or before the beginning of the span on.
    pub(crate) fragments: &'a [RecordedFragment],
    /// True if no further fragments will be needed, because the file is closed, or because it already has a fragment
    /// after the span.
    pub(crate) is_complete: bool,
}

/// Returns the fragments that are needed for the time from `from_ms` to `to_ms`. `is_closed` means that no further
/// fragments will be added to the file.
pub(crate) fn needed(
    fragments: &[RecordedFragment],
    from_ms: i64,
    to_ms: i64,
    is_closed: bool,
) -> Needed<'_> {
    let begins_by = |time: i64| move |it: &RecordedFragment| i64::from(it.begin_ms) < time;
    let end = fragments.partition_point(begins_by(to_ms));
    // The fragment that contains `from_ms` is the last one that begins at this time or earlier.
    let begun = fragments.partition_point(begins_by(from_ms.saturating_add(1)));
    let until_from = fragments.get(..begun).unwrap_or_default();
    let start = until_from.iter().rposition(|it| it.is_keyframe).unwrap_or(0);
    Needed {
        fragments: fragments.get(start..end).unwrap_or_default(),
        is_complete: is_closed || end < fragments.len(),
    }
}

impl Needed<'_> {
    /// Returns the segments. Each of them begins with a keyframe, unless the keyframes are too far apart. The last
    /// segment is left out if it can still become longer.
    pub(crate) fn segments(self) -> Vec<Segment> {
        let mut segments: Vec<Segment> = Vec::new();
        for fragment in self.fragments {
            let size = u64::from(fragment.size);
            let open = segments.last_mut().filter(|open| {
                let is_long = open.duration_ms >= MIN_SEGMENT_MS;
                let sum = open.duration_ms.saturating_add(fragment.duration_ms);
                !(fragment.is_keyframe && is_long) && sum <= MAX_SEGMENT_MS
            });
            if let Some(open) = open {
                open.size = open.size.saturating_add(size);
                open.duration_ms = open.duration_ms.saturating_add(fragment.duration_ms);
            } else {
                let (offset, begin_ms) = (fragment.offset, fragment.begin_ms);
                segments.push(Segment {
                    offset,
                    size,
                    begin_ms,
                    duration_ms: fragment.duration_ms,
                });
            }
        }
        if !self.is_complete {
            segments.pop();
        }
        segments
    }

    /// Returns the keyframes. The playing time of each is the time until the next keyframe. The last one is left out if
    /// this time is not known yet.
    pub(crate) fn keyframes(self) -> Vec<Segment> {
        let mut keyframes: Vec<Segment> = Vec::new();
        for fragment in self.fragments {
            if fragment.is_keyframe {
                let (offset, size) = (fragment.offset, u64::from(fragment.size));
                keyframes.push(Segment {
                    offset,
                    size,
                    begin_ms: fragment.begin_ms,
                    duration_ms: 0,
                });
            }
            if let Some(last) = keyframes.last_mut() {
                last.duration_ms = last.duration_ms.saturating_add(fragment.duration_ms);
            }
        }
        if !self.is_complete {
            keyframes.pop();
        }
        keyframes
    }

    /// Returns the positions of the first byte and of the end of the fragments in the file; `None` without fragments.
    pub(crate) fn bytes(self) -> Option<(u64, u64)> {
        Some((self.fragments.first()?.offset, self.fragments.last()?.end()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recordings::testing::fragments;

    /// Groups of a keyframe of 40 ms and two further fragments, every two seconds.
    fn groups(count: u32) -> Vec<RecordedFragment> {
        let group = |_| [(100, 40, true), (200, 1000, false), (150, 960, false)];
        fragments((0..count).flat_map(group))
    }

    fn begins(segments: &[Segment]) -> Vec<(u32, u32)> {
        segments.iter().map(|it| (it.begin_ms, it.duration_ms)).collect()
    }

    #[test]
    fn a_span_begins_with_the_keyframe_before_it_and_ends_with_the_fragment_that_contains_its_end()
    {
        let all = groups(3);
        let table = [
            (-500, 9000, (0, 9)),
            (0, 9000, (0, 9)),
            (1999, 9000, (0, 9)),
            (2000, 9000, (3, 9)),
            (3999, 4001, (3, 7)),
            (2500, 4000, (3, 6)),
            (2500, 3040, (3, 5)),
            (2500, 3041, (3, 6)),
        ];
        for (from, to, (first, end)) in table {
            let needed = needed(&all, from, to, false);
            assert_eq!(needed.fragments, &all[first..end], "{from} to {to}");
            assert_eq!(needed.is_complete, end < all.len(), "{from} to {to}");
        }
    }

    #[test]
    fn a_segment_is_a_group_of_pictures() {
        let all = groups(3);
        let closed = needed(&all, 0, 60_000, true).segments();
        assert_eq!(begins(&closed), [(0, 2000), (2000, 2000), (4000, 2000)]);
        assert_eq!((closed[1].offset, closed[1].size), (all[3].offset, 450));
        let open = needed(&all, 0, 60_000, false).segments();
        assert_eq!(begins(&open), [(0, 2000), (2000, 2000)]);
        let until = needed(&all, 0, 4500, false).segments();
        assert_eq!(begins(&until), [(0, 2000), (2000, 2000), (4000, 1040)]);
    }

    #[test]
    fn no_segment_exceeds_the_target_duration_and_none_is_too_short() {
        let long = (0..25).map(|n| (100, 1000, n == 0));
        let all = fragments(long);
        let segments = needed(&all, 0, 60_000, true).segments();
        assert_eq!(begins(&segments), [(0, 10_000), (10_000, 10_000), (20_000, 5000)]);
        let close = fragments((0..6).map(|_| (100, 500, true)));
        let segments = needed(&close, 0, 60_000, true).segments();
        assert_eq!(begins(&segments), [(0, 1000), (1000, 1000), (2000, 1000)]);
    }

    #[test]
    fn a_segment_that_was_listed_does_not_change_when_the_file_grows() {
        let all = groups(20);
        let mut before: Vec<Segment> = Vec::new();
        for length in 0..=all.len() {
            let segments = needed(&all[..length], 700, 60_000, false).segments();
            assert!(segments.starts_with(&before), "{length} fragments");
            before = segments;
        }
        let closed = needed(&all, 700, 60_000, true).segments();
        assert!(closed.starts_with(&before) && closed.len() == before.len() + 1);
    }

    #[test]
    fn a_keyframe_lasts_until_the_next_one() {
        let all = groups(2);
        let keyframes = needed(&all, 0, 60_000, true).keyframes();
        assert_eq!(begins(&keyframes), [(0, 2000), (2000, 2000)]);
        assert_eq!((keyframes[1].offset, keyframes[1].size), (all[3].offset, 100));
        assert_eq!(needed(&all, 0, 60_000, false).keyframes().len(), 1);
        let without = fragments([(100, 40, false), (100, 40, false)]);
        assert!(needed(&without, 0, 60_000, true).keyframes().is_empty());
    }
}
