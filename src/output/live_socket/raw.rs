//! Frames for `WebCodecs`: a header of 24 bytes, and the bytes that a decoder gets. Pure.

use std::time::{Duration, SystemTime};

use bytes::Bytes;

use super::codecs::{AudioCodec, ChosenAudio};
use super::protocol::{MediaDescription, RawAudio, RawVideo, base64};
use crate::media::annex_b::annex_b;
use crate::media::frame::{Format, Frame, Track};
use crate::media::opus::OpusConfig;

/// Length of the header in bytes.
const HEADER: usize = 24;
/// The flag of a keyframe.
const KEYFRAME: u8 = 1;
/// The flag of a frame that is decoded, but not shown, because the client gets a newer frame at the same time.
const OLD: u8 = 2;

/// Returns the description of the video, and of the audio if the client gets audio.
pub(super) fn describe<'a>(
    format: &'a Format,
    audio: Option<&ChosenAudio>,
) -> MediaDescription<'a> {
    let picture = &format.picture;
    let video = RawVideo { codec: &picture.codec, width: picture.width, height: picture.height };
    MediaDescription::Raw { video, audio: audio.map(|audio| describe_audio(&audio.codec)) }
}

fn describe_audio(codec: &AudioCodec) -> RawAudio {
    let g711 = |codec: &str, sample_rate| RawAudio {
        codec: codec.to_owned(),
        sample_rate,
        channels: 1,
        description: None,
    };
    match codec {
        AudioCodec::Aac(config) => RawAudio {
            codec: config.codec(),
            sample_rate: config.sample_rate,
            channels: config.channels,
            description: Some(base64(&config.bytes)),
        },
        AudioCodec::Opus(config) => RawAudio {
            codec: OpusConfig::CODEC.to_owned(),
            sample_rate: OpusConfig::SAMPLE_RATE,
            channels: config.channels,
            description: None,
        },
        AudioCodec::MuLaw(rate) => g711("ulaw", *rate),
        AudioCodec::ALaw(rate) => g711("alaw", *rate),
    }
}

/// Returns the message with a frame: the header, and the bytes for the decoder.
pub(super) fn message(frame: &Frame, number: u32, is_old: bool) -> [Bytes; 2] {
    let is_video = frame.track == Track::Video;
    let flags = if frame.is_keyframe { KEYFRAME } else { 0 } | if is_old { OLD } else { 0 };
    let mut header = Vec::with_capacity(HEADER);
    header.extend_from_slice(&[u8::from(!is_video), flags, 0, 0]);
    header.extend_from_slice(&number.to_be_bytes());
    header.extend_from_slice(&micros(frame.presentation_time).to_be_bytes());
    let taken_at = frame.taken_at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    header.extend_from_slice(&micros(taken_at).to_be_bytes());
    [header.into(), if is_video { annex_b(frame) } else { frame.data.clone() }]
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::frame::testing;

    #[test]
    fn the_header_describes_the_frame() {
        let frame = testing::video(&testing::format(7), true, 1040, 40);
        let frame = Frame { data: Bytes::from_static(b"\0\0\0\x02\x65\x88"), ..frame };
        let [header, data] = message(&frame, 0x0102, true);
        let expected = [
            b"\0\x03\0\0\0\0\x01\x02".as_slice(),
            &1_040_000_u64.to_be_bytes(),
            &1_040_000_u64.to_be_bytes(),
        ];
        assert_eq!(header, expected.concat());
        assert!(data.starts_with(testing::PARAMETER_SETS) && data.ends_with(b"\0\0\0\x01\x65\x88"));
        let sound = Frame { track: Track::Aac, ..frame };
        let [header, data] = message(&sound, 1, false);
        assert_eq!((&header[..2], data), (b"\x01\x01".as_slice(), sound.data));
    }
}
