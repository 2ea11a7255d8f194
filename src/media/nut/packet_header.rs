//! Start code, size and checksum, which all elements except frames have in common.

use crate::media::nut::crc::crc32;
use crate::media::nut::cursor::Cursor;
use crate::media::nut::error::NutError;

/// First byte of every start code. No frame begins with this byte.
pub(super) const START_CODE_BYTE: u8 = b'N';
/// Start code of the main header.
pub(super) const MAIN: u64 = 0x4E4D_7A56_1F5F_04AD;
/// Start code of a stream's header.
pub(super) const STREAM: u64 = 0x4E53_1140_5BF2_F9DB;
/// Start code of a syncpoint.
pub(super) const SYNCPOINT: u64 = 0x4E4B_E4AD_EECA_4569;
/// Start code of the index.
const INDEX: u64 = 0x4E58_DD67_2F23_E64E;

/// The most bytes of a [`PacketHeader`]. They suffice even if the size field begins with some superfluous zeros.
pub(super) const MAX_PACKET_HEADER: usize = 32;
/// Largest content, in bytes. Real contents have a few hundred.
const MAX_CONTENT: u64 = 1024 * 1024;
/// Largest index, in bytes. An index has about five bytes for each syncpoint, and is skipped.
const MAX_INDEX: u64 = 32 * 1024 * 1024;
/// The largest content, in bytes, whose size field needs no checksum.
const MAX_UNCHECKED_SIZE: u64 = 4096;
const CHECKSUM_SIZE: usize = 4;

/// Kind and size of an element that is not a frame.
pub(super) struct PacketHeader {
    /// One of the start codes above, or any other start code, whose element the reader skips.
    pub(super) start_code: u64,
    /// Size of the element in bytes, from the start code to the checksum.
    pub(super) size: usize,
    /// Size of the start code, the size field and its checksum.
    header_size: usize,
}

impl PacketHeader {
    /// Reads the header at the beginning of `bytes`.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, NutError> {
        let mut fields = Cursor::new(bytes);
        let start_code = u64::from_be_bytes(fields.array()?);
        let size = fields.unsigned()?;
        let limit = if start_code == INDEX { MAX_INDEX } else { MAX_CONTENT };
        if size > limit {
            return Err(NutError::TooLarge { what: "an element", size });
        }
        if size > MAX_UNCHECKED_SIZE {
            let crc = crc32(fields.consumed());
            if u32::from_be_bytes(fields.array()?) != crc {
                return Err(NutError::Checksum("a size"));
            }
        }
        let content_size = usize::try_from(size).unwrap_or(usize::MAX);
        if content_size < CHECKSUM_SIZE {
            return Err(NutError::Invalid("element without a checksum"));
        }
        let header_size = fields.position();
        Ok(Self { start_code, size: header_size + content_size, header_size })
    }

    /// Verifies the checksum of the element at the beginning of `bytes`, and returns the element's content.
    pub(super) fn content<'a>(&self, bytes: &'a [u8]) -> Result<&'a [u8], NutError> {
        let content = &bytes[self.header_size..self.size];
        let (content, checksum) = content.split_at(content.len() - CHECKSUM_SIZE);
        if crc32(content).to_be_bytes() == checksum {
            Ok(content)
        } else {
            Err(NutError::Checksum("an element"))
        }
    }
}
