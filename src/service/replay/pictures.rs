//! Pictures of recordings: the exact picture at a time, and thumbnails, for which decoding a keyframe is enough.

use std::time::Duration;

use bytes::Bytes;

use super::PermittedStream;
use crate::access::credentials::Credentials;
use crate::base::error::{Error, ErrorKind};
use crate::base::time::rfc3339_millis;
use crate::base::time_span::TimeSpan;
use crate::camera::id::StreamId;
use crate::media::mp4::recorded_frames::{format_of_init, frames_of_fragments, video_time};
use crate::pictures::recorded::{FramesOfPicture, RecordedPictureKey};
use crate::recordings::footage::RecordedFootage;
use crate::recordings::source::Source;
use crate::service::core::Core;
use crate::store::error::query_failed;

/// The most bytes that are read for one picture. If the frames since the keyframe have more bytes, the picture is the
/// keyframe.
const MAX_BYTES: u64 = 32 * 1024 * 1024;

/// The kind of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PictureKind {
    /// The picture that is shown at the time.
    Exact,
    /// The last keyframe at or before the time.
    Keyframe,
}

/// A picture of a recording.
#[derive(Debug)]
pub(crate) struct RecordedPicture {
    /// The JPEG.
    pub(crate) jpeg: Bytes,
    /// The time of the picture, in UTC milliseconds.
    pub(crate) taken_at: i64,
}

/// Returns the picture of a stream at the time `at`, in UTC milliseconds, at most `width` pixels wide.
pub(crate) async fn take(
    core: &Core,
    id: &StreamId,
    shown: &Credentials<'_>,
    at: i64,
    width: Option<u32>,
    kind: PictureKind,
) -> Result<RecordedPicture, Error> {
    let permitted = PermittedStream::find(core, id, shown).await?;
    let span = TimeSpan { from: at, to: at.saturating_add(1) };
    permitted.permit.ensure_covers(span)?;
    let footage = permitted.footage(span).await?;
    let time_of_request = format!("at {}", rfc3339_millis(at));
    let nothing = || permitted.nothing_recorded(&time_of_request);
    // If the clock was set back, the last recording of a time counts.
    let Some(file) = footage.files.last() else { return Err(nothing().await) };
    let fragments = file.needed(span).fragments;
    let all: u64 = fragments.iter().map(|fragment| u64::from(fragment.size)).sum();
    let is_exact = kind == PictureKind::Exact && all <= MAX_BYTES;
    let fragments = if is_exact { fragments } else { fragments.get(..1).unwrap_or_default() };
    let (Some(first), Some(last)) = (fragments.first(), fragments.last()) else {
        return Err(nothing().await);
    };
    let since_start = at.saturating_sub(file.file.start_at);
    let time = if is_exact { since_start } else { first.begin_ms.into() };
    let key = RecordedPictureKey {
        stream: file.file.stream,
        file: (file.file.span, file.file.start_at),
        time,
        width,
    };
    let source = permitted.location(&file.file).await?.source;
    let (begin, size) = (first.offset, last.end().saturating_sub(first.offset));
    let storage = source.storage();
    let read = read(&permitted, file, source, (begin, size), time);
    let jpeg = core.recorded_pictures.take(key, storage, read).await?;
    Ok(RecordedPicture { jpeg, taken_at: file.file.start_at.saturating_add(time) })
}

/// Reads the frames that are needed for the picture at `time`, in milliseconds since the beginning of the file, which are
/// in these bytes of the file.
async fn read(
    permitted: &PermittedStream,
    file: &RecordedFootage,
    source: Source,
    (begin, size): (u64, u64),
    time: i64,
) -> Result<FramesOfPicture, Error> {
    let camera = &permitted.id;
    let damaged = || {
        let detail = format!("the recording of camera {camera} at this time cannot be decoded");
        Error::new(ErrorKind::SourceUnsupported, detail)
    };
    let format = permitted.recorder.database().recorded_format(file.file.format).await;
    let format = format.map_err(query_failed)?.and_then(|format| format_of_init(&format.init));
    let format = format.ok_or_else(damaged)?;
    let bytes = source.read(begin, size).await.map_err(|error| {
        let detail = format!("the recordings of camera {camera} cannot be read");
        Error::new(ErrorKind::StorageUnavailable, detail).caused_by(error)
    })?;
    let mut frames = frames_of_fragments(bytes, &format).ok_or_else(damaged)?;
    let begin = video_time(file.file.decode_time);
    // A frame that begins within the millisecond is shown at this time.
    let at = begin + Duration::from_millis(u64::try_from(time).unwrap_or(0).saturating_add(1));
    let is_shown = |time: Duration| time < at;
    let shown = frames.iter().map(|frame| frame.presentation_time).filter(|it| is_shown(*it)).max();
    let earliest = frames.iter().map(|frame| frame.presentation_time).min();
    let shown_at = shown.or(earliest).ok_or_else(damaged)?;
    let target = frames.iter().position(|frame| frame.presentation_time == shown_at);
    frames.truncate(target.map_or(0, |target| target.saturating_add(1)));
    let keyframe = frames.iter().rposition(|it| it.is_keyframe && it.presentation_time <= shown_at);
    frames.drain(..keyframe.ok_or_else(damaged)?);
    Ok(FramesOfPicture { frames, shown_at, full_width: format.picture.width.into() })
}
