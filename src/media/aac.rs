//! AAC: its configuration, and silence.

use std::time::Duration;

use crate::media::bits::BitReader;

/// ISO/IEC 14496-3, Table 1.18: sample rates in Hz by their index.
const SAMPLE_RATES: [u32; 13] =
    [96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350];
/// The sample rate to which audio is converted, in Hz. At this rate, a frame of AAC lasts for 32 ms, so that each
/// part of a segment contains audio. hls.js takes the times of parts with and without audio from different
/// tracks. Whenever hls.js changes the track, the picture can freeze until the next keyframe. At the 8 kHz of
/// G.711, a frame would last for 128 ms, which is longer than most parts.
pub(crate) const CONVERTED_RATE: u32 = 32_000;
/// The longest duration of a frame of AAC that is not converted. Most parts last for 67 ms or longer. At 16 kHz, a
/// frame lasts for 64 ms and is short enough; at 12 kHz, it lasts for 85 ms and is too long.
const LONGEST_FRAME: Duration = Duration::from_millis(65);
/// The index which means that the sample rate itself follows, as a number of 24 bits.
const EXPLICIT_RATE: u32 = 15;

/// The parameters that a decoder of AAC needs: the `AudioSpecificConfig` of ISO/IEC 14496-3, 1.6.2.1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AacConfig {
    /// The audio object type, e.g. 2 for AAC-LC and 5 for HE-AAC.
    pub object_type: u8,
    /// Samples per second of each channel. A decoder of HE-AAC can play twice as many samples per second.
    pub sample_rate: u32,
    /// Number of channels: 1 to 6, or 8. A decoder of HE-AAC v2 plays one channel as two.
    pub channels: u8,
    /// The `AudioSpecificConfig`, as MP4 stores it.
    pub bytes: Vec<u8>,
}

impl AacConfig {
    /// Reads a configuration from FFmpeg or from a camera's SDP. Returns `None` if the configuration is
    /// damaged, or has a layout of channels that browsers do not play.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        /// The largest number of bytes that are kept. Only configurations with a description of channels are longer,
        /// and they are refused.
        const MAX_SIZE: usize = 64;
        let bytes = bytes.get(..bytes.len().min(MAX_SIZE))?;
        // `BitReader` leaves out a byte 3 that follows two zero bytes. A valid configuration does not contain these
        // three bytes: it would have object type 0, an impossible sample rate, or no channels.
        let mut bits = BitReader::new(bytes);
        let object_type = object_type(&mut bits)?;
        let sample_rate = sample_rate(&mut bits)?;
        let channels = channels(bits.bits(4)?)?;
        Some(Self { object_type, sample_rate, channels, bytes: bytes.to_vec() })
    }

    /// Returns the configuration of AAC-LC; `None` if AAC has no such sample rate, or browsers do not play
    /// this number of channels.
    pub(crate) fn low_complexity(sample_rate: u32, channels: u8) -> Option<Self> {
        let rate_index = SAMPLE_RATES.iter().position(|rate| *rate == sample_rate)?;
        let channel_configuration = if channels == 8 { 7 } else { channels };
        Self::parse(&config_bytes(2, u8::try_from(rate_index).ok()?, channel_configuration))
    }

    /// Returns true if frames of both configurations can be decoded with either configuration.
    pub(crate) fn is_compatible(&self, other: &Self) -> bool {
        (self.object_type, self.sample_rate, self.channels)
            == (other.object_type, other.sample_rate, other.channels)
    }

    /// Returns the duration of a frame.
    pub(crate) fn frame_duration(&self) -> Duration {
        Duration::from_secs(1024) / self.sample_rate.max(1)
    }

    /// Returns true if a frame is short enough for each part of a segment to contain audio.
    pub(crate) fn has_short_frames(&self) -> bool {
        self.frame_duration() <= LONGEST_FRAME
    }

    /// Returns a frame of silence; `None` if there are more than two channels.
    ///
    /// The frame consists of one channel element without spectral data (ISO/IEC 14496-3, 4.4.2.1). All its
    /// bits are zero, except the bit that marks a pair of channels, and the three bits that mark the end.
    pub(crate) fn silent_frame(&self) -> Option<&'static [u8]> {
        match self.channels {
            1 => Some(&[0, 0, 0, 0b111]),
            2 => Some(&[0b0010_0000, 0, 0, 0, 0, 0, 0b1110]),
            _ => None,
        }
    }

    /// Returns true if browsers play this kind of AAC: AAC-LC, HE-AAC and HE-AAC v2.
    pub fn is_playable(&self) -> bool {
        const PLAYABLE: [u8; 3] = [2, 5, 29];
        PLAYABLE.contains(&self.object_type)
    }

    /// Returns the RFC 6381 codec, e.g. `mp4a.40.2`.
    pub fn codec(&self) -> String {
        format!("mp4a.40.{}", self.object_type)
    }
}

/// Returns the `AudioSpecificConfig` with these values.
fn config_bytes(object_type: u8, rate_index: u8, channel_configuration: u8) -> [u8; 2] {
    [object_type << 3 | rate_index >> 1, (rate_index & 1) << 7 | channel_configuration << 3]
}

fn object_type(bits: &mut BitReader<'_>) -> Option<u8> {
    const ESCAPE: u32 = 31;
    let mut object_type = bits.bits(5)?;
    if object_type == ESCAPE {
        object_type = 32 + bits.bits(6)?;
    }
    u8::try_from(object_type).ok().filter(|object_type| *object_type > 0)
}

fn sample_rate(bits: &mut BitReader<'_>) -> Option<u32> {
    let index = bits.bits(4)?;
    let rate = if index == EXPLICIT_RATE {
        bits.bits(24)?
    } else {
        *SAMPLE_RATES.get(usize::try_from(index).ok()?)?
    };
    (rate > 0).then_some(rate)
}

/// Returns the number of channels (Table 1.19). Configuration 0, which announces a description of
/// channels, and configurations from 8 on, which have special layouts, give `None`.
fn channels(configuration: u32) -> Option<u8> {
    match u8::try_from(configuration).ok()? {
        7 => Some(8),
        channels @ 1..=6 => Some(channels),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn configurations_are_parsed_or_refused() {
        let parse = |bytes: &[u8]| {
            let config = AacConfig::parse(bytes)?;
            Some((config.codec(), config.sample_rate, config.channels))
        };
        assert_eq!(parse(&[0x11, 0x90]), Some(("mp4a.40.2".into(), 48000, 2)));
        assert_eq!(parse(&[0x15, 0x88]), Some(("mp4a.40.2".into(), 8000, 1)));
        // HE-AAC, and AAC-LC with a sample rate as a number of 24 bits: 7352 Hz.
        assert_eq!(parse(&[0x2b, 0x09, 0x88]), Some(("mp4a.40.5".into(), 24000, 1)));
        assert_eq!(parse(&[0x17, 0x80, 0x0e, 0x5c, 0x08]), Some(("mp4a.40.2".into(), 7352, 1)));
        let is_playable = |bytes: &[u8]| AacConfig::parse(bytes).map(|config| config.is_playable());
        assert_eq!(is_playable(&[0x11, 0x90]), Some(true));
        // AAC Main, and AAC-ELD.
        assert_eq!(is_playable(&[0x09, 0x90]), Some(false));
        assert_eq!(is_playable(&[0xf8, 0xe8, 0x50, 0x00]), Some(false));
        for refused in [b"".as_slice(), &[0x11], &[0x00, 0x10], &[0x11, 0x80], &[0x16, 0x90]] {
            assert_eq!(parse(refused), None, "{refused:x?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = AacConfig::parse(&bytes);
        }
    }
}
