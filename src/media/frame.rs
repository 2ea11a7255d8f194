//! Frames: the unit in which video and audio pass from an ingest to every consumer.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::time::Instant;

use crate::media::aac::AacConfig;
use crate::media::opus::OpusConfig;
use crate::media::parameter_set::picture::PictureParameters;
use crate::media::parameter_set::sets::ParameterSets;

/// A track of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Track {
    /// The video.
    Video,
    /// The audio as the camera sends it.
    Audio,
    /// The audio as AAC, if the camera sends another codec.
    Aac,
}

/// One access unit of video, or one packet of audio.
#[derive(Debug, Clone)]
pub struct Frame {
    /// The description that it is decoded with. Each epoch has its own.
    pub format: Arc<Format>,
    /// The track that it belongs to.
    pub track: Track,
    /// The time of decoding on the epoch's clock. It never goes back within a track.
    pub decode_time: Duration,
    /// The time of presentation on the epoch's clock.
    pub presentation_time: Duration,
    /// The time until the next frame of the track, as expected from the last ones: the next frame
    /// itself has not arrived.
    pub duration: Duration,
    /// True if decoding can begin with this frame. Always true for audio.
    pub is_keyframe: bool,
    /// The time at which its last byte was read.
    pub received_at: Instant,
    /// The time on the wall clock at which the camera took the frame, as far as it is known.
    pub taken_at: SystemTime,
    /// The bytes: H.264 and H.265 as NAL units with a length of four bytes in front of each, without
    /// parameter sets; every other codec as the camera sends it.
    pub data: Bytes,
}

impl Frame {
    /// Returns true if decoding of the video can begin here.
    pub fn is_entry_point(&self) -> bool {
        self.track == Track::Video && self.is_keyframe
    }
}

/// The description of a stream's tracks, as of one epoch and of its last change of parameters.
#[derive(Debug)]
pub struct Format {
    /// Number of the epoch.
    pub epoch: u64,
    /// Number of changes within the epoch. A consumer that stores or sends media begins with a new
    /// init segment when it rises.
    pub version: u32,
    /// The parameter sets of the video.
    pub parameter_sets: ParameterSets,
    /// The properties of the video's pictures.
    pub picture: PictureParameters,
    /// The audio as the camera sends it, if it sends any.
    pub audio: Option<AudioFormat>,
    /// The audio of [`Track::Aac`].
    pub aac: Option<AacConfig>,
    /// True if audio may still be added: the camera's audio is not known yet, or no AAC has come.
    pub awaits_audio: bool,
}

impl Format {
    /// Returns the RFC 6381 codec of the audio that players get, if there is any.
    pub fn audio_codec(&self) -> Option<String> {
        match (&self.audio, &self.aac) {
            (Some(AudioFormat::Aac(config)), _) | (_, Some(config)) => Some(config.codec()),
            _ => None,
        }
    }
}

/// The codec of audio as a camera sends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AudioFormat {
    /// AAC.
    Aac(AacConfig),
    /// Opus.
    Opus(OpusConfig),
    /// G.711 with A-law, at this many samples per second.
    PcmALaw(u32),
    /// G.711 with µ-law, at this many samples per second.
    PcmMuLaw(u32),
    /// A codec that only FFmpeg can use.
    Other,
}

/// Frames for tests of their consumers.
#[cfg(test)]
pub(crate) mod testing {
    use super::*;
    use crate::media::codec::VideoCodec;

    /// Parameter sets of 640×360 pixels in H.264, which x264 made.
    const PARAMETER_SETS: &[u8] =
        b"\0\0\0\x01\x67\x42\xc0\x1e\xd9\x00\xa0\x2f\xf9\x70\x11\x00\x00\x03\x00\x01\x00\x00\
          \x03\x00\x32\x0f\x16\x2e\x48\0\0\0\x01\x68\xcb\x83\xcb\x20";

    /// The description of a stream without audio.
    pub(crate) fn format(epoch: u64) -> Arc<Format> {
        let parameter_sets = ParameterSets::from_extradata(VideoCodec::H264, PARAMETER_SETS);
        Arc::new(Format {
            epoch,
            version: 0,
            picture: parameter_sets.picture().expect("parameter sets"),
            parameter_sets,
            audio: None,
            aac: None,
            awaits_audio: false,
        })
    }

    /// A frame of video of 1000 bytes, which begins at `time` and lasts for `duration`, in
    /// milliseconds.
    pub(crate) fn video(
        format: &Arc<Format>,
        is_keyframe: bool,
        time: u64,
        duration: u64,
    ) -> Frame {
        let (time, duration) = (Duration::from_millis(time), Duration::from_millis(duration));
        thread_local!(static BEGAN: Instant = Instant::now());
        Frame {
            format: Arc::clone(format),
            track: Track::Video,
            decode_time: time,
            presentation_time: time,
            duration,
            is_keyframe,
            received_at: BEGAN.with(|began| *began) + time,
            taken_at: SystemTime::UNIX_EPOCH + time,
            data: Bytes::from_static(&[0; 1000]),
        }
    }
}
