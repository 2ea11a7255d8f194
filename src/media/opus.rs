//! Opus: its identification header.

/// The parameters that a decoder of Opus needs: the fields of `OpusHead` (RFC 7845, 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpusConfig {
    /// Number of channels, 1 or 2.
    pub channels: u8,
    /// Number of samples at the beginning that are not played, at 48000 samples per second.
    pub pre_skip: u16,
    /// Samples per second of the sound before it was encoded. Playing does not depend on this number.
    pub input_sample_rate: u32,
    /// Amplification of the decoded sound in units of 1/256 dB.
    pub gain: i16,
}

impl OpusConfig {
    /// RFC 6381 codec.
    pub const CODEC: &str = "opus";
    /// Samples per second of every Opus stream when it is decoded.
    pub const SAMPLE_RATE: u32 = 48000;

    /// Reads an `OpusHead`. Returns `None` if the header is damaged or has another major version than 0, if there
    /// are not one or two channels, or if the channel mapping family is not 0.
    pub fn parse(head: &[u8]) -> Option<Self> {
        let body = head.strip_prefix(b"OpusHead")?;
        let [version, channels, skip_0, skip_1, rate @ .., gain_0, gain_1, family] =
            *body.first_chunk::<11>()?;
        let is_simple = version >> 4 == 0 && matches!(channels, 1 | 2) && family == 0;
        is_simple.then(|| Self {
            channels,
            pre_skip: u16::from_le_bytes([skip_0, skip_1]),
            input_sample_rate: u32::from_le_bytes(rate),
            gain: i16::from_le_bytes([gain_0, gain_1]),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_of_libopus_is_parsed() {
        let head = b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0\0\0\0";
        let config = OpusConfig { channels: 2, pre_skip: 312, input_sample_rate: 48000, gain: 0 };
        assert_eq!(OpusConfig::parse(head), Some(config));
        for length in 0..head.len() {
            assert_eq!(OpusConfig::parse(&head[..length]), None);
        }
        assert_eq!(OpusConfig::parse(b"OpusHead\x01\x06\x38\x01\x80\xbb\0\0\0\0\x01"), None);
    }
}
