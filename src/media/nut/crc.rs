//! The checksum of NUT: a CRC of 32 bits, most significant bit first, which starts from zero.

/// The generator, without its highest bit.
const POLYNOMIAL: u32 = 0x04C1_1DB7;

/// The checksums of all single bytes, by the value of the byte.
const TABLE: [u32; 256] = table();

/// Returns the checksum of `bytes`.
pub(super) fn crc32(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |crc, &byte| {
        let [high, ..] = crc.to_be_bytes();
        (crc << 8) ^ TABLE[usize::from(high ^ byte)]
    })
}

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut remainder: u32 = POLYNOMIAL;
    // `remainder` is the checksum of the byte `power`. The checksums of all smaller bytes are in the table.
    let mut power = 1;
    while power < 256 {
        let mut low = 0;
        while low < power {
            table[power + low] = remainder ^ table[low];
            low += 1;
        }
        power *= 2;
        let carry = remainder >> 31;
        remainder = (remainder << 1) ^ (carry * POLYNOMIAL);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_agrees_with_published_values() {
        // CRC-32/CKSUM differs only in that its result is inverted.
        assert_eq!(crc32(b""), 0);
        assert_eq!(crc32(b"\x01"), POLYNOMIAL);
        assert_eq!(!crc32(b"123456789"), 0x765E_7680);
    }

    #[test]
    fn the_checksum_of_bytes_that_end_with_their_checksum_is_zero() {
        let mut bytes = b"any bytes".to_vec();
        let crc = crc32(&bytes);
        bytes.extend_from_slice(&crc.to_be_bytes());
        assert_eq!(crc32(&bytes), 0);
    }
}
