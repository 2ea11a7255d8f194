//! NAL units of H.264 and H.265: their boundaries and their kinds.

use std::ops::Range;
use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::media::codec::VideoCodec;

/// The way in which an access unit is divided into NAL units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// A start code in front of each unit (Annex B of both standards).
    StartCodes,
    /// A length field in front of each unit. The field has this number of bytes, 1 to 4.
    Lengths(usize),
}

impl Framing {
    /// Returns the framing of a stream with these codec parameters, which FFmpeg calls extradata. The
    /// parameters are an `avcC` or `hvcC` record, which begins with 1, or units with start codes.
    pub fn of_extradata(codec: VideoCodec, extradata: &[u8]) -> Self {
        let length_size_at = match codec {
            VideoCodec::H264 => 4,
            VideoCodec::H265 => 21,
            VideoCodec::Mjpeg => return Self::StartCodes,
        };
        match (extradata.first(), extradata.get(length_size_at)) {
            (Some(1), Some(byte)) => Self::Lengths(usize::from(byte & 3) + 1),
            _ => Self::StartCodes,
        }
    }

    /// Returns the units of an access unit, without empty ones. Skips the bytes before the first start
    /// code. Stops at a length that goes beyond the end of the access unit.
    pub fn units(self, access_unit: &[u8]) -> Units<'_> {
        let rest = match self {
            Self::StartCodes => after_start_code(access_unit),
            Self::Lengths(_) => access_unit,
        };
        Units { framing: self, rest }
    }

    /// Returns the positions of the [`units`](Self::units) in an access unit.
    pub(crate) fn ranges(self, access_unit: &[u8]) -> impl Iterator<Item = Range<usize>> {
        // Each unit is a slice of the access unit, so its position is the difference of the addresses.
        let base = access_unit.as_ptr().addr();
        self.units(access_unit).map(move |unit| {
            let begin = unit.as_ptr().addr() - base;
            begin..begin + unit.len()
        })
    }
}

/// The NAL units of an access unit, with their headers.
#[derive(Debug, Clone)]
pub struct Units<'a> {
    framing: Framing,
    rest: &'a [u8],
}

impl<'a> Iterator for Units<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        while !self.rest.is_empty() {
            let unit = match self.framing {
                Framing::StartCodes => self.until_start_code(),
                Framing::Lengths(size) => self.of_length(size).unwrap_or_else(|| self.end()),
            };
            if !unit.is_empty() {
                return Some(unit);
            }
        }
        None
    }
}

impl<'a> Units<'a> {
    /// Takes the unit up to the next start code. Leaves out zero bytes before the start code, because a unit never
    /// ends with a zero byte.
    fn until_start_code(&mut self) -> &'a [u8] {
        let end = find_start_code(self.rest).unwrap_or(self.rest.len());
        let (unit, rest) = self.rest.split_at(end);
        self.rest = rest.get(3..).unwrap_or_default();
        let length = unit.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        &unit[..length]
    }

    fn of_length(&mut self, size: usize) -> Option<&'a [u8]> {
        let (length, rest) = self.rest.split_at_checked(size)?;
        let length = length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        let (unit, rest) = rest.split_at_checked(length)?;
        self.rest = rest;
        Some(unit)
    }

    fn end(&mut self) -> &'a [u8] {
        self.rest = &[];
        self.rest
    }
}

fn after_start_code(bytes: &[u8]) -> &[u8] {
    find_start_code(bytes).map_or(&[], |at| &bytes[at + 3..])
}

/// Returns the position of the bytes 0, 0, 1.
fn find_start_code(bytes: &[u8]) -> Option<usize> {
    static START_CODE: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new(b"\0\0\x01"));
    START_CODE.find(bytes)
}

/// The kind of a NAL unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UnitKind {
    /// A slice of a picture with which decoding can begin: IDR of H.264, IRAP of H.265.
    KeySlice,
    /// A slice of another picture.
    Slice,
    /// A set of parameters for the pictures that follow.
    ParameterSet(SetKind),
    /// A delimiter or filler data, neither of which belongs in MP4.
    Padding,
    /// Any other unit.
    Other,
}

/// The kind of a parameter set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SetKind {
    /// Video parameter set, of H.265 only.
    Video,
    /// Sequence parameter set.
    Sequence,
    /// Picture parameter set.
    Picture,
}

impl UnitKind {
    /// Returns the kind of a unit (Table 7-1 of both standards).
    pub(crate) fn of(codec: VideoCodec, unit: &[u8]) -> Self {
        let head = unit.first().copied().unwrap_or_default();
        match codec {
            VideoCodec::H264 => Self::of_h264(head & 0x1f),
            VideoCodec::H265 => Self::of_h265(head >> 1 & 0x3f),
            VideoCodec::Mjpeg => Self::Other,
        }
    }

    fn of_h264(unit_type: u8) -> Self {
        match unit_type {
            1..=4 => Self::Slice,
            5 => Self::KeySlice,
            7 => Self::ParameterSet(SetKind::Sequence),
            8 => Self::ParameterSet(SetKind::Picture),
            9 | 12 => Self::Padding,
            _ => Self::Other,
        }
    }

    fn of_h265(unit_type: u8) -> Self {
        match unit_type {
            0..=15 => Self::Slice,
            16..=23 => Self::KeySlice,
            32 => Self::ParameterSet(SetKind::Video),
            33 => Self::ParameterSet(SetKind::Sequence),
            34 => Self::ParameterSet(SetKind::Picture),
            35 | 38 => Self::Padding,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(framing: Framing, bytes: &[u8]) -> Vec<&[u8]> {
        framing.units(bytes).collect()
    }

    #[test]
    fn start_codes_of_three_and_four_bytes_are_found() {
        let bytes = b"\0\0\x01\x65\x88\0\0\0\x01\x41\0\0\x03\x01\0\0\0\0\0\x01\x06\0";
        let expected = [b"\x65\x88".as_slice(), b"\x41\0\0\x03\x01", b"\x06"];
        assert_eq!(units(Framing::StartCodes, bytes), expected);
    }

    #[test]
    fn a_start_code_is_found_wherever_it_begins() {
        for before in 0..12 {
            for filler in [0x01, 0x02, 0xff] {
                let mut bytes = vec![filler; before];
                bytes.extend_from_slice(b"\0\0\x01\x65");
                assert_eq!(find_start_code(&bytes), Some(before));
                assert_eq!(units(Framing::StartCodes, &bytes), [b"\x65"]);
            }
        }
    }

    #[test]
    fn damaged_framing_yields_the_units_before_the_damage() {
        for bytes in [b"".as_slice(), b"\0\0", b"\0\0\x01", b"abc\0\0\x02", b"\0\0\x01\0\0\x01\0"] {
            assert_eq!(units(Framing::StartCodes, bytes), [b""; 0], "{bytes:?}");
        }
        let bytes = b"\0\x02\x65\x88\0\0\0\x01\x06\xff\xff\x41";
        assert_eq!(units(Framing::Lengths(2), bytes), [b"\x65\x88".as_slice(), b"\x06"]);
        assert_eq!(units(Framing::Lengths(4), b"\xff\xff\xff\xff\x41"), [b""; 0]);
    }

    #[test]
    fn the_extradata_decides_the_framing() {
        let avcc = b"\x01\x42\xc0\x1e\xff\xe1";
        assert_eq!(Framing::of_extradata(VideoCodec::H264, avcc), Framing::Lengths(4));
        assert_eq!(Framing::of_extradata(VideoCodec::H264, b"\0\0\x01\x67"), Framing::StartCodes);
        assert_eq!(Framing::of_extradata(VideoCodec::H265, b""), Framing::StartCodes);
        let mut hvcc = [0; 23];
        (hvcc[0], hvcc[21]) = (1, 0xfd);
        assert_eq!(Framing::of_extradata(VideoCodec::H265, &hvcc), Framing::Lengths(2));
    }
}
