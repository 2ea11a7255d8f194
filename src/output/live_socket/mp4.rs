//! Frames as MP4: an init segment, and then one fragment per frame, after a box `prft` with the time at which the
//! camera took the frame. Pure.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::codecs::{AudioCodec, ChosenAudio};
use crate::media::frame::{Format, Frame};
use crate::media::mp4::fragments::{Sample, SampleRun, dated_fragment_head};
use crate::media::mp4::init::{AudioConfig, init_segment};
use crate::media::mp4::track::{Mp4Error, VIDEO_TIMESCALE};
use crate::output::sound::Sound;

/// A gap in the video that is at least this long is a jump of the camera's clock.
const MAX_VIDEO_GAP: Duration = Duration::from_secs(10);

/// The difference between the times of frames and the times in messages.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Shift {
    /// A time on the epoch's clock.
    pub(super) from: Duration,
    /// The same time in messages.
    pub(super) to: Duration,
}

impl Shift {
    fn apply(self, time: Duration) -> Duration {
        (time + self.to).saturating_sub(self.from)
    }
}

/// Writes the frames of one description as MP4.
#[derive(Debug)]
pub(super) struct Mp4Writer {
    audio: Option<AudioCodec>,
    timescale: u32,
    shift: Shift,
    /// The end of everything so far, as a time in messages.
    end: Duration,
    /// The last frame of video, and the end of the video so far.
    video: Option<(Arc<Frame>, Duration)>,
    /// The sound since the last gap; `None` before the first frame of video.
    sound: Option<Sound>,
    /// The end of the audio so far, for codecs that `sound` does not support.
    audio_end: Option<Duration>,
}

impl Mp4Writer {
    /// Creates a writer for frames of this format. Also returns the MIME type and the init segment.
    pub(super) fn new(
        format: &Format,
        audio: Option<&ChosenAudio>,
        shift: Shift,
    ) -> Result<(Self, String, Bytes), Mp4Error> {
        let config = audio.and_then(|audio| audio.codec.mp4());
        let init = init_segment(Some(&format.parameter_sets), config.as_ref())?;
        let codecs = [Some(format.picture.codec.clone()), config.as_ref().map(AudioConfig::codec)];
        let codecs = codecs.into_iter().flatten().collect::<Vec<_>>().join(",");
        let mime = format!("video/mp4; codecs=\"{codecs}\"");
        let writer = Self {
            timescale: config.as_ref().map_or(1, AudioConfig::timescale),
            audio: audio.map(|audio| audio.codec.clone()),
            shift,
            end: shift.to,
            video: None,
            sound: None,
            audio_end: None,
        };
        Ok((writer, mime, init))
    }

    /// Forgets the times so far, because frames are missing before the next one.
    pub(super) fn skip(&mut self) {
        (self.video, self.sound, self.audio_end) = (None, None, None);
    }

    /// Returns the difference between the times of frames and the times in messages.
    pub(super) fn shift(&self) -> Shift {
        self.shift
    }

    /// Changes the times in messages.
    pub(super) fn set_shift(&mut self, shift: Shift) {
        self.shift = shift;
    }

    /// Returns the end of everything so far, as a time in messages.
    pub(super) fn end(&self) -> Duration {
        self.end
    }

    /// Returns the message with a frame of video.
    pub(super) fn video(
        &mut self,
        frame: &Arc<Frame>,
        number: u32,
    ) -> Result<[Bytes; 2], Mp4Error> {
        if self
            .end_before(frame)
            .is_some_and(|end| frame.decode_time.saturating_sub(end) >= MAX_VIDEO_GAP)
        {
            self.skip();
        }
        // If the frame before has ended earlier, this one begins at that end, and the picture is still shown at its
        // time. If decode times had a gap, browsers would drop all frames after it up to the next keyframe (Media Source
        // Extensions, coded frame processing).
        let begin = self.end_before(frame).unwrap_or(frame.decode_time);
        let end = (frame.decode_time + frame.duration).max(begin);
        let decode_time = self.ticks(begin, VIDEO_TIMESCALE);
        let shown = i128::from(self.ticks(frame.presentation_time, VIDEO_TIMESCALE));
        let sample = Sample {
            duration: u32::try_from(self.ticks(end, VIDEO_TIMESCALE) - decode_time)
                .unwrap_or(u32::MAX),
            composition_offset: i32::try_from(shown - i128::from(decode_time)).unwrap_or(0),
            is_keyframe: frame.is_keyframe,
            data: &frame.data,
        };
        let run = SampleRun { decode_time, samples: &[sample] };
        let head = dated_fragment_head(number, run, SampleRun::default(), frame.taken_at)?;
        self.video = Some((Arc::clone(frame), end));
        self.end = self.end.max(self.shift.apply(end));
        Ok([head.into(), frame.data.clone()])
    }

    /// Returns the end of the video so far, if it is before this frame.
    fn end_before(&self, frame: &Frame) -> Option<Duration> {
        let end = self.video.as_ref().map(|(_, end)| *end);
        end.filter(|end| *end < frame.decode_time)
    }

    /// Returns the audio to send now: the frames in `arrived`, and silence where the camera's audio is missing. Must
    /// also be called after each frame of video, so that missing audio is noticed. Returns no audio before the first
    /// frame of video.
    pub(super) fn sounds(&mut self, arrived: Option<&Arc<Frame>>) -> Vec<Arc<Frame>> {
        let Some((last, video_end)) = &self.video else { return Vec::new() };
        match &self.audio {
            Some(AudioCodec::Aac(config)) => {
                let sound = self.sound.get_or_insert_with(|| Sound::new(last.decode_time));
                let arrived = arrived.into_iter().cloned().collect();
                sound.complete_at_once(arrived, config, (last, *video_end))
            }
            Some(_) => {
                let placed = arrived.map(|frame| place(frame, self.audio_end));
                self.audio_end =
                    placed.as_ref().map(|it| it.decode_time + it.duration).or(self.audio_end);
                placed.into_iter().collect()
            }
            None => Vec::new(),
        }
    }

    /// Returns silence up to the end of the video, if the audio has ended before and will not be continued.
    pub(super) fn silence_to_end(&mut self) -> Vec<Arc<Frame>> {
        match (&self.video, &mut self.sound, &self.audio) {
            (Some((last, end)), Some(sound), Some(AudioCodec::Aac(config))) => {
                sound.end_with_silence(config, (last, *end))
            }
            _ => Vec::new(),
        }
    }

    /// Returns the message with a frame of audio that [`Mp4Writer::sounds`] has returned.
    pub(super) fn audio(&mut self, frame: &Frame, number: u32) -> Result<[Bytes; 2], Mp4Error> {
        let decode_time = self.ticks(frame.decode_time, self.timescale);
        let end = self.ticks(frame.decode_time + frame.duration, self.timescale);
        let sample = Sample {
            duration: u32::try_from(end - decode_time).unwrap_or(u32::MAX),
            composition_offset: 0,
            is_keyframe: true,
            data: &frame.data,
        };
        let run = SampleRun { decode_time, samples: &[sample] };
        let head = dated_fragment_head(number, SampleRun::default(), run, frame.taken_at)?;
        self.end = self.end.max(self.shift.apply(frame.decode_time + frame.duration));
        Ok([head.into(), frame.data.clone()])
    }

    /// Returns the number of ticks in messages that is nearest to `time`.
    fn ticks(&self, time: Duration, timescale: u32) -> u64 {
        ticks(self.shift.apply(time), timescale)
    }
}

/// Returns a frame of audio that begins exactly at `end`, if it begins near `end`. Small gaps between frames would
/// make browsers stop.
fn place(frame: &Arc<Frame>, end: Option<Duration>) -> Arc<Frame> {
    let is_near = |end: &Duration| end.abs_diff(frame.decode_time) < frame.duration * 3 / 4;
    match end.filter(is_near) {
        Some(end) => Arc::new(Frame {
            decode_time: end,
            presentation_time: end,
            taken_at: frame.date_at(end),
            ..Frame::clone(frame)
        }),
        None => Arc::clone(frame),
    }
}

/// Returns the number of ticks that is nearest to `time`.
fn ticks(time: Duration, timescale: u32) -> u64 {
    let nanos = time.as_nanos() * u128::from(timescale);
    u64::try_from((nanos + 500_000_000) / 1_000_000_000).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use mp4_atom::{Decode as _, Header, Moof};

    use super::*;
    use crate::media::aac::AacConfig;
    use crate::media::frame::{Track, testing};

    /// Returns the sequence number, the decode time, the duration, and the offset of the picture in a message.
    fn read(message: &[Bytes; 2]) -> (u32, u64, u32, i64) {
        let mut rest = &message[0][..];
        let dated = Header::decode(&mut rest).expect("a box");
        assert_eq!(dated.kind, mp4_atom::FourCC::new(b"prft"));
        rest = &rest[dated.size.expect("a size")..];
        let moof = Moof::decode(&mut rest).expect("a fragment");
        let track = &moof.traf[0];
        let sample = track.trun[0].samples.iter().next().expect("a sample");
        let begin = track.tfdt.as_ref().expect("a time").base_media_decode_time;
        (
            moof.mfhd.sequence_number,
            begin,
            sample.duration.expect("a duration"),
            sample.cts.unwrap_or(0),
        )
    }

    #[test]
    fn the_times_in_messages_can_begin_anywhere() {
        let format = testing::format(7);
        let millis = Duration::from_millis;
        let shift = Shift { from: millis(1000), to: millis(0) };
        let (mut writer, ..) = Mp4Writer::new(&format, None, shift).expect("a writer");
        let write = |writer: &mut Mp4Writer, number, time| {
            let frame = Arc::new(testing::video(&format, true, time, 40));
            read(&writer.video(&frame, number).expect("a message"))
        };
        assert_eq!(write(&mut writer, 1, 1000), (1, 0, 3600, 0));
        assert_eq!(write(&mut writer, 2, 1040), (2, 3600, 3600, 0));
        writer.skip();
        assert_eq!(writer.end(), millis(80));
        writer.set_shift(Shift { from: millis(500), to: millis(80) });
        assert_eq!(write(&mut writer, 3, 500), (3, 7200, 3600, 0));
        assert_eq!(write(&mut writer, 4, 0), (4, 0, 0, 0), "no time is before 0");
    }

    #[test]
    fn a_gap_between_pictures_does_not_make_a_gap_in_decode_times() {
        let format = testing::format(7);
        let (mut writer, ..) = Mp4Writer::new(&format, None, Shift::default()).expect("a writer");
        let mut write = |number, time| {
            let frame = Arc::new(testing::video(&format, number == 1, time, 40));
            read(&writer.video(&frame, number).expect("a message"))
        };
        assert_eq!(write(1, 1000), (1, 90_000, 3600, 0));
        assert_eq!(write(2, 1040), (2, 93_600, 3600, 0));
        // The frame at 1080 ms is missing. The picture at 1120 ms is shown at its time.
        assert_eq!(write(3, 1120), (3, 97_200, 7200, 3600));
        assert_eq!(write(4, 1150), (4, 103_500, 3600, 0), "a short frame");
        assert_eq!(write(5, 60_000), (5, 5_400_000, 3600, 0), "a jump of the clock");
    }

    #[test]
    fn a_long_gap_is_not_filled_with_silence() {
        let format = testing::format(7);
        let codec = AudioCodec::Aac(AacConfig::low_complexity(48_000, 1).expect("AAC"));
        let audio = ChosenAudio { track: Track::Audio, codec };
        let (mut writer, ..) =
            Mp4Writer::new(&format, Some(&audio), Shift::default()).expect("a writer");
        let mut sounds_after = |time| {
            let frame = Arc::new(testing::video(&format, true, time, 40));
            writer.video(&frame, 1).expect("a message");
            writer.sounds(None).len()
        };
        sounds_after(0);
        assert!(sounds_after(9_000) > 300, "a short gap");
        assert!(sounds_after(60_000) < 10, "a long gap");
    }
}
