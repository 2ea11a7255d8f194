//! The text of a media playlist: which of its segments and parts are rendered, and how.

use std::fmt::Write as _;
use std::time::Duration;

use super::{HOLD_BACK, Playlist};
use crate::output::hls::layout;
use crate::output::hls::segment::{PartStart, Segment};

/// Parts are listed for segments that end at most this many target durations before the end of the
/// playlist. Players that are further behind load whole segments.
const PARTS_WITHIN: u32 = 3;
/// `PART-HOLD-BACK` in part targets: the value that the draft recommends. If the audio is late, more is added.
const PART_HOLD_BACK: u32 = 3;
/// A part that is more than this many times as long as another one is much longer.
const MUCH_LONGER: u32 = 2;
/// The dates are interrupted if a segment's date differs by more than this from the date at which the previous segment
/// ends. Usual corrections of the dates are smaller: at most 1 % of the duration of a segment.
const INTERRUPTION: Duration = Duration::from_millis(100);
/// `CAN-SKIP-UNTIL` in target durations: the smallest value that the draft allows.
const SKIP_BOUNDARY: u32 = 6;

impl Playlist {
    /// Renders the playlist. It never has an `EXT-X-ENDLIST`, because players would stop there,
    /// although the stream may continue.
    pub(crate) fn render(&self) -> String {
        self.render_without(0)
    }

    /// Renders a delta update, which omits the segments that players already know. Returns `None` while
    /// the playlist is too short for that.
    pub(crate) fn render_delta(&self) -> Option<String> {
        let skipped = self.older_than(SKIP_BOUNDARY);
        (skipped > 0).then(|| self.render_without(skipped))
    }

    fn render_without(&self, skipped: usize) -> String {
        let mut text = String::with_capacity(512 + 512 * self.segments.len());
        let first = self.all().next();
        self.render_head(&mut text, first.map_or(self.next_sequence, |segment| segment.sequence));
        if skipped > 0 {
            line(&mut text, format_args!("#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}"));
        }
        let (parts_from, has_dates) = (self.first_with_parts(), self.has_dates());
        let mut init = None;
        for (index, segment) in self.all().enumerate() {
            let is_new_map = init.replace(segment.init) != Some(segment.init);
            if index < skipped {
                continue;
            }
            if segment.is_discontinuity {
                line(&mut text, format_args!("#EXT-X-DISCONTINUITY"));
            }
            if is_new_map {
                let name = layout::init_name(segment.init);
                line(&mut text, format_args!("#EXT-X-MAP:URI=\"{name}\""));
            }
            if has_dates {
                let time = humantime::format_rfc3339_millis(segment.begins_at);
                line(&mut text, format_args!("#EXT-X-PROGRAM-DATE-TIME:{time}"));
            }
            let is_finished = index < self.segments.len();
            render_media(&mut text, segment, index >= parts_from, is_finished);
        }
        text
    }

    fn render_head(&self, text: &mut String, first: u64) {
        let target = self.target_duration;
        let part_target = self.part_target().as_secs_f64();
        line(text, format_args!("#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:{target}"));
        line(
            text,
            format_args!(
                "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK={:.3},HOLD-BACK={},\
                 CAN-SKIP-UNTIL={}",
                self.part_hold_back().as_secs_f64(),
                self.targets(HOLD_BACK).as_secs(),
                self.targets(SKIP_BOUNDARY).as_secs()
            ),
        );
        line(text, format_args!("#EXT-X-PART-INF:PART-TARGET={part_target:.3}"));
        if let Some(start) = self.start() {
            line(text, format_args!("#EXT-X-START:TIME-OFFSET={:.5}", start.as_secs_f64()));
        }
        line(text, format_args!("#EXT-X-MEDIA-SEQUENCE:{first}"));
        line(text, format_args!("#EXT-X-DISCONTINUITY-SEQUENCE:{}", self.discontinuity_sequence));
    }

    /// Returns the value of `EXT-X-START`, counted from the first segment; `None` if players need no hint, or if
    /// there is no keyframe at which they can begin. Low-latency players begin in the last segment that starts at
    /// least `PART-HOLD-BACK` before the end. They need no hint if this segment starts with a keyframe that is
    /// marked `INDEPENDENT`. Other players begin in the last segment that starts at least `HOLD-BACK` before the end.
    /// They need no hint if this segment starts with a keyframe, marked or not. If one kind of player needs a hint,
    /// returns the start of the last segment with a keyframe that is at least `HOLD-BACK` before the end. If there is
    /// no such segment, returns the start of the last segment with a keyframe that is at least `PART-HOLD-BACK` before
    /// the end.
    ///
    /// Segments that were taken over from an earlier playlist do not count, because their pictures may be old. While
    /// all other segments together are shorter than `HOLD-BACK`, players that join need a hint.
    pub(super) fn start(&self) -> Option<Duration> {
        let own: Duration = self.own().map(Segment::duration).sum();
        let taken_over = self.all().take_while(|segment| segment.sequence < self.first_own);
        let taken_over: Duration = taken_over.map(Segment::duration).sum();
        let has_hint = !taken_over.is_zero() && own < self.targets(HOLD_BACK);
        let near = own.saturating_sub(self.part_hold_back());
        let far = own.saturating_sub(self.targets(HOLD_BACK));
        let mut begin = Duration::ZERO;
        let (mut start, mut is_found_near, mut is_found_far) = (None, true, true);
        for segment in self.own() {
            if begin > near {
                break;
            }
            is_found_near = segment.begin() == Some(PartStart::Keyframe);
            if begin <= far {
                is_found_far = segment.has_keyframe();
            }
            if segment.has_keyframe() && (begin <= far || start.is_none_or(|start| start > far)) {
                start = Some(begin);
            }
            begin += segment.duration();
        }
        start
            .filter(|_| has_hint || !is_found_near || !is_found_far)
            .map(|start| taken_over + start)
    }

    /// Returns `PART-TARGET`: the duration of the longest listed part, or the wanted duration if no part is
    /// listed. A larger value would increase the latency, because players stay three part targets behind the end.
    fn part_target(&self) -> Duration {
        let named = self.all().skip(self.first_with_parts());
        let longest = named.flat_map(|segment| &segment.parts).map(|part| part.duration).max();
        // `PART-TARGET` is rendered in whole milliseconds. It is rounded up, because no part may exceed it.
        let millis = longest.unwrap_or(self.part_time).as_nanos().div_ceil(1_000_000);
        Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
    }

    /// Returns `PART-HOLD-BACK`: the time by which low-latency players stay behind. Three part targets are enough
    /// for audio that is late by up to one part target. If the audio is later, players need more time, because they
    /// play only as far as they have both video and audio.
    fn part_hold_back(&self) -> Duration {
        let part_target = self.part_target();
        part_target * PART_HOLD_BACK + self.audio_delay.saturating_sub(part_target)
    }

    /// Returns the index of the first segment whose parts this playlist or a later one can list.
    pub(in crate::output::hls) fn parts_from(&self) -> usize {
        self.older_than(PARTS_WITHIN)
    }

    /// Returns the index of the first segment whose parts are listed. This is the first segment near the end after
    /// which no segment has much longer parts. If the camera has become slow, the earlier parts are much shorter than
    /// `PART-TARGET`, which is allowed only for the last part of a segment.
    fn first_with_parts(&self) -> usize {
        let near = self.parts_from();
        let mut longest = Duration::ZERO;
        let indices = near..self.all().count();
        for (index, segment) in indices.rev().zip(self.all().rev()) {
            let durations = || segment.parts.iter().map(|part| part.duration);
            let inner = durations().take(segment.parts.len().saturating_sub(1));
            if inner.min().is_some_and(|shortest| shortest * MUCH_LONGER < longest) {
                return index + 1;
            }
            longest = longest.max(durations().max().unwrap_or_default());
        }
        near
    }

    /// Returns whether the segments are listed with dates: only if the dates are never interrupted, except at a
    /// discontinuity. hls.js checks whether the dates of any two segments without a discontinuity between them agree
    /// with the durations, even if the segments are from two versions of the playlist. If they did not agree, hls.js
    /// would be wrong about the times of all segments, and would stop loading for seconds. hls.js also computes missing
    /// dates from the dates of later segments. So no segment is listed with a date until the segments before the
    /// interruption have left the playlist.
    fn has_dates(&self) -> bool {
        let mut pairs = self.all().zip(self.all().skip(1));
        !pairs.any(|(segment, next)| is_interruption(segment, next))
    }

    /// Returns the number of segments that end more than `targets` target durations before the end.
    fn older_than(&self, targets: u32) -> usize {
        let boundary = self.targets(targets);
        let mut after = self.open.as_ref().map_or(Duration::ZERO, Segment::duration);
        for (index, segment) in self.segments.iter().enumerate().rev() {
            if after > boundary {
                return index + 1;
            }
            after += segment.duration();
        }
        0
    }
}

/// Returns whether `next`, which is not a discontinuity, begins at another time than `segment` ends.
fn is_interruption(segment: &Segment, next: &Segment) -> bool {
    let end = segment.begins_at + segment.duration();
    let difference = next.begins_at.duration_since(end).unwrap_or_else(|error| error.duration());
    !next.is_discontinuity && difference > INTERRUPTION
}

/// Renders the parts of a segment, and the segment if it is finished.
fn render_media(text: &mut String, segment: &Segment, has_parts: bool, is_finished: bool) {
    let name = layout::segment_name(segment.sequence);
    for part in segment.parts.iter().filter(|_| has_parts) {
        let duration = part.duration.as_secs_f64();
        let independent = if part.begin == PartStart::Keyframe { ",INDEPENDENT=YES" } else { "" };
        line(
            text,
            format_args!(
                "#EXT-X-PART:DURATION={duration:.5},URI=\"{name}\",BYTERANGE=\"{}@{}\"{independent}",
                part.length, part.offset
            ),
        );
    }
    if is_finished {
        let duration = segment.duration().as_secs_f64();
        line(text, format_args!("#EXTINF:{duration:.5},\n{name}"));
    }
}

fn line(text: &mut String, content: std::fmt::Arguments<'_>) {
    // Writing to a String does not fail.
    let _ = writeln!(text, "{content}");
}
