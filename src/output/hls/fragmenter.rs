//! Joins frames into the fragments of MP4 that become the parts of segments. Pure.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::media::aac::AacConfig;
use crate::media::frame::{Format, Frame, Track};
use crate::media::mp4::fragments::fragment_head;
use crate::media::mp4::init::AudioConfig;
use crate::media::mp4::track::{Mp4Error, VIDEO_TIMESCALE};
use crate::output::hls::fragment::{Fragment, InitId, InitSegment, MediaEnd};
use crate::output::hls::time_line::TimeLine;
use crate::output::samples::{Samples, awaits_audio, end};
use crate::output::sound::Sound;

/// The wanted duration of a part, divided by this number, is the time by which a fragment can exceed the wanted
/// duration. Such a tolerance is needed, because frames do not come at exact intervals.
const TOLERANCE: u32 = 20;

/// A gap in the video that is at least this long is a jump of the camera's clock.
const MAX_VIDEO_GAP: Duration = Duration::from_secs(10);

/// The shortest distance between two frames that can be an interruption. The distance is not an interruption if the
/// estimated duration of the second frame is at least half the distance, because the camera then sends frames at
/// such intervals.
const INTERRUPTION: Duration = Duration::from_millis(500);

/// The most bytes of audio that wait for the end of a fragment: 16 seconds at 256 kbit/s.
const MAX_AUDIO: usize = 512 * 1024;

/// Joins the frames of one stream into fragments, over all its epochs.
#[derive(Debug)]
pub(super) struct Fragmenter {
    part_time: Duration,
    sequence_number: u32,
    format: Option<Arc<Format>>,
    init: Option<Arc<InitSegment>>,
    /// The last init segment in use and its bytes, while `init` is `None`.
    last_init: Option<(InitId, Bytes)>,
    /// The epoch of the last fragment.
    epoch: Option<u64>,
    time_line: TimeLine,
    video: Vec<Arc<Frame>>,
    /// True if `video` begins a segment.
    begins_segment: bool,
    audio: VecDeque<Arc<Frame>>,
    audio_bytes: usize,
    /// The sound of the time line so far; `None` before its first fragment with an audio track, and after `clear`.
    sound: Option<Sound>,
    /// The end of the video in the last fragment, on the time line.
    video_end: Option<Duration>,
    /// Frames of video that wait until the audio of the epoch is known.
    held: Vec<Arc<Frame>>,
}

impl Fragmenter {
    /// Creates a fragmenter whose fragments last for about `part_time` at most.
    pub(super) fn new(part_time: Duration) -> Self {
        Self {
            part_time,
            sequence_number: 0,
            format: None,
            init: None,
            last_init: None,
            epoch: None,
            time_line: TimeLine::default(),
            video: Vec::new(),
            begins_segment: false,
            audio: VecDeque::new(),
            audio_bytes: 0,
            sound: None,
            video_end: None,
            held: Vec::new(),
        }
    }

    /// Continues media that ended at `end`, as after an interruption. Must be called before the first frame.
    pub(super) fn continue_from(&mut self, end: MediaEnd) {
        self.last_init = Some((end.init, end.init_bytes));
        self.sound = end.audio.map(|audio| Sound::continuing(audio, end.video));
        self.video_end = Some(end.video);
    }

    /// Adds a frame, and appends the fragments that are now complete to `fragments`. Each fragment has video.
    ///
    /// `ends_segment` returns whether the growing segment ends before a keyframe that follows a fragment of the
    /// given duration. A fragment ends early before a keyframe only if the segment ends there. Otherwise, a
    /// short part would be in the middle of a segment. A fragment also ends early before an interruption, and
    /// before a frame that needs another init segment.
    pub(super) fn push(
        &mut self,
        frame: &Arc<Frame>,
        ends_segment: &dyn Fn(Duration) -> bool,
        fragments: &mut Vec<Fragment>,
    ) -> Result<(), Mp4Error> {
        if frame.track != Track::Video {
            self.push_audio(frame);
            return Ok(());
        }
        if self.awaits_audio(frame) {
            self.held.push(Arc::clone(frame));
            return Ok(());
        }
        for held in std::mem::take(&mut self.held) {
            // Held frames of the same epoch get the newest description, because it may include audio that was added
            // later.
            let is_older = held.format.epoch != frame.format.epoch;
            let format = if is_older { &held.format } else { &frame.format };
            self.push_video(&held, format, ends_segment, fragments)?;
        }
        self.push_video(frame, &frame.format, ends_segment, fragments)
    }

    /// Returns true if `frame` should wait, because it precedes the first fragment of its epoch and audio may
    /// still be added.
    fn awaits_audio(&self, frame: &Frame) -> bool {
        let is_begun = self.format.as_ref().is_some_and(|it| it.epoch == frame.format.epoch);
        !is_begun && awaits_audio(frame, &self.held)
    }

    fn push_video(
        &mut self,
        frame: &Arc<Frame>,
        format: &Arc<Format>,
        ends_segment: &dyn Fn(Duration) -> bool,
        fragments: &mut Vec<Fragment>,
    ) -> Result<(), Mp4Error> {
        let change = self.change(format);
        let (video_end, is_interrupted) = self.end_before(frame);
        let pending = self.pending(video_end);
        let is_new_segment = frame.is_keyframe
            && (self.video.is_empty() || !self.begins_segment)
            && ends_segment(pending);
        let is_too_long = pending + frame.duration > self.longest();
        if is_new_segment || is_too_long || is_interrupted || change == Change::Init {
            self.finish(video_end, fragments)?;
        }
        if self.video.is_empty() {
            self.begins_segment = is_new_segment;
        }
        if change == Change::Init {
            let last = self.init.take().map(|init| (init.id, init.bytes.clone()));
            self.last_init = last.or(self.last_init.take());
        }
        if change != Change::None {
            self.format = Some(Arc::clone(format));
        }
        self.video.push(Arc::clone(frame));
        if self.pending(end(frame)) + frame.duration > self.longest() {
            self.finish(end(frame), fragments)?;
        }
        Ok(())
    }

    /// Returns the duration of the video for the next fragment, which ends at `video_end`.
    fn pending(&self, video_end: Duration) -> Duration {
        let begin = self.video.first().map_or(video_end, |first| first.decode_time);
        video_end.saturating_sub(begin)
    }

    /// Returns the longest duration of a fragment with more than one frame of video.
    fn longest(&self) -> Duration {
        self.part_time + self.part_time / TOLERANCE
    }

    /// Returns the end of the video so far, and whether an interruption separates it from `next`. The last frame
    /// ends where `next` begins. Exception: if `next` follows an interruption or belongs to another epoch, the last
    /// frame ends after its estimated duration.
    fn end_before(&self, next: &Frame) -> (Duration, bool) {
        let Some(last) = self.video.last() else { return (next.decode_time, false) };
        let distance = next.decode_time.saturating_sub(last.decode_time);
        let is_usual = distance < INTERRUPTION || next.duration >= distance / 2;
        let is_known = is_usual && last.format.epoch == next.format.epoch;
        (if is_known { last.decode_time + distance } else { end(last) }, !is_usual)
    }

    /// Drops all frames that are not in a fragment yet, and the state of the sound.
    pub(super) fn clear(&mut self) {
        self.video.clear();
        self.held.clear();
        self.clear_audio();
        self.sound = None;
    }

    fn clear_audio(&mut self) {
        self.audio.clear();
        self.audio_bytes = 0;
    }

    /// Compares `format` with the description of the frames so far.
    fn change(&self, format: &Format) -> Change {
        let Some(before) = &self.format else { return Change::Init };
        if before.epoch != format.epoch {
            return Change::Init;
        }
        if before.version == format.version {
            return Change::None;
        }
        let is_video_same = before.parameter_sets == format.parameter_sets;
        if is_video_same && (self.init.is_none() || before.hls_audio() == format.hls_audio()) {
            return Change::Description;
        }
        Change::Init
    }

    /// Makes a fragment of the frames that have been added since the last one, if there is any video. The video
    /// ends at `video_end`.
    fn finish(
        &mut self,
        video_end: Duration,
        fragments: &mut Vec<Fragment>,
    ) -> Result<(), Mp4Error> {
        let video = std::mem::take(&mut self.video);
        let (Some(first), Some(format)) = (video.first(), self.format.clone()) else {
            return Ok(());
        };
        let init = match &self.init {
            Some(init) => Arc::clone(init),
            None => self.begin(&format, first)?,
        };
        let video: Vec<_> = video.iter().map(|frame| self.time_line.place(frame)).collect();
        let video_end = self.time_line.at(video_end);
        let (Some(first), Some(last)) = (video.first(), video.last()) else { return Ok(()) };
        let audio = format.hls_audio();
        let timescale = audio.map_or(1, |(_, config)| config.sample_rate);
        let sounds = audio
            .map_or_else(Vec::new, |audio| self.sounds(&format, audio, first, (last, video_end)));
        let audio_delay = match (&self.sound, audio) {
            (Some(sound), Some((_, config))) => sound.delay(config),
            _ => Duration::ZERO,
        };
        self.sequence_number = self.sequence_number.wrapping_add(1);
        let begin = self.video_begin(first);
        self.video_end = Some(video_end);
        let pictures = Samples::new(&video, video_end, VIDEO_TIMESCALE).from(begin);
        let sound_end = sounds.last().map_or(Duration::ZERO, |last| end(last));
        let sound = Samples::new(&sounds, sound_end, timescale);
        let head = fragment_head(self.sequence_number, pictures.run(), sound.run())?;
        let data = video.iter().chain(&sounds).map(|frame| frame.data.clone());
        let slices = std::iter::once(head.into()).chain(data).collect();
        fragments.push(Fragment {
            init,
            epoch: format.epoch,
            slices,
            is_keyframe: first.is_keyframe,
            later_keyframe: (video.iter().skip(1).rfind(|frame| frame.is_keyframe))
                .map(|keyframe| keyframe.decode_time.saturating_sub(first.decode_time)),
            decode_time: first.decode_time,
            duration: video_end.saturating_sub(first.decode_time),
            frames: u32::try_from(video.len()).unwrap_or(u32::MAX),
            audio_end: sounds.last().map(|last| end(last)),
            audio_delay,
            taken_at: first.taken_at,
        });
        self.clear_audio();
        Ok(())
    }

    /// Chooses the init segment and the time line of the next fragments, which begin with the frame `first`. Returns
    /// the init segment. If the init segment would have the same content as the last one, returns the last one. A new
    /// epoch then continues the time line, so that no discontinuity is needed, at which some players stop.
    fn begin(&mut self, format: &Format, first: &Frame) -> Result<Arc<InitSegment>, Mp4Error> {
        let audio = format.hls_audio().map(|(_, config)| AudioConfig::Aac(config.clone()));
        let new = InitSegment::new(format, audio.as_ref())?;
        let last = self.last_init.take().filter(|(_, bytes)| *bytes == new.bytes);
        let last = last.map(|(id, _)| id);
        let end = self.video_end.filter(|_| self.is_sound_continuous(format));
        let init = if self.epoch == Some(format.epoch) {
            InitSegment { id: last.unwrap_or(new.id), ..new }
        } else if let (Some(id), Some(end)) = (last, end) {
            self.time_line = TimeLine::new(first.decode_time, end);
            InitSegment { id, ..new }
        } else {
            self.time_line = TimeLine::default();
            self.sound = None;
            self.video_end = None;
            new
        };
        self.epoch = Some(format.epoch);
        Ok(Arc::clone(self.init.insert(Arc::new(init))))
    }

    /// Returns whether the audio of another epoch can continue the sound so far: gaps can be filled with silence, or
    /// there is no audio.
    fn is_sound_continuous(&self, format: &Format) -> bool {
        let is_filled = |(_, config): (Track, &AacConfig)| {
            self.sound.is_some() && config.silent_frame().is_some()
        };
        format.hls_audio().is_none_or(is_filled)
    }

    /// Returns the decode time with which the video of the next fragment begins: the end of the last fragment if
    /// `first` follows a gap, otherwise the decode time of `first`. The picture is still shown at its time. If
    /// decode times had a gap, browsers would drop all frames after it up to the next keyframe (Media Source
    /// Extensions, coded frame processing).
    fn video_begin(&self, first: &Frame) -> Duration {
        let begin = first.decode_time;
        let is_gap = |end: &Duration| *end < begin && begin.saturating_sub(*end) < MAX_VIDEO_GAP;
        self.video_end.filter(is_gap).unwrap_or(begin)
    }

    /// Returns the audio of a fragment with video from `first` to `last`, whose end is given as well.
    fn sounds(
        &mut self,
        format: &Format,
        (track, config): (Track, &AacConfig),
        first: &Frame,
        last: (&Frame, Duration),
    ) -> Vec<Arc<Frame>> {
        let is_wanted =
            |frame: &&Arc<Frame>| frame.track == track && frame.format.epoch == format.epoch;
        let arrived = self.audio.iter().filter(is_wanted);
        let arrived = arrived.map(|frame| self.time_line.place(frame)).collect();
        let sound = self.sound.get_or_insert_with(|| Sound::new(first.decode_time));
        sound.complete(arrived, config, last)
    }

    fn push_audio(&mut self, frame: &Arc<Frame>) {
        self.audio_bytes += frame.data.len();
        self.audio.push_back(Arc::clone(frame));
        while self.audio_bytes > MAX_AUDIO {
            let Some(oldest) = self.audio.pop_front() else { break };
            self.audio_bytes -= oldest.data.len();
        }
    }
}

/// The difference between two descriptions of a stream's tracks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    /// There is no difference.
    None,
    /// The difference does not concern the init segment.
    Description,
    /// The next frames need another init segment.
    Init,
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::media::frame::{AudioFormat, testing};
    use crate::output::hls::fragment::InitId;

    fn fragmenter() -> Fragmenter {
        Fragmenter::new(Duration::from_millis(120))
    }

    fn push(fragmenter: &mut Fragmenter, frames: impl IntoIterator<Item = Frame>) -> Vec<Fragment> {
        let mut fragments = Vec::new();
        for frame in frames {
            let pushed = fragmenter.push(&Arc::new(frame), &|_| true, &mut fragments);
            pushed.expect("frames that can be packaged");
        }
        fragments
    }

    /// Video of 25 frames per second.
    fn video(format: &Arc<Format>, numbers: std::ops::Range<u64>) -> impl Iterator<Item = Frame> {
        numbers.map(|n| testing::video(format, n % 10 == 0, n * 40, 40))
    }

    fn sound(format: &Arc<Format>, time: u64) -> Frame {
        let data = Bytes::from_static(b"sound");
        Frame { track: Track::Audio, data, ..testing::video(format, true, time, 20) }
    }

    fn with_audio(format: &Format, version: u32) -> Arc<Format> {
        let aac = AacConfig::parse(&[0x11, 0x88]).expect("a configuration");
        let parameter_sets = format.parameter_sets.clone();
        Arc::new(Format {
            epoch: format.epoch,
            version,
            is_converted: false,
            picture: parameter_sets.picture().expect("parameter sets"),
            parameter_sets,
            audio: Some(AudioFormat::Aac(aac)),
            aac: None,
            awaits_audio: false,
        })
    }

    /// Returns the beginning and the duration in milliseconds, and the number of frames, of each fragment.
    fn summary(fragments: &[Fragment]) -> Vec<(u128, u128, u32)> {
        let ms = |time: Duration| time.as_millis();
        let one = |it: &Fragment| (ms(it.decode_time), ms(it.duration), it.frames);
        fragments.iter().map(one).collect()
    }

    #[test]
    fn a_fragment_lasts_for_a_part_and_ends_before_a_keyframe() {
        let fragments = push(&mut fragmenter(), video(&testing::format(7), 0..13));
        let expected = [(0, 120, 3), (120, 120, 3), (240, 120, 3), (360, 40, 1), (400, 120, 3)];
        assert_eq!(summary(&fragments), expected);
        let keyframes: Vec<_> = fragments.iter().map(|it| it.is_keyframe).collect();
        assert_eq!(keyframes, [true, false, false, false, true]);
    }

    /// RFC 8216bis allows only the last part of a segment to be short.
    #[test]
    fn a_fragment_continues_after_a_keyframe_that_begins_no_segment() {
        let format = testing::format(7);
        for (is_end, expected) in [(true, vec![80, 80, 40, 80, 80]), (false, vec![80; 4])] {
            let mut fragmenter = Fragmenter::new(Duration::from_millis(100));
            let mut fragments = Vec::new();
            for n in 0..9 {
                let frame = Arc::new(testing::video(&format, n % 5 == 0, n * 40, 40));
                fragmenter.push(&frame, &|_| is_end, &mut fragments).expect("a frame");
            }
            let durations: Vec<_> = fragments.iter().map(|it| it.duration.as_millis()).collect();
            assert_eq!(durations, expected);
            let keyframe = fragments.iter().find_map(|fragment| fragment.later_keyframe);
            assert_eq!(keyframe, (!is_end).then_some(Duration::from_millis(40)));
        }
    }

    #[test]
    fn a_long_frame_interval_is_a_duration_but_an_interruption_is_not() {
        let format = testing::format(7);
        let frame =
            |n: u64| testing::video(&format, true, n * 5000, if n == 0 { 40 } else { 5000 });
        let fragments = push(&mut fragmenter(), (0..3).map(frame));
        assert_eq!(summary(&fragments), [(0, 5000, 1), (5000, 5000, 1), (10_000, 5000, 1)]);
        // The frame before an interruption keeps its usual duration.
        let frames = [(0, 40), (3000, 40), (3040, 40), (3080, 40)];
        let frames =
            frames.map(|(time, duration)| testing::video(&format, time == 0, time, duration));
        let fragments = push(&mut fragmenter(), frames);
        assert_eq!(summary(&fragments), [(0, 40, 1), (3000, 120, 3)]);
    }

    #[test]
    fn a_fragment_ends_before_the_frame_that_would_make_it_too_long() {
        let mut fragmenter = Fragmenter::new(Duration::from_millis(100));
        let fragments = push(&mut fragmenter, video(&testing::format(7), 0..4));
        assert_eq!(summary(&fragments), [(0, 80, 2), (80, 80, 2)]);
    }

    #[test]
    fn a_frame_that_is_longer_than_a_part_is_a_fragment() {
        let format = testing::format(7);
        let frames = (0..3).map(|n| testing::video(&format, n == 0, n * 200, 200));
        let fragments = push(&mut fragmenter(), frames);
        assert_eq!(summary(&fragments), [(0, 200, 1), (200, 200, 1), (400, 200, 1)]);
    }

    /// Returns the decode time of a fragment's first track, in units of the track's clock.
    fn base_time(fragment: &Fragment) -> u64 {
        let head = &fragment.slices[0];
        let at = head.windows(4).position(|name| name == b"tfdt").expect("a tfdt") + 8;
        u64::from_be_bytes(head[at..at + 8].try_into().expect("eight bytes"))
    }

    #[test]
    fn video_after_a_gap_begins_at_the_end_of_the_video_before() {
        let format = testing::format(7);
        let mut fragmenter = fragmenter();
        let frames = video(&format, 0..3).chain(video(&format, 6..9));
        let fragments = push(&mut fragmenter, frames);
        assert_eq!(summary(&fragments), [(0, 120, 3), (240, 120, 3)], "shown at its time");
        assert_eq!(base_time(&fragments[1]), 120 * 90);
        let jump = push(&mut fragmenter, video(&format, 1000..1003));
        assert_eq!(base_time(&jump[0]), 40_000 * 90, "a jump of the clock");
    }

    /// Some players stop at a discontinuity.
    #[test]
    fn an_epoch_with_the_same_init_segment_continues_the_time_line() {
        let mut fragmenter = fragmenter();
        let epoch = |number: u64, from: u64| {
            let format = with_audio(&testing::format(number), 0);
            let sounds = (0..24).map(|n| sound(&format, from * 40 + n * 64)).collect::<Vec<_>>();
            sounds.into_iter().chain(video(&format, from..from + 31).collect::<Vec<_>>())
        };
        push(&mut fragmenter, epoch(7, 1000));
        for (number, from, first) in [(8, 20, 31), (9, 100_000, 62)] {
            let fragments = push(&mut fragmenter, epoch(number, from));
            // The last frame of the epoch before was still waiting.
            let begin = fragments.iter().find(|it| it.epoch == number).expect("a fragment");
            assert_eq!(begin.decode_time, Duration::from_millis(40_000 + first * 40));
            assert_eq!(base_time(begin), (40_000 + first * 40) * 90);
            assert_eq!(begin.init.id, InitId { epoch: 7, version: 0 });
            let ends = fragments.iter().map(|it| it.decode_time + it.duration);
            let begins = fragments.iter().skip(1).map(|it| it.decode_time);
            assert!(ends.zip(begins).all(|(end, begin)| end == begin), "{:?}", summary(&fragments));
        }
        let other = push(&mut fragmenter, video(&testing::format(10), 0..7));
        let begin = other.last().expect("a fragment");
        assert_eq!((begin.init.id.epoch, begin.decode_time.as_millis()), (10, 120), "no audio");
    }

    #[test]
    fn audio_is_in_the_fragment_that_was_growing_when_it_arrived() {
        let format = with_audio(&testing::format(7), 0);
        let mut fragmenter = fragmenter();
        let without = push(&mut fragmenter, video(&format, 0..3)).remove(0).size();
        let frames = video(&format, 3..5).chain([sound(&format, 120)]).chain(video(&format, 5..6));
        let with = push(&mut fragmenter, frames).remove(0);
        assert!(with.size() > without + 5 && with.slices.ends_with(&[Bytes::from("sound")]));
        let later = push(&mut fragmenter, video(&format, 6..9)).remove(0);
        assert_eq!(later.size(), without, "each packet is written once");
    }

    #[test]
    fn the_first_fragment_waits_for_audio_that_may_be_added() {
        let known = testing::format(7);
        let with = with_audio(&known, 1);
        let unknown = Arc::new(Format { awaits_audio: true, audio: None, ..copy(&with, 0) });
        let mut fragmenter = fragmenter();
        assert!(push(&mut fragmenter, video(&unknown, 0..7)).is_empty());
        let fragments = push(&mut fragmenter, video(&with, 7..8));
        assert_eq!(summary(&fragments), [(0, 120, 3), (120, 120, 3)]);
        assert!(fragments[0].init.codecs.contains("mp4a"), "{}", fragments[0].init.codecs);
    }

    #[test]
    fn the_first_fragment_does_not_wait_long_for_audio() {
        let unknown = Arc::new(Format { awaits_audio: true, ..copy(&testing::format(7), 0) });
        let mut fragmenter = fragmenter();
        assert!(push(&mut fragmenter, video(&unknown, 0..25)).is_empty());
        let fragments = push(&mut fragmenter, video(&unknown, 25..26));
        assert_eq!(summary(&fragments)[..2], [(0, 120, 3), (120, 120, 3)]);
        // The audio comes later, so another init segment is needed.
        let with = with_audio(&unknown, 1);
        let fragments = push(&mut fragmenter, video(&with, 26..33));
        let last = fragments.last().expect("a fragment");
        assert_eq!(last.init.id, InitId { epoch: 7, version: 1 });
        assert!(last.init.codecs.contains("mp4a"));
    }

    #[test]
    fn buffered_audio_is_limited_while_no_video_arrives() {
        let format = with_audio(&testing::format(7), 0);
        let mut fragmenter = fragmenter();
        let frames = (0..10).map(|n| {
            let data = Bytes::from(vec![0; MAX_AUDIO / 4]);
            Frame { data, ..sound(&format, n * 20) }
        });
        assert!(push(&mut fragmenter, frames).is_empty());
        assert_eq!(fragmenter.audio.len(), 4);
    }

    fn copy(format: &Format, version: u32) -> Format {
        let parameter_sets = format.parameter_sets.clone();
        Format {
            epoch: format.epoch,
            version,
            is_converted: false,
            picture: parameter_sets.picture().expect("parameter sets"),
            parameter_sets,
            audio: format.audio.clone(),
            aac: None,
            awaits_audio: false,
        }
    }
}
