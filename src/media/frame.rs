//! Frames: the units in which video and audio pass from an ingest to its consumers.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::time::Instant;

use crate::media::aac::AacConfig;
use crate::media::codec::VideoCodec;
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
    /// The audio that FFmpeg converts to AAC, because the camera sends another codec, AAC that browsers do not
    /// play, or AAC whose frames are too long for HLS.
    Aac,
}

/// One access unit of video, or one packet of audio.
#[derive(Debug, Clone)]
pub struct Frame {
    /// The description of the stream's tracks, which a decoder needs.
    pub format: Arc<Format>,
    /// The track to which the frame belongs.
    pub track: Track,
    /// The time of decoding on the epoch's clock. Within a track, this time never goes back.
    pub decode_time: Duration,
    /// The time of presentation on the epoch's clock.
    pub presentation_time: Duration,
    /// The time until the next frame of the track. It is estimated from earlier frames, because the next
    /// frame has not arrived yet.
    pub duration: Duration,
    /// True if decoding can begin with this frame. Always true for audio.
    pub is_keyframe: bool,
    /// The time at which the last byte of the frame was read.
    pub received_at: Instant,
    /// An estimate of the wall-clock time at which the camera took the frame.
    pub taken_at: SystemTime,
    /// The bytes. H.264 and H.265 consist of NAL units, each after its length in four bytes. Parameter sets,
    /// delimiters and filler data are left out. A frame of Motion JPEG is a JPEG. Audio has the form in which FFmpeg
    /// writes it.
    pub data: Bytes,
}

impl Frame {
    /// Returns true if decoding of the video can begin here.
    pub fn is_entry_point(&self) -> bool {
        self.track == Track::Video && self.is_keyframe
    }

    /// Estimates the wall-clock time of what is shown at `time` on the epoch's clock, from the time of this frame.
    pub(crate) fn date_at(&self, time: Duration) -> SystemTime {
        let shown = self.presentation_time;
        let (later, earlier) = (time.saturating_sub(shown), shown.saturating_sub(time));
        let date = self.taken_at.checked_add(later).and_then(|date| date.checked_sub(earlier));
        date.unwrap_or(self.taken_at)
    }
}

/// The description of a stream's tracks. Each epoch, and each change of parameters, creates a new description.
#[derive(Debug)]
pub struct Format {
    /// Number of the epoch.
    pub epoch: u64,
    /// The version of this description within the epoch. When the version rises, the media may need a new init
    /// segment.
    pub version: u32,
    /// True if FFmpeg has converted the video; false if the video is as the camera sent it.
    pub is_converted: bool,
    /// The codec and the parameter sets of the video.
    pub parameter_sets: ParameterSets,
    /// The properties of the video's pictures.
    pub picture: PictureParameters,
    /// The audio as the camera sends it; `None` if the camera sends no audio, or if FFmpeg writes only the converted
    /// audio.
    pub audio: Option<AudioFormat>,
    /// The audio of [`Track::Aac`]; `None` if FFmpeg converts no audio, or while the result is unknown.
    pub aac: Option<AacConfig>,
    /// True if audio can still be added, because the camera's audio is not known yet, or because AAC is
    /// expected and its headers have not arrived.
    pub awaits_audio: bool,
}

impl Format {
    /// Returns the codec of the video.
    pub fn codec(&self) -> VideoCodec {
        self.parameter_sets.codec()
    }

    /// Returns the RFC 6381 codec of the AAC for HLS, from the camera or converted; `None` without AAC.
    pub fn audio_codec(&self) -> Option<String> {
        self.hls_audio().map(|(_, config)| config.codec())
    }

    /// Returns the audio for HLS: the camera's AAC, or else the AAC that FFmpeg makes; `None` without AAC. The
    /// camera's AAC is used if its frames are short enough, or if FFmpeg makes no AAC.
    pub(crate) fn hls_audio(&self) -> Option<(Track, &AacConfig)> {
        match (&self.audio, &self.aac) {
            (Some(audio), Some(config)) if !audio.is_hls_ready() => Some((Track::Aac, config)),
            (Some(AudioFormat::Aac(config)), _) => Some((Track::Audio, config)),
            (_, Some(config)) => Some((Track::Aac, config)),
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
    /// Any other codec, or AAC or Opus with parameters that cannot be used, or AAC that browsers do not play.
    Other,
}

impl AudioFormat {
    /// Returns true if HLS needs no conversion of this audio: it is AAC with short frames.
    pub(crate) fn is_hls_ready(&self) -> bool {
        matches!(self, Self::Aac(config) if config.has_short_frames())
    }
}

/// Frames for tests of their consumers.
#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// H.264 parameter sets of x264 for 640×360 pixels.
    pub(crate) const PARAMETER_SETS: &[u8] =
        b"\0\0\0\x01\x67\x42\xc0\x1e\xd9\x00\xa0\x2f\xf9\x70\x11\x00\x00\x03\x00\x01\x00\x00\
          \x03\x00\x32\x0f\x16\x2e\x48\0\0\0\x01\x68\xcb\x83\xcb\x20";

    /// Returns the description of a stream without audio.
    pub(crate) fn format(epoch: u64) -> Arc<Format> {
        let parameter_sets = ParameterSets::from_extradata(VideoCodec::H264, PARAMETER_SETS);
        Arc::new(Format {
            epoch,
            version: 0,
            is_converted: false,
            picture: parameter_sets.picture().expect("parameter sets"),
            parameter_sets,
            audio: None,
            aac: None,
            awaits_audio: false,
        })
    }

    /// Returns a frame of video with 1000 bytes. `time` and `duration` are in milliseconds.
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
