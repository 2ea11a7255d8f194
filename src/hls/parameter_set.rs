//! The sequence parameter set that a camera repeats at its keyframes: it says what size and
//! profile the pictures from there on have. A camera whose settings are changed may send another
//! one in mid-stream, which players with the first one in their init segment cannot be asked to
//! play.

/// H.264, Table 7-1.
const H264_SEQUENCE_PARAMETER_SET: u8 = 7;
/// H.265, Table 7-1.
const HEVC_SEQUENCE_PARAMETER_SET: u8 = 33;

/// How a sample's bytes are cut into NAL units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NalUnits {
    /// Whether the units are those of H.265.
    pub is_hevc: bool,
    /// Bytes of the length before each unit: 1 to 4.
    pub length_size: usize,
}

impl NalUnits {
    /// The sequence parameter set among the units before the picture itself, if there is one.
    pub fn sequence_parameter_set(self, mut sample: &[u8]) -> Option<&[u8]> {
        loop {
            let (length, rest) = sample.split_at_checked(self.length_size)?;
            let length = length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
            let (unit, rest) = rest.split_at_checked(length)?;
            match self.kind(*unit.first()?) {
                Kind::SequenceParameterSet => return Some(unit),
                Kind::Picture => return None,
                Kind::Other => sample = rest,
            }
        }
    }

    fn kind(self, head: u8) -> Kind {
        let (unit_type, parameter_set, picture) = if self.is_hevc {
            ((head >> 1) & 0x3f, HEVC_SEQUENCE_PARAMETER_SET, 0..=31)
        } else {
            (head & 0x1f, H264_SEQUENCE_PARAMETER_SET, 1..=5)
        };
        if unit_type == parameter_set {
            Kind::SequenceParameterSet
        } else if picture.contains(&unit_type) {
            Kind::Picture
        } else {
            Kind::Other
        }
    }
}

enum Kind {
    SequenceParameterSet,
    Picture,
    Other,
}

#[cfg(test)]
mod tests {
    use super::*;

    const H264: NalUnits = NalUnits { is_hevc: false, length_size: 4 };
    const HEVC: NalUnits = NalUnits { is_hevc: true, length_size: 2 };

    #[test]
    fn is_found_before_the_picture() {
        // Delimiter, parameter sets, picture.
        let sample = b"\0\0\0\x02\x09\xf0\0\0\0\x03\x67\x42\x01\0\0\0\x01\x68\0\0\0\x02\x65\x88";
        assert_eq!(H264.sequence_parameter_set(sample), Some(b"\x67\x42\x01".as_slice()));
        let sample = b"\0\x03\x46\x01\x50\0\x03\x42\x01\x01\0\x02\x26\x01";
        assert_eq!(HEVC.sequence_parameter_set(sample), Some(b"\x42\x01\x01".as_slice()));
    }

    #[test]
    fn is_not_found_behind_it_nor_in_damage() {
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
}
