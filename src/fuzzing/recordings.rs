//! Fuzz target for requests for recordings.

use hyper::HeaderMap;
use hyper::header::{HeaderValue, RANGE};

use super::support::assert_is_line;
use crate::api::byte_range::ByteRange;
use crate::api::recordings::wire::{PictureInput, PlaylistInput};
use crate::recordings::file_url::{ConvertedUrl, FileUrl};

/// Reads `data` as the query of a request for a playlist or a picture, as headers `Range` (one per line), and as the name of a
/// file.
///
/// Checks that widths are in range, that ranges are part of the content, that names have only one form, and that errors are
/// single lines.
pub fn recording_request(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Err(error) = PlaylistInput::from_query(&text).and_then(PlaylistInput::parse) {
        assert_is_line(&error.detail, 300);
    }
    match PictureInput::from_query(&text) {
        Ok(input) => assert!(input.width.is_none_or(|width| (16..=3840).contains(&width))),
        Err(error) => assert_is_line(&error.detail, 300),
    }
    let mut headers = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n') {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(RANGE, value);
        }
    }
    let range = ByteRange::of(&headers);
    for size in [0, 1, 1000, u64::MAX] {
        assert!(range.within(size).is_none_or(|(first, end)| first <= end && end <= size));
    }
    if let ByteRange::Between(first, last) = range {
        assert_eq!(headers.get_all(RANGE).iter().count(), 1);
        assert!(first <= last);
    }
    if let Some(url) = ConvertedUrl::parse(&text) {
        assert_eq!(url.to_string().strip_prefix("h264/"), Some(&*text));
    }
    if let Some(url) = FileUrl::parse(&text) {
        assert_eq!(url.to_string(), text);
    }
}
