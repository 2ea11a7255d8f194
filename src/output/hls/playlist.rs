//! A low-latency media playlist (RFC 8216bis): the window of segments that it names. The module `text` renders it.
//!
//! This module uses no files and no clock. The packager gets the segments that are removed from the playlist,
//! and deletes their files later.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::camera::numbers::NumberSet;
use crate::output::hls::fragment::InitId;
use crate::output::hls::segment::{Part, PartStart, Segment};

mod text;

/// `HOLD-BACK` in target durations: the smallest value that the draft allows.
const HOLD_BACK: u32 = 3;
/// The playing time that must remain when a segment is removed, in target durations.
const LEAST_TARGETS: u32 = 3;
/// The most playing time that is kept so that a player that joins finds a keyframe.
const KEYFRAME_WITHIN: Duration = Duration::from_mins(2);

/// The last finished segments, and the growing one. A clone costs little, because clones share finished
/// segments.
#[derive(Debug, Clone)]
pub(crate) struct Playlist {
    /// The target duration in seconds. RFC 8216 does not allow it to change.
    target_duration: u64,
    /// The wanted duration of a part.
    part_time: Duration,
    /// The wanted number of finished segments.
    length: usize,
    /// Number of discontinuities before the first segment.
    discontinuity_sequence: u64,
    /// The finished segments, oldest first. Clones of the playlist share them until one of the clones changes them.
    segments: Arc<VecDeque<Arc<Segment>>>,
    open: Option<Segment>,
    next_sequence: u64,
    /// The time by which the audio of the last part is behind the end of the part, at most.
    audio_delay: Duration,
    /// The number of the first segment that was not taken over from an earlier playlist of the stream.
    first_own: u64,
}

impl Playlist {
    /// Creates an empty playlist. It keeps `length` finished segments, or more if these are short or contain
    /// no keyframe at which every player can begin. The duration of a segment, rounded to seconds, is at most
    /// `target_duration`. A part lasts for about `part_time`. The segment number and the discontinuity number in
    /// `first` must be higher than those that the stream's viewers have seen. A higher discontinuity number shows
    /// players that a new time line begins.
    pub(crate) fn new(
        target_duration: u64,
        part_time: Duration,
        length: usize,
        first: NumberSet,
    ) -> Self {
        Self {
            target_duration,
            part_time,
            length,
            discontinuity_sequence: first.discontinuity,
            segments: Arc::default(),
            open: None,
            next_sequence: first.sequence,
            audio_delay: Duration::ZERO,
            first_own: first.sequence,
        }
    }

    /// Continues an earlier playlist of the stream with its finished segments, oldest first. Must be called before a
    /// segment is opened.
    pub(super) fn continue_with(
        &mut self,
        segments: impl IntoIterator<Item = Arc<Segment>>,
        target_duration: u64,
        discontinuity_sequence: u64,
    ) {
        self.segments = Arc::new(segments.into_iter().collect());
        if let Some(last) = self.segments.back() {
            self.next_sequence = last.sequence + 1;
        }
        self.first_own = self.next_sequence;
        self.target_duration = target_duration;
        self.discontinuity_sequence = discontinuity_sequence;
    }

    /// Removes and returns all finished segments, so that a new playlist begins. The number of discontinuities becomes
    /// `discontinuity_sequence`.
    pub(super) fn leave_out_segments(&mut self, discontinuity_sequence: u64) -> Vec<Arc<Segment>> {
        self.discontinuity_sequence = discontinuity_sequence;
        Arc::make_mut(&mut self.segments).drain(..).collect()
    }

    /// Returns the segments that were not taken over from an earlier playlist, oldest first.
    fn own(&self) -> impl DoubleEndedIterator<Item = &Segment> {
        self.all().filter(|segment| segment.sequence >= self.first_own)
    }

    /// Sets the time by which the audio of the last part is behind the end of the part.
    pub(crate) fn set_audio_delay(&mut self, delay: Duration) {
        self.audio_delay = delay;
    }

    /// Begins the next segment, and returns its number.
    pub(crate) fn open(
        &mut self,
        begins_at: SystemTime,
        init: InitId,
        is_discontinuity: bool,
    ) -> u64 {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        self.open = Some(Segment {
            sequence,
            begins_at,
            init,
            is_discontinuity,
            parts: Vec::new(),
            undeclared: Duration::ZERO,
        });
        sequence
    }

    /// Returns the growing segment.
    pub(crate) fn growing(&self) -> Option<&Segment> {
        self.open.as_ref()
    }

    /// Sets the target duration in seconds. RFC 8216 allows this only before the playlist is published.
    pub(crate) fn set_target_duration(&mut self, seconds: u64) {
        self.target_duration = seconds;
    }

    /// Returns the target duration.
    pub(crate) fn target_duration(&self) -> Duration {
        self.targets(1)
    }

    /// Adds playing time to the growing segment that the durations of its parts do not include.
    pub(crate) fn add_undeclared(&mut self, time: Duration) {
        if let Some(open) = &mut self.open {
            open.undeclared += time;
        }
    }

    /// Appends a part to the growing segment. Bytes without playing time, which come from a camera
    /// whose clock is frozen, extend the segment's previous part if there is one, because a part must have a
    /// duration.
    pub(crate) fn append(&mut self, duration: Duration, length: u64, begin: PartStart) {
        let Some(open) = &mut self.open else { return };
        match open.parts.last_mut() {
            Some(last) if duration.is_zero() => last.length += length,
            _ => {
                let offset = open.length();
                open.parts.push(Part { duration, offset, length, begin });
            }
        }
    }

    /// Finishes the growing segment, if there is one. Returns the segments that leave the playlist.
    pub(crate) fn close(&mut self) -> Vec<Arc<Segment>> {
        Arc::make_mut(&mut self.segments).extend(self.open.take().map(Arc::new));
        let mut gone = Vec::new();
        while let Some(count) = self.unneeded() {
            for oldest in Arc::make_mut(&mut self.segments).drain(..count) {
                self.discontinuity_sequence += u64::from(oldest.is_discontinuity);
                gone.push(oldest);
            }
        }
        gone
    }

    /// Returns how many of the oldest segments can be removed together; `None` if all are needed.
    ///
    /// The segments of a GOP are removed together, because some players begin with the first segment, which must
    /// begin with a keyframe. If more than [`KEYFRAME_WITHIN`] remains, segments are removed singly.
    ///
    /// Enough segments must remain: the wanted number, the playing time that RFC 8216 (6.2.2) requires, and a keyframe
    /// at which every player can begin. The keyframe is not required if [`KEYFRAME_WITHIN`] remains, or if the oldest
    /// segment does not begin with a keyframe, so that keeping it would not help.
    fn unneeded(&self) -> Option<usize> {
        let gop = self.segments().skip(1).position(Segment::has_keyframe).map(|later| later + 1);
        let can_go = |count: usize| {
            let rest: Duration = self.segments().skip(count).map(Segment::duration).sum();
            let is_long = rest >= KEYFRAME_WITHIN;
            let is_enough = self.segments.len() >= self.length + count
                && rest >= self.targets(LEAST_TARGETS)
                && (is_long || self.has_start_after(count, rest));
            (is_enough && (is_long || count == gop.unwrap_or(1))).then_some(count)
        };
        can_go(1).or_else(|| gop.and_then(can_go))
    }

    /// Returns whether a segment after the oldest `count` segments begins with a keyframe, at least `HOLD-BACK` before
    /// the end. Also returns true if the oldest segment does not begin with a keyframe, because keeping it would not
    /// help. `rest` is the playing time of the segments after the oldest ones.
    fn has_start_after(&self, count: usize, rest: Duration) -> bool {
        if !self.segments().next().is_some_and(Segment::has_keyframe) {
            return true;
        }
        let mut left = rest;
        self.segments().skip(count).any(|segment| {
            let is_start = segment.has_keyframe() && left >= self.targets(HOLD_BACK);
            left = left.saturating_sub(segment.duration());
            is_start
        })
    }

    /// Returns a duration of `count` target durations.
    fn targets(&self, count: u32) -> Duration {
        Duration::from_secs(u64::from(count) * self.target_duration)
    }

    /// Withdraws and returns the growing segment, if no player can know it: it has no parts, or no playlist
    /// is published (`is_unseen`). The next segment gets the same number, because numbers must not have gaps.
    pub(crate) fn abandon_unnamed(&mut self, is_unseen: bool) -> Option<Segment> {
        let unnamed = self.open.take_if(|open| is_unseen || open.parts.is_empty())?;
        self.next_sequence = unnamed.sequence;
        Some(unnamed)
    }

    /// Returns the finished segments, oldest first, as the pointers that clones of the playlist share.
    pub(super) fn shared_segments(&self) -> impl Iterator<Item = &Arc<Segment>> {
        self.segments.iter()
    }

    /// Returns the number of discontinuities before the first segment.
    pub(super) fn discontinuity_sequence(&self) -> u64 {
        self.discontinuity_sequence
    }

    /// Returns the finished segments, oldest first.
    pub(crate) fn segments(&self) -> impl DoubleEndedIterator<Item = &Segment> {
        self.segments.iter().map(Arc::as_ref)
    }

    /// Returns all segments, oldest first: the finished ones and the growing one.
    fn all(&self) -> impl DoubleEndedIterator<Item = &Segment> {
        self.segments().chain(&self.open)
    }

    /// Returns the playing time of the finished segments.
    pub(crate) fn duration(&self) -> Duration {
        self.segments().map(Segment::duration).sum()
    }

    /// Returns the position at which the playlist ends. Blocking playlist requests are compared with
    /// this position.
    pub(crate) fn position(&self) -> Position {
        match &self.open {
            Some(open) => Position { sequence: open.sequence, parts: open.parts.len() },
            None => Position { sequence: self.next_sequence, parts: 0 },
        }
    }

    /// Returns the number of the last discontinuity, which is the discontinuity number of the last segment.
    pub(crate) fn last_discontinuity(&self) -> u64 {
        let listed = self.all().filter(|segment| segment.is_discontinuity).count();
        self.discontinuity_sequence + listed as u64
    }
}

/// The end of a playlist, at which it grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    /// The number of the growing segment, or of the next one if none is growing.
    pub sequence: u64,
    /// The number of parts of this segment so far.
    pub parts: usize,
}

impl Position {
    /// Returns whether a playlist that ends at this position has reached the end of the segment `sequence` or, if
    /// `part` is given, the end of this part. Segments that have left the playlist count too.
    pub(crate) fn has(self, sequence: u64, part: Option<usize>) -> bool {
        sequence < self.sequence
            || sequence == self.sequence && part.is_some_and(|part| part < self.parts)
    }

    /// Returns the lowest segment number that players cannot know from a playlist that ends at this position, or
    /// from an earlier playlist.
    pub(crate) fn first_unknown(self) -> u64 {
        self.sequence + u64::from(self.parts > 0)
    }

    /// Returns whether a requested segment is further ahead than a player can expect (RFC 8216bis,
    /// 6.2.5.2).
    pub(crate) fn is_too_far(self, sequence: u64) -> bool {
        sequence > self.sequence + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INIT: InitId = InitId { epoch: 7, version: 0 };

    const PART: Duration = Duration::from_millis(200);

    fn playlist(length: usize) -> Playlist {
        let first = NumberSet { sequence: 100, epoch: 0, discontinuity: 0 };
        Playlist::new(2, PART, length, first)
    }

    fn grow(playlist: &mut Playlist, parts: usize) {
        for part in 0..parts {
            playlist.append(
                PART,
                1000,
                if part == 0 { PartStart::Keyframe } else { PartStart::Between },
            );
        }
    }

    /// Adds a finished segment of two seconds. Returns the numbers of segments that left the playlist.
    fn add(playlist: &mut Playlist, epoch: u64, is_discontinuity: bool) -> Vec<u64> {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_763_690_000_250);
        playlist.open(time, InitId { epoch, version: 0 }, is_discontinuity);
        grow(playlist, 10);
        playlist.close().into_iter().map(|gone| gone.sequence).collect()
    }

    fn parsed(playlist: &Playlist) -> m3u8_rs::MediaPlaylist {
        let text = playlist.render();
        m3u8_rs::parse_media_playlist_res(text.as_bytes()).expect("a playlist that others can read")
    }

    #[test]
    fn an_independent_parser_reads_every_segment() {
        let mut playlist = playlist(5);
        assert_eq!(add(&mut playlist, 7, false), [0; 0]);
        assert_eq!(add(&mut playlist, 8, true), [0; 0]);
        let read = parsed(&playlist);
        assert_eq!(read.target_duration, 2);
        assert_eq!((read.media_sequence, read.discontinuity_sequence), (100, 0));
        assert!(!read.end_list);
        let [first, second] = read.segments.as_slice() else { panic!("{read:?}") };
        assert_eq!(first.uri, "100.m4s");
        assert!((first.duration - 2.0).abs() < 1e-6);
        assert_eq!(first.map.as_ref().expect("a map").uri, "init-7.mp4");
        let time = first.program_date_time.expect("a time");
        assert_eq!(time.timestamp_millis(), 1_763_690_000_250);
        assert!(!first.discontinuity && second.discontinuity);
        assert_eq!(second.map.as_ref().expect("a map").uri, "init-8.mp4");
    }

    #[test]
    fn no_dates_are_listed_until_the_segments_before_an_interruption_are_gone() {
        let mut playlist = playlist(3);
        let mut begins_at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_763_690_000);
        let mut dated = Vec::new();
        for (delay_ms, is_discontinuity) in
            [(0, false), (3000, true), (0, false), (1600, false), (20, false), (0, false)]
        {
            begins_at += Duration::from_millis(delay_ms);
            playlist.open(begins_at, INIT, is_discontinuity);
            grow(&mut playlist, 10);
            playlist.close();
            begins_at += PART * 10;
            let read = parsed(&playlist).segments;
            let count = read.iter().filter(|segment| segment.program_date_time.is_some()).count();
            dated.push(count);
        }
        assert_eq!(dated, [1, 2, 3, 0, 0, 3]);
    }

    #[test]
    fn a_discontinuity_that_leaves_the_window_is_counted() {
        let mut playlist = playlist(3);
        for number in 0..3 {
            assert_eq!(add(&mut playlist, 1, number == 1), [0; 0]);
        }
        assert_eq!(add(&mut playlist, 1, false), [100]);
        assert_eq!(parsed(&playlist).discontinuity_sequence, 0);
        assert_eq!(add(&mut playlist, 1, false), [101]);
        let read = parsed(&playlist);
        assert_eq!((read.media_sequence, read.discontinuity_sequence), (102, 1));
        assert_eq!(read.segments.len(), 3);
    }

    #[test]
    fn the_growing_segment_is_listed_by_its_parts() {
        let mut playlist = playlist(5);
        add(&mut playlist, 7, false);
        playlist.open(SystemTime::UNIX_EPOCH, INIT, true);
        assert_eq!(playlist.position(), Position { sequence: 101, parts: 0 });
        grow(&mut playlist, 2);
        // Bytes without playing time extend the previous part.
        playlist.append(Duration::ZERO, 50, PartStart::Between);
        assert_eq!(playlist.position(), Position { sequence: 101, parts: 2 });
        let text = playlist.render();
        let end: Vec<_> = text.lines().rev().take(3).collect();
        assert_eq!(
            end,
            [
                "#EXT-X-PART:DURATION=0.20000,URI=\"101.m4s\",BYTERANGE=\"1050@1000\"",
                "#EXT-X-PART:DURATION=0.20000,URI=\"101.m4s\",BYTERANGE=\"1000@0\",INDEPENDENT=YES",
                "#EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:00.000Z",
            ]
        );
        assert!(text.contains("\n#EXT-X-PART-INF:PART-TARGET=0.200\n"), "{text}");
        assert!(text.contains("CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=0.600,HOLD-BACK=6,"), "{text}");
    }

    #[test]
    fn parts_are_listed_only_near_the_end() {
        let mut playlist = playlist(10);
        for _ in 0..10 {
            add(&mut playlist, 7, false);
        }
        let text = playlist.render();
        let with_parts: Vec<_> = (100..110)
            .filter(|sequence| text.contains(&format!("URI=\"{sequence}.m4s\"")))
            .collect();
        assert_eq!(with_parts, [106, 107, 108, 109]);
    }

    #[test]
    fn a_delta_update_omits_older_segments() {
        let mut playlist = playlist(20);
        for _ in 0..5 {
            add(&mut playlist, 7, false);
        }
        assert_eq!(playlist.render_delta(), None, "nothing is old enough");
        for _ in 5..20 {
            add(&mut playlist, 7, false);
        }
        let (full, delta) = (playlist.render(), playlist.render_delta().expect("a delta"));
        let skipped: usize = delta
            .lines()
            .find_map(|line| line.strip_prefix("#EXT-X-SKIP:SKIPPED-SEGMENTS="))
            .expect("a skip tag")
            .parse()
            .expect("a number");
        // The last twelve seconds are never skipped.
        assert_eq!(skipped, 13);
        assert!(!delta.contains("#EXT-X-MAP"), "the player knows the map from a skipped segment");
        let segments = |text: &str| text.matches(".m4s\n").count();
        assert_eq!(segments(&full), segments(&delta) + skipped);
        let rest = full.split("#EXTINF").nth(skipped + 1).expect("a segment");
        assert!(delta.contains(rest.lines().next().expect("a line")));
    }

    #[test]
    fn a_position_has_the_finished_segments_and_parts_before_it() {
        let position = Position { sequence: 105, parts: 2 };
        let table = [
            (104, None, true),
            (104, Some(99), true),
            (105, None, false),
            (105, Some(0), true),
            (105, Some(1), true),
            (105, Some(2), false),
            (106, Some(0), false),
        ];
        for (sequence, part, expected) in table {
            assert_eq!(position.has(sequence, part), expected, "{sequence} {part:?}");
        }
        assert!(!position.is_too_far(106) && position.is_too_far(107));
    }

    #[test]
    fn a_longer_part_raises_the_part_target_while_it_is_listed() {
        let mut playlist = playlist(5);
        playlist.open(SystemTime::UNIX_EPOCH, INIT, false);
        playlist.append(Duration::from_millis(240), 10, PartStart::Keyframe);
        assert!(playlist.render().contains("PART-TARGET=0.240"));
        playlist.close();
        for _ in 0..5 {
            add(&mut playlist, 7, false);
        }
        assert!(playlist.render().contains("PART-TARGET=0.200"));
    }

    #[test]
    fn short_segments_stay_while_the_playlist_needs_their_playing_time() {
        let mut playlist = playlist(3);
        for _ in 0..20 {
            playlist.open(SystemTime::UNIX_EPOCH, INIT, false);
            grow(&mut playlist, 2);
            assert_eq!(playlist.close(), [], "{}", playlist.render());
            if playlist.segments.len() == 15 {
                break;
            }
        }
        // Fifteen segments of 0.4 s are as long as three target durations of 2 s. Another segment of 2 s
        // makes five of them unnecessary.
        assert_eq!(add(&mut playlist, 7, false), [100, 101, 102, 103, 104]);
    }

    #[test]
    fn the_playlist_has_a_keyframe_at_which_every_player_can_begin() {
        let mut playlist = playlist(5);
        let mut add = |begin| {
            playlist.open(SystemTime::UNIX_EPOCH, INIT, false);
            for part in 0..10 {
                playlist.append(PART, 1, if part == 0 { begin } else { PartStart::Between });
            }
            playlist.close();
            let begins_with_keyframe =
                playlist.segments().next().is_some_and(Segment::has_keyframe);
            (playlist.segments.len(), playlist.start(), begins_with_keyframe)
        };
        // A GOP of 10 s.
        for number in 0..50 {
            let is_keyframe = number % 5 == 0;
            let (length, start, begins_with_keyframe) =
                add(if is_keyframe { PartStart::Keyframe } else { PartStart::Between });
            if number > 10 {
                assert!((5..=9).contains(&length), "{length} segments of 2 s");
                assert!(
                    begins_with_keyframe,
                    "players that begin with the first segment see errors"
                );
                // `HOLD-BACK` is 6 s.
                assert!(start.is_some_and(|start| start.as_secs() <= 2 * length as u64 - 6));
            }
        }
        // From now on, no keyframe comes.
        for _ in 0..200 {
            add(PartStart::Between);
        }
        assert!((5..=62).contains(&add(PartStart::Between).0));
    }

    #[test]
    fn a_start_hint_leads_players_to_a_keyframe() {
        let mut playlist = playlist(10);
        let mut add = |parts: usize, begin: PartStart| {
            playlist.open(SystemTime::UNIX_EPOCH, INIT, false);
            for part in 0..parts {
                playlist.append(PART, 1000, if part == 0 { begin } else { PartStart::Between });
            }
            playlist.close();
            let text = playlist.render();
            let start =
                text.lines().find_map(|line| line.strip_prefix("#EXT-X-START:TIME-OFFSET="));
            start.map(str::to_owned)
        };
        assert_eq!(add(3, PartStart::Unmarked).as_deref(), Some("0.00000"));
        assert_eq!(add(2, PartStart::Between).as_deref(), Some("0.00000"));
        assert_eq!(add(5, PartStart::Between).as_deref(), Some("0.00000"));
        assert_eq!(add(2, PartStart::Keyframe).as_deref(), Some("0.00000"));
        assert_eq!(
            add(1, PartStart::Between),
            None,
            "all players begin at a keyframe without a hint"
        );
        // The second keyframe, at 2 s, and the third one, at 6.6 s, are too near to the end at first.
        assert_eq!(add(10, PartStart::Between).as_deref(), Some("0.00000"));
        assert_eq!(add(10, PartStart::Between).as_deref(), Some("0.00000"));
        assert_eq!(
            add(10, PartStart::Keyframe).as_deref(),
            Some("2.00000"),
            "only low-latency players begin at the last keyframe without a hint"
        );
        assert_eq!(add(10, PartStart::Between).as_deref(), Some("2.00000"));
        assert_eq!(add(10, PartStart::Between).as_deref(), Some("6.60000"));
    }
}
