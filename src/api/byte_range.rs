//! The header `Range` of a request (RFC 9110, 14.2).

use hyper::HeaderMap;
use hyper::header::{IF_RANGE, RANGE};

/// The bytes that a client requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ByteRange {
    /// All bytes.
    Whole,
    /// The bytes from the first position to the last one, which is included: `bytes=N-M`.
    Between(u64, u64),
    /// The bytes from this position on: `bytes=N-`.
    From(u64),
    /// The last bytes, of this number: `bytes=-N`.
    Last(u64),
    /// Several ranges, another unit, or a header that cannot be parsed.
    Other,
}

impl ByteRange {
    /// Reads the headers of a request.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut ranges = headers.get_all(RANGE).iter();
        match (ranges.next(), ranges.next()) {
            (None, _) => Self::Whole,
            (Some(range), None) => range.to_str().ok().and_then(parse).unwrap_or(Self::Other),
            (Some(_), Some(_)) => Self::Other,
        }
    }

    /// Returns the positions of the first byte and of the end of the range in content of this size; `None` if there is no
    /// such byte.
    pub(crate) fn within(self, size: u64) -> Option<(u64, u64)> {
        let (first, end) = match self {
            // A server can ignore several ranges.
            Self::Whole | Self::Other => return Some((0, size)),
            Self::Between(first, last) => (first, last.saturating_add(1).min(size)),
            Self::From(first) => (first, size),
            Self::Last(count) => (size.saturating_sub(count), size),
        };
        (first < end).then_some((first, end))
    }

    /// Returns whether the response has only a part of the content.
    pub(super) fn is_partial(self) -> bool {
        !matches!(self, Self::Whole | Self::Other)
    }
}

/// Returns whether the range of a request depends on whether the content has changed.
pub(super) fn has_condition(headers: &HeaderMap) -> bool {
    headers.contains_key(IF_RANGE)
}

fn parse(range: &str) -> Option<ByteRange> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let number = |text: &str| {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u64>().ok().filter(|_| is_number)
    };
    match (first, last) {
        ("", count) => number(count).map(ByteRange::Last),
        (first, "") => number(first).map(ByteRange::From),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(ByteRange::Between(first, last))
        }
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn of(values: &[&'static str]) -> ByteRange {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(RANGE, HeaderValue::from_static(value));
        }
        ByteRange::of(&headers)
    }

    #[test]
    fn headers_are_parsed() {
        let table = [
            (&[][..], ByteRange::Whole),
            (&["bytes=0-0"], ByteRange::Between(0, 0)),
            (&["bytes=5-10"], ByteRange::Between(5, 10)),
            (&["bytes=5-"], ByteRange::From(5)),
            (&["bytes=-5"], ByteRange::Last(5)),
            (&["bytes=10-5"], ByteRange::Other),
            (&["bytes=0-1,3-4"], ByteRange::Other),
            (&["bytes=0-1", "bytes=0-1"], ByteRange::Other),
            (&["bytes=0-1, 3-"], ByteRange::Other),
            (&["bytes= 0-1"], ByteRange::Other),
            (&["bytes=0-+1"], ByteRange::Other),
            (&["bytes=-"], ByteRange::Other),
            (&["Bytes=0-1"], ByteRange::Other),
            (&["items=0-1"], ByteRange::Other),
            (&["bytes=0-99999999999999999999"], ByteRange::Other),
            (&[""], ByteRange::Other),
        ];
        for (values, expected) in table {
            assert_eq!(of(values), expected, "{values:?}");
        }
    }

    #[test]
    fn a_range_is_limited_to_the_content() {
        let table = [
            (ByteRange::Whole, 10, Some((0, 10))),
            (ByteRange::Other, 10, Some((0, 10))),
            (ByteRange::Between(2, 4), 10, Some((2, 5))),
            (ByteRange::Between(2, u64::MAX), 10, Some((2, 10))),
            (ByteRange::Between(10, 12), 10, None),
            (ByteRange::From(9), 10, Some((9, 10))),
            (ByteRange::From(10), 10, None),
            (ByteRange::Last(3), 10, Some((7, 10))),
            (ByteRange::Last(30), 10, Some((0, 10))),
            (ByteRange::Last(0), 10, None),
        ];
        for (range, size, expected) in table {
            assert_eq!(range.within(size), expected, "{range:?}");
        }
    }
}
