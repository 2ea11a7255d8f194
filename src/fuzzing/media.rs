//! The fuzz target for the parser of the NUT streams that FFmpeg writes.

use crate::media::nut::error::NutError;
use crate::media::nut::reader::NutReader;
use crate::media::nut::stream::NutItem;
use crate::media::nut::writer::{nut_headers, write_nut_frame};

/// Reads `data` as NUT.
///
/// Asserts that the items do not depend on the sizes of the reads, and that the reader returns the same
/// items from a stream that the writer makes of them.
pub fn nut(data: &[u8]) {
    let (items, error) = read_nut([data]);
    let whole = (items, error);
    for size in [1, 13, 1021] {
        assert_eq!(whole, read_nut(data.chunks(size)), "reads of {size} bytes");
    }
    let (items, _) = whole;
    let mut written = Vec::new();
    let mut size = 0;
    for item in &items {
        match item {
            NutItem::Streams(streams) => written = nut_headers(streams),
            NutItem::Packet(packet) => {
                size += packet.data.len();
                let (stream, pts) = (packet.stream, packet.pts);
                assert!(pts <= u64::MAX >> 1, "the time has more than 63 bits");
                write_nut_frame(stream, pts, packet.is_keyframe, &packet.data, &mut written);
            }
        }
    }
    // NUT can omit up to 255 bytes at the beginning of a frame. So a frame that takes one byte of the input can have
    // 256 bytes.
    assert!(size <= data.len() * 256, "{size} bytes out of {}", data.len());
    assert_eq!(read_nut([written.as_slice()]), (items, None));
}

fn read_nut<'a>(reads: impl IntoIterator<Item = &'a [u8]>) -> (Vec<NutItem>, Option<NutError>) {
    let mut reader = NutReader::new();
    let mut items = Vec::new();
    for read in reads {
        reader.buffer().extend_from_slice(read);
        loop {
            match reader.next_item() {
                Ok(Some(item)) => items.push(item),
                Ok(None) => break,
                Err(error) => return (items, Some(error)),
            }
        }
    }
    (items, None)
}
