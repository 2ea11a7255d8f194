//! Recordings as H.264, for browsers that cannot play the recorded video.

use bytes::Bytes;

use super::PermittedStream;
use super::files::{find_permitted, with_fragments};
use crate::access::credentials::Credentials;
use crate::base::error::{Error, ErrorKind};
use crate::base::storage::Storage;
use crate::camera::id::StreamId;
use crate::media::mp4::recorded::describe_init;
use crate::recordings::file_url::ConvertedUrl;
use crate::recordings::footage::{Footage, RecordedFootage};
use crate::recordings::h264::{ConvertedSegment, RecordedSegment, SegmentKey};
use crate::recordings::multivariant::VideoOfPlaylist;
use crate::recordings::segments::MAX_SEGMENT_MS;
use crate::recordings::source::Source;
use crate::service::core::Core;
use crate::store::db::fragment_list::RecordedFragment;
use crate::store::db::recording_search::RecordedFormat;

/// How the names of codecs begin that need no conversion (RFC 6381).
const H264: &str = "avc";
/// The most bytes that are read for one segment.
const MAX_BYTES: u64 = 32 * 1024 * 1024;

/// Returns the init segment or the segment with this URL.
pub(crate) async fn get(
    core: &Core,
    id: &StreamId,
    shown: &Credentials<'_>,
    url: ConvertedUrl,
) -> Result<Bytes, Error> {
    // The init segment is permitted if its first byte is.
    let between = url.bytes.map_or(Some((0, 0)), |(offset, size)| {
        Some((offset, offset.checked_add(size)?.checked_sub(1)?))
    });
    let (permitted, file) = find_permitted(core, id, shown, url.file, between).await?;
    let file = with_fragments(&permitted, file).await?;
    let Some((offset, size)) = url.bytes else {
        return Ok(first(core, &permitted, &file).await?.init);
    };
    let needed = segment(&file.fragments, offset, size).ok_or_else(|| {
        let detail = format!("the recording of camera {id} has no such segment");
        Error::new(ErrorKind::NotFound, detail)
    })?;
    Ok(convert(core, &permitted, &file, needed).await?.fragment)
}

/// Returns the formats of the video that is not H.264.
pub(super) async fn formats(
    permitted: &PermittedStream,
    footage: &Footage,
) -> Result<Vec<i64>, Error> {
    let mut formats: Vec<_> = footage.files.iter().map(|file| file.file.format).collect();
    formats.sort_unstable();
    formats.dedup();
    let mut other = Vec::new();
    for format in formats {
        if !permitted.format(format).await?.codecs.starts_with(H264) {
            other.push(format);
        }
    }
    Ok(other)
}

/// Returns the properties of the video of a file, after its conversion to H.264.
pub(super) async fn video(
    core: &Core,
    permitted: &PermittedStream,
    file: &RecordedFootage,
) -> Result<VideoOfPlaylist, Error> {
    let format = permitted.format(file.file.format).await?;
    if format.codecs.starts_with(H264) {
        return Ok(format.into());
    }
    let init = first(core, permitted, file).await?.init;
    let description = describe_init(&init).ok_or_else(|| {
        Error::new(ErrorKind::Internal, "the converted video has no valid description")
    })?;
    let (codecs, width, height) = (description.codecs, description.width, description.height);
    Ok(VideoOfPlaylist { codecs, width, height })
}

impl From<RecordedFormat> for VideoOfPlaylist {
    fn from(format: RecordedFormat) -> Self {
        let RecordedFormat { codecs, width, height, .. } = format;
        Self { codecs, width, height }
    }
}

/// Converts the first keyframe of a file.
async fn first(
    core: &Core,
    permitted: &PermittedStream,
    file: &RecordedFootage,
) -> Result<ConvertedSegment, Error> {
    let keyframe = file.fragments.iter().find(|fragment| fragment.is_keyframe);
    let needed =
        keyframe.map(|it| NeededBytes { from: it.offset, begin: it.offset, end: it.end() });
    let needed = needed.ok_or_else(|| {
        let camera = &permitted.id;
        let detail = format!("the recording of camera {camera} has no keyframe at this time");
        Error::new(ErrorKind::SourceUnsupported, detail)
    })?;
    convert(core, permitted, file, needed).await
}

/// The positions in a file of the bytes that are needed for a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct NeededBytes {
    /// The keyframe with which decoding begins.
    from: u64,
    /// The first byte of the segment.
    begin: u64,
    /// The end of the segment.
    end: u64,
}

/// Returns the bytes that are needed for the segment with this position and size; `None` unless a playlist can list this
/// segment.
fn segment(fragments: &[RecordedFragment], offset: u64, size: u64) -> Option<NeededBytes> {
    let first = fragments.iter().position(|it| it.offset == offset)?;
    let last = fragments.iter().position(|it| Some(it.end()) == offset.checked_add(size))?;
    let listed = fragments.get(first..=last)?;
    let duration: u64 = listed.iter().map(|it| u64::from(it.duration_ms)).sum();
    // A fragment that is longer is a segment of its own.
    if duration > MAX_SEGMENT_MS.into() && listed.len() > 1 {
        return None;
    }
    let keyframe = fragments.get(..=first)?.iter().rfind(|it| it.is_keyframe);
    let from = keyframe.map_or(offset, |keyframe| keyframe.offset);
    let end = listed.last()?.end();
    (end.saturating_sub(from) <= MAX_BYTES).then_some(NeededBytes { from, begin: offset, end })
}

async fn convert(
    core: &Core,
    permitted: &PermittedStream,
    file: &RecordedFootage,
    needed: NeededBytes,
) -> Result<ConvertedSegment, Error> {
    let key = SegmentKey {
        stream: file.file.stream,
        file: (file.file.span, file.file.start_at),
        bytes: (needed.begin, needed.end),
    };
    let source = permitted.location(&file.file).await.map(|location| location.source);
    // A kept segment needs no source.
    let storage = source.as_ref().map_or(Storage::Local, Source::storage);
    core.h264_converter.convert(key, storage, read(permitted, file, source, needed)).await
}

async fn read(
    permitted: &PermittedStream,
    file: &RecordedFootage,
    source: Result<Source, Error>,
    NeededBytes { from, begin, end }: NeededBytes,
) -> Result<RecordedSegment, Error> {
    let init = permitted.format(file.file.format).await?.init;
    let mut fragments = source?.read(from, end.saturating_sub(from)).await.map_err(|error| {
        let detail = format!("the recordings of camera {} cannot be read", permitted.id);
        Error::new(ErrorKind::StorageUnavailable, detail).caused_by(error)
    })?;
    let before = usize::try_from(begin.saturating_sub(from)).unwrap_or(usize::MAX);
    let before = fragments.split_to(before.min(fragments.len()));
    Ok(RecordedSegment { init, before, fragments })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recordings::testing::{INIT, file, fragments};

    #[test]
    fn only_segments_between_fragments_are_converted() {
        // Groups of 450 bytes: fragments of 100, 200 and 150 bytes.
        let all = file(1, 7, 0, 3).fragments;
        let at = |group: u64| INIT + group * 450;
        let needed = |from, begin, end| Some(NeededBytes { from, begin, end });
        let table = [
            (at(0), 450, needed(at(0), at(0), at(1))),
            (at(1), 900, needed(at(1), at(1), at(3))),
            (at(1), 100, needed(at(1), at(1), at(1) + 100)),
            (at(1) + 100, 350, needed(at(1), at(1) + 100, at(2))),
            (at(1) + 1, 449, None),
            (at(1), 449, None),
            (at(1), 0, None),
            (at(2), 900, None),
            (at(1) + 100, u64::MAX, None),
            (0, INIT, None),
        ];
        for (offset, size, expected) in table {
            assert_eq!(segment(&all, offset, size), expected, "{offset}, {size}");
        }
    }

    #[test]
    fn a_segment_is_not_longer_than_those_in_playlists() {
        let all = fragments((0..25).map(|n| (100, 1000, n == 0)));
        assert!(segment(&all, INIT, 1000).is_some());
        assert!(segment(&all, INIT, 1100).is_none());
        let late = segment(&all, INIT + 2000, 500).expect("a segment");
        assert_eq!((late.from, late.begin, late.end), (INIT, INIT + 2000, INIT + 2500));
        let one = fragments([(100, 12_000, true)]);
        assert!(segment(&one, INIT, 100).is_some());
    }
}
