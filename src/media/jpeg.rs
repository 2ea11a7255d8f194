//! Reads the size and the sampling of a JPEG from its headers. Each picture of Motion JPEG has such headers.

use crate::media::parameter_set::picture::PictureParameters;

/// The RFC 6381 codec of Motion JPEG.
const CODEC: &str = "mp4v.6C";

/// The first two bytes of every JPEG.
const BEGIN: [u8; 2] = [0xff, 0xd8];

/// The largest number of segments and fill bytes that are read to find the size. Cameras send about ten.
const MAX_SEGMENTS: usize = 64;

/// The marker of the header that precedes the compressed data.
const START_OF_SCAN: u8 = 0xda;
/// The last two bytes of every JPEG. They do not occur in compressed data.
const END: [u8; 2] = [0xff, 0xd9];

/// Returns the properties of a JPEG; `None` if `bytes` are not a JPEG, or do not state a size and a valid number of
/// bits per sample within the first [`MAX_SEGMENTS`] segments.
pub(super) fn picture(bytes: &[u8]) -> Option<PictureParameters> {
    let (marker, segment, _) = segments(bytes)?.find(|(marker, ..)| is_frame_header(*marker))?;
    frame_header(marker, segment)
}

/// Returns whether a JPEG has an end. Bytes that are not part of the picture can follow it. A small picture in the headers
/// has an end as well, which does not count.
pub(crate) fn is_complete(bytes: &[u8]) -> bool {
    let scan =
        segments(bytes).and_then(|mut all| all.find(|(marker, ..)| *marker == START_OF_SCAN));
    // Usually, the end is at the end.
    scan.is_some_and(|(_, _, rest)| rest.windows(END.len()).rev().any(|pair| pair == END))
}

/// Returns the marker of each of the first [`MAX_SEGMENTS`] segments, its contents, and the bytes after it; `None` if
/// `bytes` are not a JPEG.
fn segments(bytes: &[u8]) -> Option<impl Iterator<Item = (u8, &[u8], &[u8])>> {
    let mut rest = bytes.strip_prefix(&BEGIN)?;
    let mut left = MAX_SEGMENTS;
    Some(std::iter::from_fn(move || {
        loop {
            left = left.checked_sub(1)?;
            let [0xff, marker, ..] = *rest else { return None };
            if marker == 0xff {
                // Any number of these bytes can precede a marker.
                rest = rest.get(1..)?;
                continue;
            }
            let (length, _) = rest.get(2..)?.split_first_chunk()?;
            let end = 2 + usize::from(u16::from_be_bytes(*length));
            let segment = rest.get(4..end)?;
            rest = rest.get(end..)?;
            return Some((marker, segment, rest));
        }
    }))
}

/// Returns whether the segment of this marker states the size. The other markers from C0 to CF are for
/// tables, or reserved.
fn is_frame_header(marker: u8) -> bool {
    matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc)
}

/// Returns whether a picture whose frame header has this marker can have this number of bits per sample (ITU-T T.81,
/// table B.2).
fn is_valid_depth(marker: u8, depth: u8) -> bool {
    match marker {
        0xc0 => depth == 8,
        // Lossless.
        0xc3 | 0xc7 | 0xcb | 0xcf => (2..=16).contains(&depth),
        _ => matches!(depth, 8 | 12),
    }
}

fn frame_header(marker: u8, segment: &[u8]) -> Option<PictureParameters> {
    let [depth, h1, h0, w1, w0, components, ..] = *segment else { return None };
    if !is_valid_depth(marker, depth) {
        return None;
    }
    let (height, width) = (u16::from_be_bytes([h1, h0]), u16::from_be_bytes([w1, w0]));
    // Each component has three bytes: its id, its sampling (horizontal and vertical, four bits each), and its table.
    let sampling = |component: usize| segment.get(6 + 3 * component + 1).copied();
    let chroma_format = match (components, sampling(0), sampling(1)) {
        (1, ..) => 0,
        (_, Some(0x22), Some(0x11)) => 1,
        (_, Some(0x21), Some(0x11)) | (_, Some(0x22), Some(0x12)) => 2,
        _ => 3,
    };
    let has_size = width > 0 && height > 0;
    has_size.then(|| PictureParameters {
        codec: CODEC.to_owned(),
        width,
        height,
        pixel_aspect: (1, 1),
        chroma_format,
        luma_bit_depth: depth,
        chroma_bit_depth: depth,
        frame_rate: None,
        is_interlaced: false,
        max_reorder_frames: Some(0),
        may_reorder: false,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Returns the headers of a picture of 640×360 with this sampling of its brightness.
    fn jpeg(sampling: u8) -> Vec<u8> {
        let tables = b"\xff\xd8\xff\xff\xdb\x00\x04\x00\x01\xff\xc4\x00\x03\x00";
        let frame = b"\xff\xc0\x00\x11\x08\x01\x68\x02\x80\x03\x01";
        [tables.as_slice(), frame, &[sampling], b"\x00\x02\x11\x01\x03\x11\x01\xff\xda"].concat()
    }

    #[test]
    fn the_size_and_the_sampling_are_found() {
        for (sampling, chroma_format) in [(0x22, 1), (0x21, 2), (0x11, 3)] {
            let picture = picture(&jpeg(sampling)).expect("a picture");
            assert_eq!((picture.width, picture.height, picture.luma_bit_depth), (640, 360, 8));
            assert_eq!(picture.chroma_format, chroma_format);
        }
    }

    #[test]
    fn a_picture_has_a_valid_number_of_bits_per_sample() {
        let valid = |marker: u8| -> Vec<u8> {
            let is_valid = |depth: &u8| {
                let mut bytes = jpeg(0x22);
                let at = bytes.windows(2).position(|it| it == [0xff, 0xc0]).expect("a header");
                (bytes[at + 1], bytes[at + 4]) = (marker, *depth);
                picture(&bytes).is_some()
            };
            (0..=255).filter(is_valid).collect()
        };
        assert_eq!(valid(0xc0), [8], "baseline");
        assert_eq!(valid(0xc1), [8, 12], "extended");
        assert_eq!(valid(0xc3), (2..=16).collect::<Vec<_>>(), "lossless");
    }

    #[test]
    fn truncated_headers_have_no_size() {
        let whole = jpeg(0x22);
        for length in 0..whole.len() - 12 {
            assert_eq!(picture(&whole[..length]), None, "{length} bytes");
        }
    }

    #[test]
    fn a_complete_picture_has_an_end_after_its_headers() {
        let scan = |rest: &[u8]| {
            let headers = jpeg(0x22);
            // A small picture in the headers has an end of its own.
            let small = b"\xff\xe1\x00\x06\xff\xd8\xff\xd9";
            let scan = b"\x00\x08\x01\x01\x00\x00\x3f\x00".as_slice();
            is_complete(&[&headers[..2], small, &headers[2..], scan, rest].concat())
        };
        assert!(scan(b"data\xff\x00data\xff\xd9"));
        assert!(scan(b"data\xff\xd9\x00\x00padding"));
        assert!(!scan(b"data\xff\x00data"));
        assert!(!scan(b""));
        assert!(!is_complete(b"\xff\xd8\xff\xd9"), "no picture");
        assert!(!is_complete(b"\xff\xd9"));
    }

    proptest! {
        #[test]
        fn damaged_headers_never_give_an_empty_picture(
            bytes in prop::collection::vec(any::<u8>(), 0..100),
            at in 0..30_usize,
        ) {
            let mut damaged = jpeg(0x22);
            damaged.splice(at.min(damaged.len()).., bytes);
            if let Some(picture) = picture(&damaged) {
                prop_assert!(picture.width > 0 && picture.height > 0);
            }
        }
    }
}
