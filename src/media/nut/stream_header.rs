//! The header of a stream: kind, codec, and coding of times.

use bytes::Bytes;

use crate::media::nut::cursor::Cursor;
use crate::media::nut::error::NutError;
use crate::media::nut::main_header::MainHeader;
use crate::media::nut::stream::{NutKind, NutStream};

/// Class of a stream with pictures.
pub(super) const VIDEO: u64 = 0;
/// Class of a stream with sound.
pub(super) const AUDIO: u64 = 1;

/// The decode delay is smaller than this number of frames.
const MAX_DECODE_DELAY: u16 = 1000;

/// The header of a stream.
pub(super) struct StreamHeader {
    /// Index of the stream.
    pub(super) id: usize,
    pub(super) stream: NutStream,
    /// Number of low bits of a time. A frame header can contain only these bits instead of the whole time,
    /// because the other bits follow from the previous time.
    pub(super) pts_lsb_bits: u32,
    /// Longest distance from the previous time, in ticks, at which a frame header needs no checksum.
    pub(super) max_pts_distance: u64,
}

impl StreamHeader {
    pub(super) fn parse(content: &[u8], main: &MainHeader) -> Result<Self, NutError> {
        let mut fields = Cursor::new(content);
        let id = fields.number("invalid stream number")?;
        if id >= main.stream_count {
            return Err(NutError::Invalid("header of an unknown stream"));
        }
        let class = fields.unsigned()?;
        let tag = tag(fields.string()?)?;
        let time_base: usize = fields.number("invalid time base of a stream")?;
        let time_base = *main
            .time_bases
            .get(time_base)
            .ok_or(NutError::Invalid("invalid time base of a stream"))?;
        let pts_lsb_bits = fields.number("invalid coding of times")?;
        if pts_lsb_bits >= 16 {
            return Err(NutError::Invalid("invalid coding of times"));
        }
        let max_pts_distance = fields.unsigned()?;
        let decode_delay = fields.number("invalid decode delay")?;
        if decode_delay >= MAX_DECODE_DELAY {
            return Err(NutError::Invalid("invalid decode delay"));
        }
        fields.unsigned()?; // flags
        let codec_private = Bytes::copy_from_slice(fields.string()?);
        let kind = kind(&mut fields, class)?;
        let stream = NutStream { kind, tag, time_base, decode_delay, codec_private };
        Ok(Self { id, stream, pts_lsb_bits, max_pts_distance })
    }
}

/// Returns the tag of a codec, which has two or four bytes in the header.
fn tag(bytes: &[u8]) -> Result<[u8; 4], NutError> {
    match *bytes {
        [a, b] => Ok([a, b, 0, 0]),
        [a, b, c, d] => Ok([a, b, c, d]),
        _ => Err(NutError::Invalid("invalid tag of a codec")),
    }
}

fn kind(fields: &mut Cursor<'_>, class: u64) -> Result<NutKind, NutError> {
    let mut positive = |error| match fields.number(error)? {
        0 => Err(NutError::Invalid(error)),
        number => Ok(number),
    };
    Ok(match class {
        VIDEO => NutKind::Video {
            width: positive("invalid size of a picture")?,
            height: positive("invalid size of a picture")?,
        },
        AUDIO => NutKind::Audio {
            sample_rate: (positive("invalid sample rate")?, positive("invalid sample rate")?),
            channels: positive("invalid number of channels")?,
        },
        _ => NutKind::Other,
    })
}
