//! Makes frames of the packets that FFmpeg writes to its pipes. Pure.
//!
//! FFmpeg writes up to three NUT streams: the video, the audio as the camera sends it, and this audio
//! converted to AAC. Each stream has a separate pipe, because a common muxer would hold back the video
//! until audio of the same time has arrived.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::media::aac::{AacConfig, CONVERTED_RATE};
use crate::media::camera_clock::{CameraClock, SharedClock};
use crate::media::error::MediaError;
use crate::media::frame::{AudioFormat, Format, Frame, Track};
use crate::media::nut::stream::{NutItem, NutKind, NutPacket, NutStream, TimeBase};
use crate::media::opus::OpusConfig;
use crate::media::timeline::Timeline;
use crate::media::video_track::VideoTrack;
use crate::media::wall_clock::WallClock;

/// The time at which bytes were read.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    /// On the monotonic clock.
    pub at: Instant,
    /// On the wall clock.
    pub wall: SystemTime,
}

/// The demuxer of one epoch.
#[derive(Debug)]
pub struct Demuxer {
    epoch: u64,
    is_converted: bool,
    expects: Expected,
    video: Option<VideoTrack>,
    video_clock: CameraClock,
    start: VideoStart,
    audio: Option<Audio>,
    aac: Option<Audio>,
    format: Option<Arc<Format>>,
    version: u32,
    shared_clock: SharedClock,
    wall_clock: Option<WallClock>,
}

/// The frames of video that have arrived so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum VideoStart {
    /// No frames.
    Nothing,
    /// Frames, but no keyframe that can be decoded.
    LeadingFrames,
    /// A keyframe that can be decoded.
    Keyframe,
}

/// The audio pipes whose headers may still arrive.
#[derive(Debug, Clone, Copy)]
struct Expected {
    audio: bool,
    aac: bool,
}

#[derive(Debug)]
struct Audio {
    stream: usize,
    time_base: TimeBase,
    format: AudioFormat,
    /// The configuration of the AAC that FFmpeg makes of the audio; `None` if it is not known in advance.
    expected_aac: Option<AacConfig>,
    clock: CameraClock,
    timeline: Timeline,
}

impl Demuxer {
    /// Creates the demuxer of `epoch`. `is_converted` is true if FFmpeg converts the video. `audio` is true
    /// if FFmpeg has a pipe for the camera's audio, and `aac` is true if FFmpeg has a pipe for the audio that it
    /// converts to AAC.
    pub fn new(epoch: u64, is_converted: bool, audio: bool, aac: bool) -> Self {
        Self {
            epoch,
            is_converted,
            expects: Expected { audio, aac },
            video: None,
            video_clock: CameraClock::default(),
            start: VideoStart::Nothing,
            audio: None,
            aac: None,
            format: None,
            version: 0,
            shared_clock: SharedClock::default(),
            wall_clock: None,
        }
    }

    /// Takes an item from the pipe of the video. Returns the frame that the item contains; `None` if
    /// the item has no picture, while the properties of the pictures are unknown, and before the first
    /// keyframe, because such frames cannot be decoded. Fails if the item describes streams, and none of them is
    /// video that the manager can use.
    pub fn video(&mut self, item: NutItem, arrival: Arrival) -> Result<Option<Frame>, MediaError> {
        match item {
            NutItem::Streams(streams) => {
                self.video = Some(VideoTrack::new(&streams)?);
                Ok(None)
            }
            NutItem::Packet(packet) => Ok(self.picture(packet, arrival)),
        }
    }

    fn picture(&mut self, packet: NutPacket, arrival: Arrival) -> Option<Frame> {
        let (clock, shared) = (&mut self.video_clock, &mut self.shared_clock);
        let epoch_time = |time| clock.epoch_time(time, arrival.at, shared);
        let picture = self.video.as_mut()?.take(packet, epoch_time)?;
        if self.format.is_none() || picture.is_change {
            self.update_format();
        }
        if !picture.is_keyframe && self.start != VideoStart::Keyframe {
            self.start = VideoStart::LeadingFrames;
            return None;
        }
        let format = self.format.clone()?;
        self.start = VideoStart::Keyframe;
        Some(Frame {
            format,
            track: Track::Video,
            decode_time: picture.times.decode,
            presentation_time: picture.times.presentation,
            duration: picture.times.duration,
            is_keyframe: picture.is_keyframe,
            received_at: arrival.at,
            taken_at: arrival.wall,
            data: picture.data,
        })
    }

    /// Returns true if frames of video have arrived, but no keyframe that can be decoded.
    pub(crate) fn awaits_keyframe(&self) -> bool {
        self.start == VideoStart::LeadingFrames
    }

    /// Returns how many times the camera's clock was set in this epoch, according to the video.
    pub(crate) fn clock_jumps(&self) -> u32 {
        self.video_clock.jumps()
    }

    /// Takes an item from the pipe of `track`: the camera's audio, or the converted audio. Returns the frame
    /// that the item contains; `None` for headers, before the first keyframe, and for a packet that does not
    /// belong to the pipe's audio stream.
    pub(crate) fn audio(&mut self, track: Track, item: NutItem, arrival: Arrival) -> Option<Frame> {
        match item {
            NutItem::Streams(streams) => {
                let audio = streams.iter().enumerate().find_map(Audio::new);
                match track {
                    Track::Aac => {
                        self.expects.aac = false;
                        self.aac = audio;
                    }
                    Track::Audio | Track::Video => {
                        self.expects.audio = false;
                        self.audio = audio;
                    }
                }
                if self.format.is_some() {
                    self.update_format();
                }
                None
            }
            NutItem::Packet(packet) => self.sound(track, packet, arrival),
        }
    }

    /// Returns true if HLS needs AAC, but FFmpeg makes none. This is so if FFmpeg has described the camera's audio,
    /// HLS cannot use this audio without a conversion, and FFmpeg has described no converted audio.
    pub(crate) fn needs_aac(&self) -> bool {
        self.audio.as_ref().is_some_and(|audio| !audio.format.is_hls_ready()) && self.aac.is_none()
    }

    /// Records that no more headers will arrive on the pipe of this track.
    pub(crate) fn without(&mut self, track: Track) {
        match track {
            Track::Aac => self.expects.aac = false,
            Track::Audio | Track::Video => self.expects.audio = false,
        }
        if self.format.is_some() {
            self.update_format();
        }
    }

    /// Returns the frame of an audio packet; `None` before the first keyframe, and for a packet of another
    /// stream.
    fn sound(&mut self, track: Track, packet: NutPacket, arrival: Arrival) -> Option<Frame> {
        let format = self.format.clone().filter(|_| self.start == VideoStart::Keyframe)?;
        let audio = if track == Track::Aac { &mut self.aac } else { &mut self.audio };
        let audio = audio.as_mut().filter(|audio| audio.stream == packet.stream)?;
        let time = audio.time_base.time(packet.pts);
        let shown = audio.clock.epoch_time(time, arrival.at, &mut self.shared_clock);
        let times = audio.timeline.place(shown);
        Some(Frame {
            format,
            track,
            decode_time: times.decode,
            presentation_time: times.presentation,
            duration: times.duration,
            is_keyframe: true,
            received_at: arrival.at,
            taken_at: arrival.wall,
            data: packet.data.freeze(),
        })
    }

    /// Sets the wall-clock time of frames that were read together. The mapping to the wall clock follows
    /// the frame that waited in the pipe for the shortest time, which is the last one.
    pub(crate) fn date(&mut self, frames: &mut [Frame], arrival: Arrival) {
        let video = |frame: &&Frame| frame.track == Track::Video;
        if let Some(first) = frames.iter().find(video) {
            let time = first.presentation_time;
            let clock = self
                .wall_clock
                .get_or_insert_with(|| WallClock::new(time, arrival.at, arrival.wall));
            for frame in frames.iter().filter(video) {
                clock.note(frame.presentation_time, arrival.at);
            }
        }
        let Some(clock) = &self.wall_clock else { return };
        for frame in frames {
            frame.taken_at = clock.date(frame.presentation_time);
        }
    }

    /// Returns the configuration of the AAC that FFmpeg makes. FFmpeg writes the headers of the AAC only with
    /// the first packet, and the camera may send no audio for a while. Until then, returns the expected
    /// configuration, if any, so that the description of the tracks need not change later.
    fn aac_config(&self) -> Option<AacConfig> {
        let expected = self.audio.as_ref().and_then(|audio| audio.expected_aac.clone());
        match self.aac.as_ref().map(|audio| &audio.format) {
            Some(AudioFormat::Aac(config)) => Some(
                expected.filter(|it| it.is_compatible(config)).unwrap_or_else(|| config.clone()),
            ),
            Some(_) => None,
            None => expected.filter(|_| self.expects.aac),
        }
    }

    /// Replaces the description of the tracks. Does nothing while the properties of the pictures are
    /// unknown.
    fn update_format(&mut self) {
        let Some(video) = &self.video else { return };
        let Some(picture) = video.picture_parameters().cloned() else { return };
        let audio = self.audio.as_ref().map(|audio| audio.format.clone());
        let aac = self.aac_config();
        let needs_aac = audio.as_ref().is_some_and(|audio| !audio.is_hls_ready());
        let awaits_audio = self.expects.audio || needs_aac && self.expects.aac && aac.is_none();
        if self.format.is_some() {
            self.version = self.version.saturating_add(1);
        }
        self.format = Some(Arc::new(Format {
            epoch: self.epoch,
            version: self.version,
            is_converted: self.is_converted,
            parameter_sets: video.parameter_sets().clone(),
            picture,
            audio,
            aac,
            awaits_audio,
        }));
    }
}

/// Returns the configuration of the AAC that FFmpeg makes of audio with this `tag` and this number of channels.
/// FFmpeg mixes more than two channels down to two. Returns `None` if the audio has no channels. Also returns
/// `None` if the audio is AAC already, because FFmpeg may write no AAC if the camera describes its AAC wrongly.
fn expected_aac(tag: [u8; 4], channels: u32) -> Option<AacConfig> {
    const AAC: [u8; 4] = [0xff, 0, 0, 0];
    let channels = u8::try_from(channels.min(2)).ok().filter(|_| tag != AAC)?;
    AacConfig::low_complexity(CONVERTED_RATE, channels)
}

impl Audio {
    fn new((index, stream): (usize, &NutStream)) -> Option<Self> {
        let NutKind::Audio { sample_rate: (samples, seconds), channels } = stream.kind else {
            return None;
        };
        let rate = samples / seconds.max(1);
        let format = match &stream.tag {
            [0xff, 0, 0, 0] => AacConfig::parse(&stream.codec_private)
                .filter(AacConfig::is_playable)
                .map_or(AudioFormat::Other, AudioFormat::Aac),
            b"Opus" => OpusConfig::parse(&stream.codec_private)
                .map_or(AudioFormat::Other, AudioFormat::Opus),
            [6, 0, 0, 0] | b"alaw" => AudioFormat::PcmALaw(rate),
            [7, 0, 0, 0] | b"ulaw" => AudioFormat::PcmMuLaw(rate),
            _ => AudioFormat::Other,
        };
        let packet = match &format {
            AudioFormat::Aac(config) => config.frame_duration(),
            _ => Duration::from_millis(20),
        };
        let timeline = Timeline::new(0, Some(packet));
        Some(Self {
            stream: index,
            time_base: stream.time_base,
            expected_aac: expected_aac(stream.tag, channels),
            format,
            clock: CameraClock::default(),
            timeline,
        })
    }
}

#[cfg(test)]
mod tests {
    use bytes::{Bytes, BytesMut};

    use super::*;
    use crate::media::frame::testing::PARAMETER_SETS;

    const IDR: &[u8] = b"\0\0\0\x01\x65\x88\x84";
    const SLICE: &[u8] = b"\0\0\0\x01\x41\x9a\x02";

    fn stream(kind: NutKind, tag: [u8; 4], codec_private: &'static [u8]) -> NutItem {
        NutItem::Streams(vec![NutStream {
            kind,
            tag,
            time_base: TimeBase::new(1, 1000).expect("a time base"),
            decode_delay: 0,
            codec_private: Bytes::from_static(codec_private),
        }])
    }

    fn packet(time: u64, data: &'static [u8]) -> NutItem {
        let data = BytesMut::from(data);
        NutItem::Packet(NutPacket { stream: 0, pts: time, is_keyframe: false, data })
    }

    #[test]
    fn frames_before_the_first_keyframe_are_left_out() {
        let arrival = Arrival { at: Instant::now(), wall: SystemTime::now() };
        let mut demuxer = Demuxer::new(1, false, true, false);
        let video = |demuxer: &mut Demuxer, item| {
            demuxer.video(item, arrival).expect("usable video").map(|frame| frame.is_keyframe)
        };
        let picture = NutKind::Video { width: 640, height: 360 };
        assert_eq!(video(&mut demuxer, stream(picture, *b"H264", PARAMETER_SETS)), None);
        let sound = NutKind::Audio { sample_rate: (8000, 1), channels: 1 };
        assert!(demuxer.audio(Track::Audio, stream(sound, *b"alaw", b""), arrival).is_none());
        assert!(!demuxer.awaits_keyframe(), "no frame has arrived");

        assert_eq!(video(&mut demuxer, packet(0, SLICE)), None);
        assert!(demuxer.audio(Track::Audio, packet(20, b"sound"), arrival).is_none());
        assert_eq!(video(&mut demuxer, packet(40, SLICE)), None);
        assert!(demuxer.awaits_keyframe());

        assert_eq!(video(&mut demuxer, packet(80, IDR)), Some(true));
        assert!(!demuxer.awaits_keyframe());
        assert_eq!(video(&mut demuxer, packet(120, SLICE)), Some(false));
        assert!(demuxer.audio(Track::Audio, packet(120, b"sound"), arrival).is_some());
    }
}
