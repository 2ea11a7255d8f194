//! Joins frames into the fragments of recorded files. Pure.
//!
//! A keyframe is a fragment of its own, so that players can fetch it alone. Other fragments last for a second at most.
//! A fragment ends where the next frame begins, so that fragments have no gaps. In contrast to HLS, no viewer waits for the
//! fragment, and so the next frame can be awaited.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::time::Instant;

use crate::media::aac::AacConfig;
use crate::media::frame::{Format, Frame, Track};
use crate::media::mp4::fragments::fragment_head;
use crate::media::mp4::frame_table::{TableFrame, frames_of_fragment};
use crate::media::mp4::init::{AudioConfig, init_segment};
use crate::media::mp4::track::{Mp4Error, VIDEO_TIMESCALE};
use crate::output::samples::{Samples, awaits_audio, end};
use crate::output::sound::Sound;

/// The longest playing time of a fragment.
const LONGEST: Duration = Duration::from_secs(1);
/// The shortest distance between two keyframes that are fragments of their own. Closer keyframes, as of cameras that send
/// only keyframes, are treated as other frames, because the lists of fragments would otherwise be long.
const KEYFRAME_DISTANCE: Duration = Duration::from_millis(500);
/// A distance between two frames of video that is at least this long ends the span. A shorter one makes the frame before
/// it last longer.
const MAX_VIDEO_GAP: Duration = Duration::from_secs(10);
/// The most bytes of audio that wait for the end of a fragment: 16 seconds at 256 kbit/s.
const MAX_AUDIO: usize = 512 * 1024;

/// The init segment of a span.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Init {
    /// `ftyp` and `moov`.
    pub(crate) bytes: Bytes,
    /// The RFC 6381 codecs of the tracks, separated by commas.
    pub(crate) codecs: String,
    /// Width and height of the picture in pixels.
    pub(crate) size: (u16, u16),
    /// Ticks per second of the audio track; `None` without audio.
    pub(crate) audio_timescale: Option<u32>,
}

/// A fragment of a recorded file.
#[derive(Debug)]
pub(crate) struct MadeFragment {
    /// The init segment of the file.
    pub(crate) init: Arc<Init>,
    /// True if the fragment continues the previous one: without a gap, and with the same init segment.
    pub(crate) is_continuous: bool,
    /// True if the fragment is a keyframe.
    pub(crate) is_keyframe: bool,
    /// Decode time of the first frame of video, on the epoch's clock.
    pub(crate) begin: Duration,
    /// The end of the last frame of video, on the same clock.
    pub(crate) end: Duration,
    /// The number of frames of video.
    pub(crate) frames: u32,
    /// The epoch of the frames.
    pub(crate) epoch: u64,
    /// The time at which the first frame arrived.
    pub(crate) received_at: Instant,
    /// The time at which the camera took the first frame.
    pub(crate) taken_at: SystemTime,
    /// The bytes: the head of the fragment, and the media data. Media is not copied.
    pub(crate) slices: Vec<Bytes>,
    /// The size of the head in bytes.
    pub(crate) head_size: usize,
    /// The frames, with the numbers of their tracks. Positions count from the beginning of the media data.
    pub(crate) table: Vec<(u32, TableFrame)>,
}

impl MadeFragment {
    /// Returns the size in bytes.
    pub(crate) fn size(&self) -> usize {
        self.slices.iter().map(Bytes::len).sum()
    }
}

/// Joins the frames of one stream into fragments, over all its epochs.
#[derive(Debug)]
pub(crate) struct Fragmenter {
    sequence_number: u32,
    format: Option<Arc<Format>>,
    init: Option<Arc<Init>>,
    /// The frames of video of the next fragment.
    video: Vec<Arc<Frame>>,
    /// True if `video` begins with a keyframe that becomes a fragment of its own.
    is_lone_keyframe: bool,
    /// The decode time of the last keyframe that was a fragment of its own.
    last_keyframe: Option<Duration>,
    audio: Vec<Arc<Frame>>,
    audio_bytes: usize,
    sound: Option<Sound>,
    /// The end of the last fragment with audio.
    audio_until: Duration,
    /// Frames of video that wait until the audio of the epoch is known.
    held: Vec<Arc<Frame>>,
    /// True if frames of video are left out until the next keyframe.
    awaits_keyframe: bool,
    /// True if the next fragment continues the last one.
    is_continuous: bool,
}

impl Fragmenter {
    /// Creates a fragmenter that waits for a keyframe.
    pub(crate) fn new() -> Self {
        Self {
            sequence_number: 0,
            format: None,
            init: None,
            video: Vec::new(),
            is_lone_keyframe: false,
            last_keyframe: None,
            audio: Vec::new(),
            audio_bytes: 0,
            sound: None,
            audio_until: Duration::ZERO,
            held: Vec::new(),
            awaits_keyframe: true,
            is_continuous: false,
        }
    }

    /// Adds a frame, and appends the fragments that are now complete to `made`. Returns true if a keyframe is needed.
    pub(crate) fn push(
        &mut self,
        frame: &Arc<Frame>,
        made: &mut Vec<MadeFragment>,
    ) -> Result<bool, Mp4Error> {
        if frame.track != Track::Video {
            self.push_audio(frame);
            return Ok(false);
        }
        if self.awaits_audio(frame) {
            self.held.push(Arc::clone(frame));
            return Ok(false);
        }
        for held in std::mem::take(&mut self.held) {
            // Held frames of the same epoch get the newest description, because it may include audio that was added
            // later.
            let is_older = held.format.epoch != frame.format.epoch;
            let format = if is_older { &held.format } else { &frame.format };
            self.push_video(&held, format, made)?;
        }
        self.push_video(frame, &frame.format, made)?;
        Ok(self.awaits_keyframe)
    }

    /// Returns the time at which the frame should arrive that ends the present fragment; `None` without a fragment that
    /// lasts.
    pub(crate) fn ends_at(&self) -> Option<Instant> {
        let first = self.video.first().filter(|_| !self.is_lone_keyframe)?;
        Some(first.received_at + LONGEST)
    }

    /// Makes a fragment of the frames that have been added since the last one, and ends the span: the next fragment
    /// does not continue this one, and begins with a keyframe.
    pub(crate) fn interrupt(&mut self, made: &mut Vec<MadeFragment>) -> Result<(), Mp4Error> {
        let finished = match self.video.last().map(|last| end(last)) {
            Some(video_end) => self.finish(video_end, made),
            None => Ok(()),
        };
        self.clear();
        finished
    }

    /// Drops all frames that are not in a fragment yet, and ends the span.
    pub(crate) fn clear(&mut self) {
        let (sequence_number, format) = (self.sequence_number, self.format.take());
        *self = Self { sequence_number, format, ..Self::new() };
    }

    fn awaits_audio(&self, frame: &Frame) -> bool {
        let is_begun = self.init.is_some()
            && self.format.as_ref().is_some_and(|it| it.epoch == frame.format.epoch);
        !is_begun && awaits_audio(frame, &self.held)
    }

    fn push_video(
        &mut self,
        frame: &Arc<Frame>,
        format: &Arc<Format>,
        made: &mut Vec<MadeFragment>,
    ) -> Result<(), Mp4Error> {
        let is_other_epoch =
            self.format.as_ref().is_some_and(|before| before.epoch != format.epoch);
        let gap = self.video.last().map(|last| frame.decode_time.saturating_sub(last.decode_time));
        if is_other_epoch || gap.is_some_and(|gap| gap >= MAX_VIDEO_GAP) {
            self.interrupt(made)?;
        } else if self.ends_before(frame, format) {
            self.finish(frame.decode_time, made)?;
        }
        if self.needs_other_init(format) {
            (self.init, self.sound) = (None, None);
            self.is_continuous = false;
            // Another init segment needs a keyframe.
            self.awaits_keyframe = true;
        }
        self.format = Some(Arc::clone(format));
        if self.awaits_keyframe && !frame.is_keyframe {
            return Ok(());
        }
        self.awaits_keyframe = false;
        if self.video.is_empty() {
            let is_far = |last| frame.decode_time.saturating_sub(last) >= KEYFRAME_DISTANCE;
            self.is_lone_keyframe = frame.is_keyframe && self.last_keyframe.is_none_or(is_far);
            if self.is_lone_keyframe {
                self.last_keyframe = Some(frame.decode_time);
            }
        }
        self.video.push(Arc::clone(frame));
        Ok(())
    }

    /// Returns true if the fragment ends before `frame`.
    fn ends_before(&self, frame: &Frame, format: &Format) -> bool {
        let Some(first) = self.video.first() else { return false };
        let duration = (frame.decode_time + frame.duration).saturating_sub(first.decode_time);
        let since_keyframe =
            self.last_keyframe.map_or(Duration::MAX, |last| frame.decode_time.saturating_sub(last));
        self.is_lone_keyframe
            || duration > LONGEST
            || frame.is_keyframe && since_keyframe >= KEYFRAME_DISTANCE
            || self.needs_other_init(format)
    }

    /// Returns true if frames with this description need another init segment than the frames so far.
    fn needs_other_init(&self, format: &Format) -> bool {
        let Some(before) = &self.format else { return false };
        before.version != format.version
            && (before.parameter_sets != format.parameter_sets
                || before.hls_audio() != format.hls_audio())
    }

    /// Makes a fragment of the frames that have been added since the last one, if there is any video. The video ends
    /// at `video_end`.
    fn finish(
        &mut self,
        video_end: Duration,
        made: &mut Vec<MadeFragment>,
    ) -> Result<(), Mp4Error> {
        let video = std::mem::take(&mut self.video);
        let (Some(first), Some(last), Some(format)) =
            (video.first(), video.last(), self.format.clone())
        else {
            return Ok(());
        };
        let init = match &self.init {
            Some(init) => Arc::clone(init),
            None => Arc::clone(self.init.insert(Arc::new(init_of(&format)?))),
        };
        let sounds = match format.hls_audio() {
            Some(audio) if self.takes_audio(video_end) => {
                self.audio_until = video_end;
                self.sounds(&format, audio, first, (last, video_end))
            }
            _ => Vec::new(),
        };
        self.sequence_number = self.sequence_number.wrapping_add(1);
        let pictures = Samples::new(&video, video_end, VIDEO_TIMESCALE);
        let sound_end = sounds.last().map_or(Duration::ZERO, |last| end(last));
        let sound = Samples::new(&sounds, sound_end, init.audio_timescale.unwrap_or(1));
        let head = fragment_head(self.sequence_number, pictures.run(), sound.run())?;
        let head_size = head.len();
        let table = frames_of_fragment(&pictures.run(), &sound.run());
        let data = video.iter().chain(&sounds).map(|frame| frame.data.clone());
        made.push(MadeFragment {
            init,
            is_continuous: std::mem::replace(&mut self.is_continuous, true),
            is_keyframe: self.is_lone_keyframe,
            begin: first.decode_time,
            end: video_end,
            frames: u32::try_from(video.len()).unwrap_or(u32::MAX),
            epoch: format.epoch,
            received_at: first.received_at,
            taken_at: first.taken_at,
            slices: std::iter::once(head.into()).chain(data).collect(),
            head_size,
            table,
        });
        Ok(())
    }

    /// Returns true if audio is in the fragment that ends at `video_end`. A keyframe is without audio, unless there has
    /// been no other fragment for a second.
    fn takes_audio(&self, video_end: Duration) -> bool {
        !self.is_lone_keyframe || video_end.saturating_sub(self.audio_until) > LONGEST
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
            |frame: &Arc<Frame>| frame.track == track && frame.format.epoch == format.epoch;
        let arrived = std::mem::take(&mut self.audio).into_iter().filter(is_wanted).collect();
        self.audio_bytes = 0;
        let sound = self.sound.get_or_insert_with(|| Sound::new(first.decode_time));
        sound.complete(arrived, config, last)
    }

    fn push_audio(&mut self, frame: &Arc<Frame>) {
        if self.audio_bytes + frame.data.len() > MAX_AUDIO {
            // There has been no video for a long time.
            self.audio.clear();
            self.audio_bytes = 0;
        }
        self.audio_bytes += frame.data.len();
        self.audio.push(Arc::clone(frame));
    }
}

/// Returns the init segment for frames of this format.
fn init_of(format: &Format) -> Result<Init, Mp4Error> {
    let audio = format.hls_audio().map(|(_, config)| AudioConfig::Aac(config.clone()));
    let codecs = [Some(format.picture.codec.clone()), audio.as_ref().map(AudioConfig::codec)];
    Ok(Init {
        bytes: init_segment(Some(&format.parameter_sets), audio.as_ref())?,
        codecs: codecs.into_iter().flatten().collect::<Vec<_>>().join(","),
        size: (format.picture.width, format.picture.height),
        audio_timescale: audio.as_ref().map(AudioConfig::timescale),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::frame::testing;

    fn push(
        fragmenter: &mut Fragmenter,
        frames: impl IntoIterator<Item = Frame>,
    ) -> Vec<MadeFragment> {
        let mut made = Vec::new();
        for frame in frames {
            fragmenter.push(&Arc::new(frame), &mut made).expect("frames that can be recorded");
        }
        made
    }

    /// Video of 25 frames per second, with a keyframe every two seconds.
    fn video(format: &Arc<Format>, numbers: std::ops::Range<u64>) -> impl Iterator<Item = Frame> {
        numbers.map(|n| testing::video(format, n % 50 == 0, n * 40, 40))
    }

    fn ms(time: Duration) -> u128 {
        time.as_millis()
    }

    /// Returns the beginning and the end in milliseconds, the number of frames, and whether it is a keyframe, of each
    /// fragment.
    fn summary(made: &[MadeFragment]) -> Vec<(u128, u128, u32, bool)> {
        made.iter().map(|it| (ms(it.begin), ms(it.end), it.frames, it.is_keyframe)).collect()
    }

    #[test]
    fn a_keyframe_is_a_fragment_and_others_last_for_a_second() {
        let made = push(&mut Fragmenter::new(), video(&testing::format(7), 0..102));
        let expected = [
            (0, 40, 1, true),
            (40, 1040, 25, false),
            (1040, 2000, 24, false),
            (2000, 2040, 1, true),
            (2040, 3040, 25, false),
            (3040, 4000, 24, false),
            (4000, 4040, 1, true),
        ];
        assert_eq!(summary(&made), expected);
        assert!(!made[0].is_continuous && made[1..].iter().all(|it| it.is_continuous));
        assert_eq!(made[1].table.len(), 25);
        assert_eq!(made[1].size(), made[1].head_size + 25_000);
    }

    #[test]
    fn a_fragment_should_be_complete_a_second_after_its_first_frame() {
        let format = testing::format(7);
        let (mut fragmenter, mut made) = (Fragmenter::new(), Vec::new());
        assert_eq!(fragmenter.ends_at(), None);
        let frames: Vec<_> = video(&format, 0..30).map(Arc::new).collect();
        for (n, frame) in frames.iter().enumerate() {
            fragmenter.push(frame, &mut made).expect("a frame");
            let first = match n {
                0 => None,
                1..26 => Some(&frames[1]),
                _ => Some(&frames[26]),
            };
            let expected = first.map(|first| first.received_at + Duration::from_secs(1));
            assert_eq!(fragmenter.ends_at(), expected, "frame {n}");
        }
    }

    #[test]
    fn close_keyframes_share_fragments() {
        let format = testing::format(7);
        let all = (0..60).map(|n| testing::video(&format, true, n * 40, 40));
        let made = push(&mut Fragmenter::new(), all);
        let expected = [(0, 40, 1, true), (40, 520, 12, false), (520, 560, 1, true)];
        assert_eq!(summary(&made)[..3], expected);
    }

    #[test]
    fn a_short_gap_makes_a_frame_longer_and_a_long_one_ends_the_span() {
        let format = testing::format(7);
        let mut fragmenter = Fragmenter::new();
        let mut made = push(&mut fragmenter, video(&format, 0..10));
        made.extend(push(&mut fragmenter, video(&format, 100..110)));
        made.extend(push(&mut fragmenter, video(&format, 400..405)));
        made.extend(push(&mut fragmenter, video(&format, 450..452)));
        let expected = [
            (0, 40, 1, true),
            (40, 4000, 9, false),
            (4000, 4040, 1, true),
            (4040, 4400, 9, false),
            (16_000, 16_040, 1, true),
            (16_040, 18_000, 4, false),
            (18_000, 18_040, 1, true),
        ];
        assert_eq!(summary(&made), expected);
        let continuous: Vec<_> = made.iter().map(|it| it.is_continuous).collect();
        assert_eq!(continuous, [false, true, true, true, false, true, true]);
    }

    #[test]
    fn a_span_begins_with_a_keyframe() {
        let format = testing::format(7);
        let mut fragmenter = Fragmenter::new();
        let mut made = push(&mut fragmenter, video(&format, 0..10));
        fragmenter.interrupt(&mut made).expect("a fragment");
        assert_eq!(summary(&made), [(0, 40, 1, true), (40, 400, 9, false)]);
        let mut more = Vec::new();
        for frame in video(&format, 40..50) {
            let needs_keyframe = fragmenter.push(&Arc::new(frame), &mut more);
            assert!(needs_keyframe.expect("frames"));
        }
        assert!(more.is_empty());
        let more = push(&mut fragmenter, video(&format, 50..52));
        assert!(!more[0].is_continuous && more[0].is_keyframe);

        let other = push(&mut fragmenter, video(&testing::format(8), 0..2));
        assert_eq!(summary(&other), [(2040, 2080, 1, false), (0, 40, 1, true)]);
        assert!(!other[1].is_continuous, "another epoch");
    }

    #[test]
    fn audio_is_beside_the_frames_that_are_not_keyframes() {
        let silent = testing::format(7);
        let aac = AacConfig::low_complexity(48_000, 1).expect("AAC");
        let format = Arc::new(Format {
            epoch: 7,
            version: 0,
            is_converted: false,
            parameter_sets: silent.parameter_sets.clone(),
            picture: silent.picture.clone(),
            audio: Some(crate::media::frame::AudioFormat::Aac(aac)),
            aac: None,
            awaits_audio: false,
        });
        let sound = |n: u64| Frame {
            track: Track::Audio,
            data: Bytes::from_static(b"sound"),
            ..testing::video(&format, true, n * 40, 21)
        };
        let frames = video(&format, 0..102).zip((0..).map(sound));
        let made = push(&mut Fragmenter::new(), frames.flat_map(|(a, b)| [a, b]));
        let sounds = |it: &MadeFragment| it.table.iter().filter(|(track, _)| *track == 2).count();
        let counts: Vec<_> = made.iter().map(sounds).collect();
        assert!(counts[0] == 0 && counts[1] > 20 && counts[3] == 0, "{counts:?}");
        assert!(made[0].init.codecs.ends_with(",mp4a.40.2"), "{}", made[0].init.codecs);
        assert_eq!(made[0].init.audio_timescale, Some(48_000));
    }
}
