//! The sequence parameter set that a camera repeats at its keyframes. It contains the size and profile
//! of the pictures that follow. If the camera's settings are changed, the camera may send a different
//! set in mid-stream. Players that still have the first set, from their init segment, cannot play the
//! pictures after that.

pub(crate) mod h264;
pub(crate) mod h265;
pub(crate) mod picture;
pub(crate) mod sets;

use bytes::Bytes;

use crate::media::codec::VideoCodec;
use crate::media::nal::{Framing, SetKind, UnitKind};

/// The properties of pictures that a player has to know before it can play them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Format {
    /// H.264, of this profile and size.
    H264 {
        /// The field `profile_idc`.
        profile: u8,
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// The whole parameter set, unparsed: that of H.265, or one of H.264 that cannot be parsed.
    Other(Bytes),
}

/// How a sample's bytes are divided into NAL units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NalUnits {
    /// Whether the units are those of H.265.
    pub is_hevc: bool,
    /// Size in bytes of the length in front of each unit, 1 to 4.
    pub length_size: usize,
}

impl NalUnits {
    /// Returns the sequence parameter set among the units before the picture; `None` without
    /// such a set.
    fn sequence_parameter_set(self, sample: &[u8]) -> Option<&[u8]> {
        let codec = if self.is_hevc { VideoCodec::H265 } else { VideoCodec::H264 };
        for unit in Framing::Lengths(self.length_size).units(sample) {
            match UnitKind::of(codec, unit) {
                UnitKind::ParameterSet(SetKind::Sequence) => return Some(unit),
                UnitKind::KeySlice | UnitKind::Slice => return None,
                _ => {}
            }
        }
        None
    }

    /// Returns the format that the sample of a keyframe contains; `None` if it contains none.
    pub(crate) fn format(self, keyframe: &[u8]) -> Option<Format> {
        let unit = self.sequence_parameter_set(keyframe)?;
        let h264 = if self.is_hevc { None } else { h264_format(unit) };
        // Copied, because a slice would keep the whole fragment alive.
        Some(h264.unwrap_or_else(|| Format::Other(Bytes::copy_from_slice(unit))))
    }
}

/// Returns size and profile only: other fields of the set change with the light or the bit rate.
/// Returns `None` if the set cannot be parsed.
fn h264_format(unit: &[u8]) -> Option<Format> {
    let picture = h264::parse(unit)?;
    let (width, height) = (picture.width.into(), picture.height.into());
    Some(Format::H264 { profile: *unit.get(1)?, width, height })
}

#[cfg(test)]
mod tests {
    use super::*;

    const H264: NalUnits = NalUnits { is_hevc: false, length_size: 4 };
    // Parameter sets of libx264: 640×360 at 25 frames per second, 320×180, and 640×360 at 12.
    const LARGE: &[u8] = b"\x67\x42\xc0\x1e\xda\x02\x80\xbf\xe5\xc0\x44\x00\x00\x03\x00\x04\x00\x00\x03\x00\xca\x3c\x58\xba\x80";
    const SMALL: &[u8] = b"\x67\x42\xc0\x0c\xda\x05\x06\x7e\x7c\x04\x40\x00\x00\x03\x00\x40\x00\x00\x0c\xa3\xc5\x0a\xa8";
    const OTHER_RATE: &[u8] = b"\x67\x42\xc0\x16\xda\x02\x80\xbf\xe5\xc0\x44\x00\x00\x03\x00\x04\x00\x00\x03\x00\x62\x3c\x58\xba\x80";
    const HEVC: NalUnits = NalUnits { is_hevc: true, length_size: 2 };

    #[test]
    fn a_parameter_set_is_found_before_the_picture() {
        // Delimiter, parameter sets, picture.
        let sample = b"\0\0\0\x02\x09\xf0\0\0\0\x03\x67\x42\x01\0\0\0\x01\x68\0\0\0\x02\x65\x88";
        assert_eq!(H264.sequence_parameter_set(sample), Some(b"\x67\x42\x01".as_slice()));
        // This set cannot be parsed.
        assert_eq!(H264.format(sample), Some(Format::Other(Bytes::from_static(b"\x67\x42\x01"))));
        let sample = b"\0\x03\x46\x01\x50\0\x03\x42\x01\x01\0\x02\x26\x01";
        assert_eq!(HEVC.sequence_parameter_set(sample), Some(b"\x42\x01\x01".as_slice()));
    }

    #[test]
    fn no_parameter_set_is_found_after_the_picture_or_in_damaged_samples() {
        for sample in [
            b"\0\0\0\x02\x65\x88\0\0\0\x02\x67\x42".as_slice(),
            b"",
            b"\0\0\0\0",
            b"\0\0\0\x09\x67",
            b"\xff\xff\xff\xff\x67",
        ] {
            assert_eq!(H264.sequence_parameter_set(sample), None, "{sample:?}");
        }
    }

    #[test]
    fn a_change_of_size_is_distinguished_from_other_changes() {
        let format = |set: &[u8]| {
            let length = u32::try_from(set.len()).expect("a short set").to_be_bytes();
            H264.format(&[&length, set].concat()).expect("a set")
        };
        let large = format(LARGE);
        assert_eq!(large, Format::H264 { profile: 66, width: 640, height: 360 });
        assert_eq!(format(SMALL), Format::H264 { profile: 66, width: 320, height: 180 });
        assert_eq!(format(OTHER_RATE), large);
    }
}
