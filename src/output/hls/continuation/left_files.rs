//! Reads files that an earlier manager has left, unless they are larger than such files can be.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use bytes::Bytes;

use super::Unusable;
use crate::output::hls::fragment::InitId;
use crate::output::hls::layout::StreamDir;

/// The largest file that is read, except segments, in bytes. The file `continuation.json` of the longest playlist,
/// which lasts for two minutes, needs less than a tenth of this.
const MAX_BYTES: u64 = 1024 * 1024;
/// The largest segment that is read to find out how far it was written. This is half a minute at 64 Mbit/s.
const MAX_SEGMENT: u64 = 256 * 1024 * 1024;

/// Reads `continuation.json`; `None` if it does not exist.
pub(super) fn continuation(dir: &StreamDir) -> Result<Option<Vec<u8>>, Unusable> {
    read_at_most(&dir.continuation(), MAX_BYTES)
}

/// Reads a segment; `None` if its file does not exist.
pub(super) fn segment(dir: &StreamDir, sequence: u64) -> Result<Option<Vec<u8>>, Unusable> {
    read_at_most(&dir.segment(sequence), MAX_SEGMENT)
}

/// Reads an init segment. Fails if it is missing or larger than an init segment can be.
pub(super) fn init_segment(dir: &StreamDir, id: InitId) -> Result<Bytes, Unusable> {
    Ok(read_at_most(&dir.init(id), MAX_BYTES)?.ok_or(Unusable::Files)?.into())
}

/// Reads a file of at most `max` bytes; `None` if it does not exist.
fn read_at_most(path: &Path, max: u64) -> Result<Option<Vec<u8>>, Unusable> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut bytes = Vec::new();
    file.take(max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max { Err(Unusable::Damaged) } else { Ok(Some(bytes)) }
}
