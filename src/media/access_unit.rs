//! Converts access units from FFmpeg to the form that consumers need.

use std::ops::Range;

use bytes::{Buf as _, Bytes, BytesMut};

use crate::media::nal::{Framing, UnitKind};
use crate::media::parameter_set::sets::ParameterSets;

/// One picture in the form that `avc1` and `hvc1` of MP4 need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessUnit {
    /// The NAL units without parameter sets, delimiters and filler data. Each unit follows its length,
    /// which has four bytes. Empty if no units are left.
    pub data: Bytes,
    /// True if decoding can begin here: an IDR picture of H.264 or an IRAP picture of H.265.
    pub is_keyframe: bool,
}

impl AccessUnit {
    /// Divides `bytes` into NAL units, and adds the parameter sets among them to `sets`. Returns the other
    /// units, without delimiters and filler data.
    ///
    /// Does not copy the returned units if a start code or a length of four bytes precedes each of them, and if
    /// no other unit lies between them. This is so in nearly every access unit that FFmpeg writes. Otherwise,
    /// copies the units; the copy is at most two and a half times as long as `bytes`.
    pub fn read(bytes: BytesMut, framing: Framing, sets: &mut ParameterSets) -> Self {
        let codec = sets.codec();
        let mut is_keyframe = false;
        let (mut in_band, mut kept) = (Vec::new(), Vec::new());
        for range in framing.ranges(&bytes) {
            let unit = &bytes[range.clone()];
            match UnitKind::of(codec, unit) {
                UnitKind::ParameterSet(kind) => {
                    // Limits the memory for an access unit that repeats sets many times.
                    if in_band.len() < MAX_SETS_AT_ONCE {
                        in_band.push((kind, unit));
                    }
                    continue;
                }
                UnitKind::Padding => continue,
                UnitKind::KeySlice => is_keyframe = true,
                UnitKind::Slice | UnitKind::Other => {}
            }
            kept.push(range);
        }
        sets.update(&in_band);
        let data = with_lengths(bytes, &kept);
        Self { data, is_keyframe }
    }
}

/// The largest number of parameter sets that are read from one access unit. Cameras send two or three.
const MAX_SETS_AT_ONCE: usize = 64;

/// The size of a length field, in bytes.
const LENGTH: usize = 4;

/// Returns these units of `bytes`, each after its length.
fn with_lengths(mut bytes: BytesMut, units: &[Range<usize>]) -> Bytes {
    let (Some(first), Some(last)) = (units.first(), units.last()) else { return Bytes::new() };
    let has_room =
        first.start >= LENGTH && units.windows(2).all(|pair| pair[1].start == pair[0].end + LENGTH);
    if !has_room {
        return copied_with_lengths(&bytes, units);
    }
    for unit in units {
        bytes[unit.start - LENGTH..unit.start].copy_from_slice(&length(unit));
    }
    bytes.truncate(last.end);
    bytes.advance(first.start - LENGTH);
    bytes.freeze()
}

fn copied_with_lengths(bytes: &[u8], units: &[Range<usize>]) -> Bytes {
    let size = units.iter().map(|unit| LENGTH + unit.len()).sum();
    let mut data = Vec::with_capacity(size);
    for unit in units {
        data.extend_from_slice(&length(unit));
        data.extend_from_slice(&bytes[unit.clone()]);
    }
    data.into()
}

/// Returns the length field of a unit. Every length fits, because access units are smaller than 4 GiB.
fn length(unit: &Range<usize>) -> [u8; LENGTH] {
    u32::try_from(unit.len()).unwrap_or(u32::MAX).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::codec::VideoCodec;
    use proptest::prelude::*;

    fn read(codec: VideoCodec, bytes: &[u8]) -> (AccessUnit, ParameterSets) {
        let mut sets = ParameterSets::new(codec);
        (AccessUnit::read(bytes.into(), Framing::StartCodes, &mut sets), sets)
    }

    #[test]
    fn parameter_sets_delimiters_and_filler_data_are_left_out() {
        let bytes = b"\0\0\0\x01\x09\xf0\0\0\0\x01\x67\x42\xc0\x1e\xda\0\0\0\x01\x68\xce\0\0\x01\x06\x05\0\0\0\x01\x65\x88\0\0\x01\x0c\xff\x80";
        let (unit, sets) = read(VideoCodec::H264, bytes);
        assert_eq!(unit.data.as_ref(), b"\0\0\0\x02\x06\x05\0\0\0\x02\x65\x88");
        assert!(unit.is_keyframe);
        assert_eq!(sets.version(), 1);
        let (again, _) = {
            let mut sets = sets.clone();
            let again = AccessUnit::read(bytes.as_slice().into(), Framing::StartCodes, &mut sets);
            assert_eq!(sets.version(), 1, "the same sets");
            (again, sets)
        };
        assert_eq!(again, unit);
    }

    #[test]
    fn keyframes_of_each_codec_are_recognized() {
        let is_keyframe = |codec, head: u8| read(codec, &[0, 0, 1, head, 1, 0x80]).0.is_keyframe;
        assert!(is_keyframe(VideoCodec::H264, 0x65));
        assert!(!is_keyframe(VideoCodec::H264, 0x41));
        for unit_type in 0..48 {
            let expected = (16..=23).contains(&unit_type);
            assert_eq!(is_keyframe(VideoCodec::H265, unit_type << 1), expected, "{unit_type}");
        }
    }

    #[test]
    fn a_recovery_point_is_not_a_keyframe() {
        // FFmpeg marks such a packet as a keyframe.
        let (unit, _) = read(VideoCodec::H264, b"\0\0\x01\x06\x06\x01\xc4\x80\0\0\x01\x41\x9a");
        assert!(!unit.is_keyframe);
    }

    #[test]
    fn garbage_gives_an_empty_access_unit() {
        for bytes in [b"".as_slice(), b"garbage", b"\0\0\x01", b"\0\0\0\0\0"] {
            let (unit, sets) = read(VideoCodec::H264, bytes);
            assert!(unit.data.is_empty() && !unit.is_keyframe);
            assert_eq!(sets.version(), 0);
        }
    }

    /// A unit that contains no start code and does not end with a zero byte.
    fn any_unit() -> impl Strategy<Value = Vec<u8>> {
        let body = prop::collection::vec(prop::sample::select(vec![0_u8, 1, 2, 3, 0xff]), 0..20);
        (any::<u8>(), body).prop_map(|(head, body)| {
            let mut unit = vec![head];
            for byte in body {
                if byte <= 3 && unit.ends_with(&[0, 0]) {
                    unit.push(3);
                }
                unit.push(byte);
            }
            unit.push(0x80);
            unit
        })
    }

    proptest! {
        #[test]
        fn the_units_that_are_kept_do_not_change(
            units in prop::collection::vec((any_unit(), 3..8_usize), 0..10),
            is_h265: bool,
        ) {
            let codec = if is_h265 { VideoCodec::H265 } else { VideoCodec::H264 };
            let mut bytes = Vec::new();
            for (unit, zeros) in &units {
                bytes.extend(std::iter::repeat_n(0, zeros - 1));
                bytes.push(1);
                bytes.extend_from_slice(unit);
            }
            let (unit, _) = read(codec, &bytes);
            let found: Vec<_> = Framing::Lengths(4).units(&unit.data).collect();
            let is_left_out = |unit: &[u8]| {
                matches!(UnitKind::of(codec, unit), UnitKind::ParameterSet(_) | UnitKind::Padding)
            };
            let expected = units.iter().map(|(unit, _)| unit.as_slice());
            let expected: Vec<_> = expected.filter(|unit| !is_left_out(unit)).collect();
            prop_assert_eq!(found, expected);
            // Reading the result again does not change it.
            let mut sets = ParameterSets::new(codec);
            let again = AccessUnit::read(unit.data.as_ref().into(), Framing::Lengths(4), &mut sets);
            prop_assert_eq!(again, unit);
        }

        #[test]
        fn any_bytes_give_an_access_unit_of_limited_size(
            bytes in prop::collection::vec(any::<u8>(), 0..2000),
            size in 0..=4_usize,
        ) {
            let framing = if size == 0 { Framing::StartCodes } else { Framing::Lengths(size) };
            for codec in [VideoCodec::H264, VideoCodec::H265] {
                let mut sets = ParameterSets::new(codec);
                let unit = AccessUnit::read(bytes.as_slice().into(), framing, &mut sets);
                prop_assert!(unit.data.len() * 2 <= bytes.len() * 5);
            }
        }
    }
}
