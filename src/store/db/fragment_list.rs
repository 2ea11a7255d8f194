//! The list of a recorded file's fragments, as the database stores it: about three bytes per fragment. Pure.
//!
//! Fragments follow each other in the file, so only their sizes are stored. Most of them last as long as the fragment
//! at the same place after the previous keyframe, so a duration is stored only if it differs.
//!
//! Each fragment is a variable-length number (LEB128): its size, times four, plus two if it begins with a keyframe, plus
//! one if its duration differs. In that case, the difference follows in milliseconds, as a variable-length number
//! whose lowest bit is the sign.

use crate::base::varint;

/// A fragment of a recorded file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecordedFragment {
    /// Position in the file, in bytes.
    pub offset: u64,
    /// Size in bytes.
    pub size: u32,
    /// The time between the beginning of the file and the beginning of the fragment, in milliseconds.
    pub begin_ms: u32,
    /// Playing time in milliseconds.
    pub duration_ms: u32,
    /// True if the fragment is a keyframe.
    pub is_keyframe: bool,
}

impl RecordedFragment {
    /// Returns the position of the end of the fragment in the file, in bytes.
    pub(crate) fn end(&self) -> u64 {
        self.offset + u64::from(self.size)
    }
}

/// The number of fragments after a keyframe whose durations are remembered. Later fragments share the last place.
const PLACES: usize = 16;

/// The durations that are expected next, by the place after a keyframe.
#[derive(Default)]
struct Expected {
    durations: [i64; PLACES],
    place: usize,
}

impl Expected {
    /// Returns the expected duration of the next fragment, which can be changed.
    fn next(&mut self, is_keyframe: bool) -> Option<&mut i64> {
        self.place = if is_keyframe { 0 } else { (self.place + 1).min(PLACES - 1) };
        self.durations.get_mut(self.place)
    }
}

/// Returns the stored form of consecutive fragments.
pub(crate) fn encode(fragments: &[RecordedFragment]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(fragments.len() * 4);
    let mut expected = Expected::default();
    for fragment in fragments {
        let duration = i64::from(fragment.duration_ms);
        let difference = expected.next(fragment.is_keyframe).map_or(0, |expected| {
            let before = std::mem::replace(expected, duration);
            duration - before
        });
        let flags = u64::from(fragment.is_keyframe) << 1 | u64::from(difference != 0);
        varint::write(&mut bytes, u64::from(fragment.size) << 2 | flags);
        if difference != 0 {
            varint::write_signed(&mut bytes, difference);
        }
    }
    bytes
}

/// Returns the fragments of a file, the first of which begins at the position `offset`. Returns `None` if the list is
/// damaged.
pub(crate) fn decode(mut bytes: &[u8], mut offset: u64) -> Option<Vec<RecordedFragment>> {
    let mut fragments = Vec::with_capacity(bytes.len() / 3);
    let mut expected = Expected::default();
    let mut begin_ms = 0_u32;
    while !bytes.is_empty() {
        let head = varint::read(&mut bytes)?;
        let is_keyframe = head & 2 != 0;
        let duration = expected.next(is_keyframe)?;
        if head & 1 != 0 {
            *duration = duration.checked_add(varint::read_signed(&mut bytes)?)?;
        }
        let duration_ms = u32::try_from(*duration).ok()?;
        let size = u32::try_from(head >> 2).ok()?;
        fragments.push(RecordedFragment { offset, size, begin_ms, duration_ms, is_keyframe });
        offset = offset.checked_add(size.into())?;
        begin_ms = begin_ms.checked_add(duration_ms)?;
    }
    Some(fragments)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns fragments with these sizes, durations and keyframe flags, from the position 900 on.
    fn fragments(list: impl IntoIterator<Item = (u32, u32, bool)>) -> Vec<RecordedFragment> {
        let (mut offset, mut begin_ms) = (900, 0);
        let place = |(size, duration_ms, is_keyframe)| {
            let fragment = RecordedFragment { offset, size, begin_ms, duration_ms, is_keyframe };
            offset += u64::from(size);
            begin_ms += duration_ms;
            fragment
        };
        list.into_iter().map(place).collect()
    }

    #[test]
    fn a_minute_needs_less_than_300_bytes() {
        let group =
            |n: u32| [(135_000 + n, 40, true), (420_000 + n, 1000, false), (410_000, 960, false)];
        let list = fragments((0..30).flat_map(group));
        let bytes = encode(&list);
        assert!(bytes.len() < 300, "{} bytes", bytes.len());
        assert_eq!(decode(&bytes, 900), Some(list));
    }

    #[test]
    fn fragments_of_any_size_and_duration_are_stored() {
        let list = [
            (0, 0, false),
            (u32::MAX, 1, true),
            (1, 3_000_000_000, true),
            (1, 40, true),
            (7, 1_000, false),
        ];
        let long = (0..40).map(|n| (n, n % 7, n == 0));
        let list = fragments(list.into_iter().chain(long));
        assert_eq!(decode(&encode(&list), 900), Some(list));
        assert_eq!(decode(&[], 900), Some(Vec::new()));
    }

    #[test]
    fn a_damaged_list_is_not_read() {
        let bytes = encode(&fragments([(300, 40, true), (70_000, 960, false)]));
        assert!(decode(&bytes, u64::MAX - 5).is_none(), "an offset that is too large");
        for length in 1..bytes.len() {
            // A cut after a whole fragment cannot be noticed.
            let read = decode(&bytes[..length], 0);
            assert!(read.is_none_or(|read| read.len() == 1), "{length} bytes");
        }
        assert!(decode(&[0xFF; 11], 0).is_none(), "a number that is too long");
    }
}
