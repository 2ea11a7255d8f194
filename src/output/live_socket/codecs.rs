//! The codecs that a client can decode, and the audio that it gets. Pure.

use std::collections::BTreeSet;

use super::protocol::MessageFormat;
use crate::base::error::{Error, ErrorKind};
use crate::media::aac::AacConfig;
use crate::media::codec::VideoCodec;
use crate::media::frame::{AudioFormat, Format, Track};
use crate::media::mp4::init::AudioConfig;
use crate::media::opus::OpusConfig;

/// The codecs that a client can decode. Only the part of a codec string before the first dot counts, because browsers
/// decode more profiles and levels than they announce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClientCodecs(BTreeSet<Family>);

/// The codecs that differ only in profile and level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Family {
    H264,
    H265,
    Aac,
    Opus,
    MuLaw,
    ALaw,
}

/// The audio that a client gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ChosenAudio {
    /// The track of the frames.
    pub(super) track: Track,
    /// The codec and its parameters.
    pub(super) codec: AudioCodec,
}

/// The codec of audio, with its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum AudioCodec {
    /// AAC.
    Aac(AacConfig),
    /// Opus.
    Opus(OpusConfig),
    /// G.711 with µ-law, at this many samples per second.
    MuLaw(u32),
    /// G.711 with A-law, at this many samples per second.
    ALaw(u32),
}

impl ClientCodecs {
    /// Reads codec strings such as `avc1.640029`. Ignores unknown codecs.
    pub(crate) fn parse(codecs: &[String]) -> Self {
        let family = |codec: &String| match codec.split('.').next()? {
            "avc1" | "avc3" => Some(Family::H264),
            "hvc1" | "hev1" => Some(Family::H265),
            "mp4a" => Some(Family::Aac),
            "opus" => Some(Family::Opus),
            "ulaw" => Some(Family::MuLaw),
            "alaw" => Some(Family::ALaw),
            _ => None,
        };
        Self(codecs.iter().filter_map(family).collect())
    }

    fn has(&self, family: Family) -> bool {
        self.0.contains(&family)
    }

    /// Returns an error if the client cannot decode the video.
    pub(super) fn ensure_decodes_video(&self, format: &Format) -> Result<(), Error> {
        let is_decoded = match format.codec() {
            VideoCodec::H264 => self.has(Family::H264),
            VideoCodec::H265 => self.has(Family::H265),
            VideoCodec::Mjpeg => false,
        };
        if is_decoded {
            return Ok(());
        }
        let codec = &format.picture.codec;
        let detail = format!("the list of codecs does not contain the codec of the video, {codec}");
        Err(Error::new(ErrorKind::CodecUnsupported, detail))
    }

    /// Returns the audio that the client gets: the camera's audio if the client can decode it, or else the AAC that is
    /// made of it; `None` without such audio.
    pub(super) fn audio(&self, format: &Format, form: MessageFormat) -> Option<ChosenAudio> {
        let is_raw = form == MessageFormat::Raw;
        let own = match &format.audio {
            Some(AudioFormat::Aac(config)) if self.has(Family::Aac) => {
                Some(AudioCodec::Aac(config.clone()))
            }
            Some(AudioFormat::Opus(config)) if self.has(Family::Opus) => {
                Some(AudioCodec::Opus(*config))
            }
            Some(AudioFormat::PcmMuLaw(rate)) if is_raw && self.has(Family::MuLaw) => {
                Some(AudioCodec::MuLaw(*rate))
            }
            Some(AudioFormat::PcmALaw(rate)) if is_raw && self.has(Family::ALaw) => {
                Some(AudioCodec::ALaw(*rate))
            }
            _ => None,
        };
        let own = own.map(|codec| ChosenAudio { track: Track::Audio, codec });
        let converted = format.aac.clone().filter(|_| self.has(Family::Aac));
        let converted = converted.map(AudioCodec::Aac);
        own.or_else(|| converted.map(|codec| ChosenAudio { track: Track::Aac, codec }))
    }
}

impl AudioCodec {
    /// Returns whether silence can be made with this codec, if no audio arrives.
    pub(super) fn has_silence(&self) -> bool {
        matches!(self, Self::Aac(config) if config.silent_frame().is_some())
    }

    /// Returns whether the codecs differ at most in their parameters.
    pub(super) fn is_same_kind(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }

    /// Returns the audio for an init segment; `None` for G.711, which MP4 for browsers cannot contain.
    pub(super) fn mp4(&self) -> Option<AudioConfig> {
        match self {
            Self::Aac(config) => Some(AudioConfig::Aac(config.clone())),
            Self::Opus(config) => Some(AudioConfig::Opus(*config)),
            Self::MuLaw(_) | Self::ALaw(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::frame::testing;

    fn codecs(list: &[&str]) -> ClientCodecs {
        ClientCodecs::parse(&list.iter().map(|codec| (*codec).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn only_the_family_of_a_codec_counts() {
        let format = testing::format(7);
        for (list, expected) in [
            (&["avc1.640029"][..], true),
            (&["hvc1.1.6.L153.B0", "avc3"], true),
            (&["hvc1.1.6.L153.B0", "mp4a.40.2"], false),
            (&["avc12.640029", "AVC1", "", ".", "vp09.00.10.08"], false),
            (&[], false),
        ] {
            let result = codecs(list).ensure_decodes_video(&format);
            let expected = if expected { Ok(()) } else { Err(ErrorKind::CodecUnsupported) };
            assert_eq!(result.map_err(|error| error.kind), expected, "{list:?}");
        }
    }

    #[test]
    fn a_client_gets_the_cameras_audio_or_else_aac() {
        let aac = AacConfig::low_complexity(32_000, 1).expect("a configuration");
        let mut format = std::sync::Arc::into_inner(testing::format(7)).expect("one owner");
        format.audio = Some(AudioFormat::PcmMuLaw(8000));
        format.aac = Some(aac);
        let all = codecs(&["avc1", "mp4a.40.2", "opus", "ulaw", "alaw"]);
        let track = |format: &Format, codecs: &ClientCodecs, form| {
            codecs.audio(format, form).map(|audio| audio.track)
        };
        let (mp4, raw) = (MessageFormat::Mp4, MessageFormat::Raw);
        assert_eq!(track(&format, &all, mp4), Some(Track::Aac), "MP4 cannot contain G.711");
        assert_eq!(track(&format, &all, raw), Some(Track::Audio));
        assert_eq!(track(&format, &codecs(&["mp4a", "alaw"]), raw), Some(Track::Aac));
        assert_eq!(track(&format, &codecs(&["avc1", "ulaw"]), mp4), None);
        format.aac = None;
        assert_eq!(track(&format, &all, mp4), None, "the AAC is not known yet");
    }
}
