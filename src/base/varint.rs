//! Numbers of variable length (LEB128): seven bits per byte, the lowest first; the highest bit of a byte is set if
//! another byte follows.

/// Appends a number.
pub(crate) fn write(bytes: &mut Vec<u8>, mut number: u64) {
    loop {
        let [low, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return;
        }
        bytes.push(low | 0x80);
    }
}

/// Appends a number with a sign: its lowest bit is the sign, so that small numbers are short.
pub(crate) fn write_signed(bytes: &mut Vec<u8>, number: i64) {
    write(bytes, ((number << 1) ^ (number >> 63)).cast_unsigned());
}

/// Reads a number, and removes it from the beginning of `bytes`. Returns `None` if the number is incomplete or has more
/// than 64 bits.
pub(crate) fn read(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let part = u64::from(byte & 0x7F);
        let shifted = part << shift;
        if shifted >> shift != part {
            return None;
        }
        number |= shifted;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// Reads a number that [`write_signed`] has written.
pub(crate) fn read_signed(bytes: &mut &[u8]) -> Option<i64> {
    let number = read(bytes)?;
    Some((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_they_were_written() {
        for number in [0, 1, 127, 128, 300, 16_384, u64::from(u32::MAX), u64::MAX - 1, u64::MAX] {
            let mut bytes = Vec::new();
            write(&mut bytes, number);
            let mut rest = bytes.as_slice();
            assert_eq!(read(&mut rest), Some(number));
            assert!(rest.is_empty());
            assert_eq!(read(&mut &bytes[..bytes.len() - 1]), None, "{number}");
        }
        for number in [0, -1, 1, -64, 63, 1000, i64::MIN, i64::MAX] {
            let mut bytes = Vec::new();
            write_signed(&mut bytes, number);
            assert_eq!(read_signed(&mut bytes.as_slice()), Some(number));
        }
    }

    #[test]
    fn small_numbers_are_short_and_long_ones_are_refused() {
        let length = |number| {
            let mut bytes = Vec::new();
            write_signed(&mut bytes, number);
            bytes.len()
        };
        assert_eq!([-64, 63, 64, -8192].map(length), [1, 1, 2, 2]);
        assert_eq!(read(&mut [0xFF; 10].as_slice()), None);
        assert_eq!(read(&mut [&[0x80; 9][..], &[2]].concat().as_slice()), None, "65 bits");
    }
}
