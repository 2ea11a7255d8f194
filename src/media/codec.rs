//! Video codecs, and their names for players (RFC 6381).

use mp4_atom::Hvcc;

/// A video codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VideoCodec {
    /// H.264, also called AVC.
    H264,
    /// H.265, also called HEVC.
    H265,
    /// Motion JPEG. Each picture is a JPEG, which can be decoded without any other picture.
    Mjpeg,
}

/// Returns the name of H.264 in the form of RFC 6381, 3.3.
pub(super) fn h264_name(profile: u8, constraints: u8, level: u8) -> String {
    format!("avc1.{profile:02X}{constraints:02X}{level:02X}")
}

/// Returns the name of H.265 in the form of ISO/IEC 14496-15, E.3: profile space and profile, compatibility
/// flags in reverse bit order, tier and level, and constraint bytes without the zero bytes at their end.
pub(super) fn h265_name(hvcc: &Hvcc) -> String {
    let space = ["", "A", "B", "C"][usize::from(hvcc.general_profile_space & 3)];
    let flags = u32::from_be_bytes(hvcc.general_profile_compatibility_flags).reverse_bits();
    let tier = if hvcc.general_tier_flag { 'H' } else { 'L' };
    let (profile, level) = (hvcc.general_profile_idc, hvcc.general_level_idc);
    let constraints = &hvcc.general_constraint_indicator_flags;
    let used = constraints.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let constraints: Vec<_> = constraints[..used].iter().map(|byte| format!(".{byte:X}")).collect();
    format!("hvc1.{space}{profile}.{flags:X}.{tier}{level}{}", constraints.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_standards() {
        assert_eq!(h264_name(0x64, 0, 0x1f), "avc1.64001F");
        // The example of ISO/IEC 14496-15, E.3.
        let hvcc = Hvcc {
            general_profile_idc: 1,
            general_profile_compatibility_flags: 0x6000_0000_u32.to_be_bytes(),
            general_level_idc: 93,
            general_constraint_indicator_flags: [0xb0, 0, 0, 0, 0, 0],
            ..Hvcc::default()
        };
        assert_eq!(h265_name(&hvcc), "hvc1.1.6.L93.B0");
    }
}
