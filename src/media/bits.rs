//! Reads the bits of a NAL unit (H.264 and H.265, 7.2): fields of fixed length and Exp-Golomb codes. Skips the
//! bytes that prevent start codes. `aac` reads an `AudioSpecificConfig` in the same way.

/// Reads the bits of a NAL unit, header included. A read beyond the end of the unit returns `None`, so
/// that a loop of reads always ends.
#[derive(Debug, Clone)]
pub(crate) struct BitReader<'a> {
    bytes: &'a [u8],
    /// Number of consecutive zero bytes just before `bytes`.
    zeros: u32,
    current: u8,
    /// Number of bits of `current` that have not been read.
    left: u32,
}

impl<'a> BitReader<'a> {
    pub(crate) fn new(unit: &'a [u8]) -> Self {
        Self { bytes: unit, zeros: 0, current: 0, left: 0 }
    }

    /// Returns the next bit.
    pub(crate) fn flag(&mut self) -> Option<bool> {
        if self.left == 0 {
            self.current = self.next_byte()?;
            self.left = 8;
        }
        self.left -= 1;
        Some(self.current >> self.left & 1 == 1)
    }

    /// Returns the next `count` bits, at most 32, as a number.
    pub(crate) fn bits(&mut self, count: u32) -> Option<u32> {
        (0..count).try_fold(0, |value, _| Some(value << 1 | u32::from(self.flag()?)))
    }

    /// Returns the next eight bits.
    pub(crate) fn byte(&mut self) -> Option<u8> {
        u8::try_from(self.bits(8)?).ok()
    }

    /// Returns the next `N` bytes. The first byte can begin at any bit.
    pub(crate) fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        for byte in &mut bytes {
            *byte = self.byte()?;
        }
        Some(bytes)
    }

    /// Skips `count` bits.
    pub(crate) fn skip(&mut self, mut count: u32) -> Option<()> {
        while count >= 8 && self.left == 0 {
            self.next_byte()?;
            count -= 8;
        }
        (0..count).try_for_each(|_| self.flag().map(drop))
    }

    /// Returns the next Exp-Golomb number without a sign (H.264, 9.1; H.265, 9.2); `None` if the number is
    /// greater than `max`.
    pub(crate) fn unsigned(&mut self, max: u32) -> Option<u32> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        // At most 31 bits, so the sum is at most 2^32 - 2.
        let value = (1 << zeros) - 1 + self.bits(zeros)?;
        (value <= max).then_some(value)
    }

    /// Returns the next Exp-Golomb number without a sign as a byte; `None` if the number is greater than
    /// `max`.
    pub(crate) fn small(&mut self, max: u8) -> Option<u8> {
        u8::try_from(self.unsigned(max.into())?).ok()
    }

    /// Skips `count` Exp-Golomb numbers. Numbers with and without a sign have the same codes, so this function
    /// skips both kinds.
    pub(crate) fn skip_numbers(&mut self, count: u32) -> Option<()> {
        (0..count).try_for_each(|_| self.unsigned(u32::MAX).map(drop))
    }

    /// Returns the next Exp-Golomb number with a sign (H.264, 9.1.1; H.265, 9.2.2).
    pub(crate) fn signed(&mut self) -> Option<i64> {
        let code = i64::from(self.unsigned(u32::MAX)?);
        Some(if code % 2 == 1 { code / 2 + 1 } else { -(code / 2) })
    }

    fn next_byte(&mut self) -> Option<u8> {
        let (mut byte, mut rest) = self.bytes.split_first()?;
        if self.zeros >= 2 && *byte == 3 {
            self.zeros = 0;
            (byte, rest) = rest.split_first()?;
        }
        self.zeros = if *byte == 0 { self.zeros + 1 } else { 0 };
        self.bytes = rest;
        Some(*byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_variable_length_are_read() {
        // H.264, Tables 9-2 and 9-3: the codes 1, 010, 011, 00100, 0001000, and then the end.
        let bits = [0b1010_0110, 0b0100_0001, 0b0000_0000];
        let mut reader = BitReader::new(&bits);
        let mut signed = reader.clone();
        for value in [0, 1, 2, 3, 7] {
            assert_eq!(reader.unsigned(7), Some(value));
        }
        assert_eq!(reader.unsigned(u32::MAX), None);
        for value in [0, 1, -1, 2, 4] {
            assert_eq!(signed.signed(), Some(value));
        }
        assert_eq!(BitReader::new(&bits[1..]).unsigned(0), None, "greater than the limit");
    }

    #[test]
    fn the_largest_number_is_two_to_the_32_minus_two() {
        let longest = [0, 0, 0, 1, 0xff, 0xff, 0xff, 0xfe];
        assert_eq!(BitReader::new(&longest).unsigned(u32::MAX), Some(u32::MAX - 1));
        assert_eq!(BitReader::new(&[0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]).unsigned(u32::MAX), None);
    }

    #[test]
    fn bytes_that_prevent_start_codes_are_left_out() {
        let mut reader = BitReader::new(b"\0\0\x03\x01\0\0\0\x03\x03\0\x03\0\0\x03");
        let expected = b"\0\0\x01\0\0\0\x03\0\x03\0\0";
        for byte in expected {
            assert_eq!(reader.byte(), Some(*byte));
        }
        assert_eq!(reader.byte(), None);
    }
}
