//! Annex B of H.264 and H.265: the form of video in which a start code precedes each NAL unit. Pure.

use bytes::Bytes;

use crate::media::frame::{Format, Frame};
use crate::media::nal::Framing;

/// The bytes before each NAL unit.
const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// Returns a frame of H.264 or H.265 in the form of Annex B. A keyframe contains the parameter sets of its format.
pub(crate) fn annex_b(frame: &Frame) -> Bytes {
    let sets = frame.format.parameter_sets.units().filter(|_| frame.is_keyframe);
    let size: usize = sets.map(|unit| START_CODE.len() + unit.len()).sum();
    // A start code is as long as the length that it replaces.
    let mut bytes = Vec::with_capacity(size + frame.data.len());
    if frame.is_keyframe {
        append_sets(&frame.format, &mut bytes);
    }
    append_units(&frame.data, &mut bytes);
    bytes.into()
}

/// Appends the parameter sets of a format.
pub(super) fn append_sets(format: &Format, out: &mut Vec<u8>) {
    append_all(format.parameter_sets.units().map(AsRef::as_ref), out);
}

/// Appends the NAL units of a frame's data.
pub(super) fn append_units(data: &[u8], out: &mut Vec<u8>) {
    append_all(Framing::Lengths(4).units(data), out);
}

fn append_all<'a>(units: impl Iterator<Item = &'a [u8]>, out: &mut Vec<u8>) {
    for unit in units {
        out.extend_from_slice(&START_CODE);
        out.extend_from_slice(unit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::frame::testing;

    #[test]
    fn keyframes_begin_with_the_parameter_sets() {
        let data = Bytes::from_static(b"\0\0\0\x02\x65\x88\0\0\0\x01\x06");
        let units = b"\0\0\0\x01\x65\x88\0\0\0\x01\x06".as_slice();
        let frame = |is_keyframe| Frame {
            data: data.clone(),
            ..testing::video(&testing::format(7), is_keyframe, 0, 40)
        };
        assert_eq!(annex_b(&frame(true)), [testing::PARAMETER_SETS, units].concat());
        assert_eq!(annex_b(&frame(false)), units);
    }
}
