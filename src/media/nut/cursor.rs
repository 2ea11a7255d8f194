//! The fields of NUT: numbers of variable length, and strings of bytes.

use crate::media::nut::error::NutError;

/// Reads fields one after the other. Returns [`NutError::Truncated`] for a field that goes beyond the
/// end.
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// Returns the number of bytes that have been read.
    pub(super) fn position(&self) -> usize {
        self.position
    }

    /// Returns true after the last byte.
    pub(super) fn is_at_end(&self) -> bool {
        self.position == self.bytes.len()
    }

    /// Returns the bytes that have been read.
    pub(super) fn consumed(&self) -> &'a [u8] {
        &self.bytes[..self.position]
    }

    /// Reads `count` bytes.
    pub(super) fn bytes(&mut self, count: u64) -> Result<&'a [u8], NutError> {
        let rest = &self.bytes[self.position..];
        let count = usize::try_from(count).map_err(|_| NutError::Truncated)?;
        let bytes = rest.get(..count).ok_or(NutError::Truncated)?;
        self.position += count;
        Ok(bytes)
    }

    /// Reads a fixed number of bytes.
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], NutError> {
        let rest = &self.bytes[self.position..];
        let array = rest.first_chunk().ok_or(NutError::Truncated)?;
        self.position += N;
        Ok(*array)
    }

    /// Reads a number: seven bits per byte, the highest bits first. Every byte except the last one has
    /// its top bit set.
    pub(super) fn unsigned(&mut self) -> Result<u64, NutError> {
        let mut value: u64 = 0;
        loop {
            let [byte] = self.array()?;
            if value >> 57 != 0 {
                return Err(NutError::Invalid("a number of more than 64 bits"));
            }
            value = value << 7 | u64::from(byte & 0x7F);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
    }

    /// Reads a number with a sign: 0, 1, -1, 2, -2 and so on are coded as 0, 1, 2, 3, 4.
    pub(super) fn signed(&mut self) -> Result<i64, NutError> {
        let coded = self.unsigned()?;
        // Half of a u64 always fits.
        let half = i64::try_from(coded / 2).unwrap_or(i64::MAX);
        if coded % 2 == 0 {
            return Ok(-half);
        }
        half.checked_add(1).ok_or(NutError::Invalid("a number of more than 64 bits"))
    }

    /// Reads a number, and converts it to type `T`. `error` is the text of the error if the number does not fit.
    pub(super) fn number<T: TryFrom<u64>>(&mut self, error: &'static str) -> Result<T, NutError> {
        T::try_from(self.unsigned()?).map_err(|_| NutError::Invalid(error))
    }

    /// Reads a string, which consists of its length and its bytes. Returns the bytes.
    pub(super) fn string(&mut self) -> Result<&'a [u8], NutError> {
        let length = self.unsigned()?;
        self.bytes(length)
    }
}
