//! Makes pictures of the packets of a NUT stream that FFmpeg writes. Pure.

use std::time::Duration;

use bytes::Bytes;

use crate::media::access_unit::AccessUnit;
use crate::media::codec::VideoCodec;
use crate::media::error::MediaError;
use crate::media::jpeg;
use crate::media::nal::Framing;
use crate::media::nut::stream::{NutKind, NutPacket, NutStream, TimeBase};
use crate::media::parameter_set::picture::PictureParameters;
use crate::media::parameter_set::sets::ParameterSets;
use crate::media::timeline::{Timeline, Times};

/// The video of one NUT stream.
#[derive(Debug)]
pub(super) struct VideoTrack {
    stream: usize,
    time_base: TimeBase,
    framing: Framing,
    sets: ParameterSets,
    /// The properties of the pictures; `None` while they are not known.
    picture: Option<PictureParameters>,
    timeline: Timeline,
}

/// One picture of a track.
pub(super) struct Picture {
    /// The bytes in the form that a [`Frame`](super::frame::Frame) has.
    pub(super) data: Bytes,
    /// True if decoding can begin here.
    pub(super) is_keyframe: bool,
    /// True if the parameter sets or the properties of the pictures changed with this picture.
    pub(super) is_change: bool,
    /// The times on the epoch's clock.
    pub(super) times: Times,
}

impl VideoTrack {
    /// Creates the track of the first video among the streams that a NUT stream announces. Fails if there is no
    /// video, or if the manager does not support the codec of the first one.
    pub(super) fn new(streams: &[NutStream]) -> Result<Self, MediaError> {
        let is_video = |stream: &&NutStream| matches!(stream.kind, NutKind::Video { .. });
        let mut streams = streams.iter().enumerate();
        let (index, stream) =
            streams.find(|(_, stream)| is_video(stream)).ok_or(MediaError::NotPlayable)?;
        let codec = match &stream.tag {
            b"H264" => VideoCodec::H264,
            b"HEVC" => VideoCodec::H265,
            b"MJPG" => VideoCodec::Mjpeg,
            _ => return Err(MediaError::NotPlayable),
        };
        let sets = ParameterSets::from_extradata(codec, &stream.codec_private);
        let picture = sets.picture();
        let announced = picture.as_ref().and_then(|picture| picture.max_reorder_frames);
        let reorder = announced.map_or(usize::from(stream.decode_delay), usize::from);
        let frame = picture.as_ref().and_then(|picture| picture.frame_rate);
        let frame = frame.and_then(|rate| Duration::try_from_secs_f64(1.0 / rate).ok());
        let timeline = Timeline::new(reorder, frame);
        let framing = Framing::of_extradata(codec, &stream.codec_private);
        Ok(Self { stream: index, time_base: stream.time_base, framing, sets, picture, timeline })
    }

    /// Returns the codec.
    pub(super) fn codec(&self) -> VideoCodec {
        self.sets.codec()
    }

    /// Returns the parameter sets; an empty collection for Motion JPEG.
    pub(super) fn parameter_sets(&self) -> &ParameterSets {
        &self.sets
    }

    /// Returns the properties of the pictures; `None` while they are not known.
    pub(super) fn picture_parameters(&self) -> Option<&PictureParameters> {
        self.picture.as_ref()
    }

    /// Returns the picture of a packet; `None` if the packet has no picture, or belongs to another stream.
    /// `epoch_time` maps the time of the packet to the epoch's clock.
    pub(super) fn take(
        &mut self,
        packet: NutPacket,
        epoch_time: impl FnOnce(Duration) -> Duration,
    ) -> Option<Picture> {
        if packet.stream != self.stream {
            return None;
        }
        let pts = packet.pts;
        let (data, is_keyframe, is_change) = match self.codec() {
            VideoCodec::H264 | VideoCodec::H265 => self.access_unit(packet)?,
            VideoCodec::Mjpeg => self.jpeg(packet)?,
        };
        let times = self.timeline.place(epoch_time(self.time_base.time(pts)));
        Some(Picture { data, is_keyframe, is_change, times })
    }

    fn access_unit(&mut self, packet: NutPacket) -> Option<(Bytes, bool, bool)> {
        let version = self.sets.version();
        let unit = AccessUnit::read(packet.data, self.framing, &mut self.sets);
        if unit.data.is_empty() {
            return None;
        }
        let is_change = self.sets.version() != version;
        if is_change {
            self.picture = self.sets.picture();
            let announced = self.picture.as_ref().and_then(|picture| picture.max_reorder_frames);
            self.timeline.announce(announced.map_or(0, usize::from));
        }
        // FFmpeg also marks recovery points as keyframes. If a camera sends no IDR pictures, decoding can begin with a
        // recovery point.
        Some((unit.data, unit.is_keyframe || packet.is_keyframe, is_change))
    }

    fn jpeg(&mut self, packet: NutPacket) -> Option<(Bytes, bool, bool)> {
        let picture = Some(jpeg::picture(&packet.data)?);
        let is_change = self.picture != picture;
        self.picture = picture;
        Some((packet.data.freeze(), true, is_change))
    }
}
