//! The permission for a recorded file or a part of it, and the file's path.

use std::sync::Arc;

use super::{FileLocation, PermittedStream, ReplayPermit};
use crate::access::credentials::Credentials;
use crate::base::blocking::blocking;
use crate::base::error::{Error, ErrorKind};
use crate::base::time_span::TimeSpan;
use crate::camera::id::StreamId;
use crate::recordings::body::{Content, FilePiece};
use crate::recordings::file_url::FileUrl;
use crate::recordings::footage::RecordedFootage;
use crate::recordings::source::Source;
use crate::service::core::Core;
use crate::store::db::recording_table::{RecordedFile, RecordedStream};
use crate::store::error::query_failed;

/// A recorded file that a viewer can get.
#[derive(Debug)]
pub(crate) struct PermittedFile {
    /// The permission.
    pub(crate) permit: ReplayPermit,
    /// The place of the file.
    pub(crate) location: FileLocation,
}

impl PermittedFile {
    /// Returns the bytes of the file that were written so far, and the permission.
    pub(crate) async fn content(self) -> Result<(Content, ReplayPermit), Error> {
        let FileLocation { source, size, .. } = self.location;
        let size = match (&source, size) {
            (Source::File(path), None) => {
                let path = path.clone();
                let metadata = blocking(move || std::fs::metadata(path)).await;
                metadata.map(|metadata| metadata.len()).map_err(|error| {
                    let detail =
                        "the file with these recordings is not available; it may have been deleted";
                    Error::new(ErrorKind::NotFound, detail).caused_by(error)
                })?
            }
            (_, size) => size.unwrap_or_default(),
        };
        let pieces = vec![FilePiece { source: Arc::new(source), offset: 0, size }];
        Ok((Content { pieces, ..Content::default() }, self.permit))
    }
}

/// Returns a recorded file. `between` has the positions of the first and the last requested byte if the request has
/// exactly this range of bytes and no condition. If the permission is limited to a time, and the file has recordings
/// outside of this time, the request must have such a range, which must be part of the recordings in this time.
pub(crate) async fn find(
    core: &Core,
    id: &StreamId,
    shown: &Credentials<'_>,
    url: FileUrl,
    between: Option<(u64, u64)>,
) -> Result<PermittedFile, Error> {
    let (permitted, file) = find_permitted(core, id, shown, url, between).await?;
    let location = permitted.location(&file.file).await?;
    Ok(PermittedFile { permit: permitted.replay_permit(), location })
}

/// Does the same as [`find`], and returns the file and the stream to which it belongs.
pub(super) async fn find_permitted(
    core: &Core,
    id: &StreamId,
    shown: &Credentials<'_>,
    url: FileUrl,
    between: Option<(u64, u64)>,
) -> Result<(PermittedStream, RecordedFootage), Error> {
    let permitted = PermittedStream::find(core, id, shown).await?;
    let unknown = || {
        let detail = format!(
            "there is no such file with recordings of camera {id}; it may have been deleted"
        );
        Error::new(ErrorKind::NotFound, detail)
    };
    let stream = permitted.stream.as_ref().ok_or_else(unknown)?;
    let file = find_file(&permitted, stream, url).await?.ok_or_else(unknown)?;
    if let Some(limit) = permitted.permit.span() {
        ensure_in_span(&permitted, &file, limit, between).await?;
    }
    Ok((permitted, file))
}

/// Returns a file; with its fragments if it is being written.
async fn find_file(
    permitted: &PermittedStream,
    stream: &RecordedStream,
    url: FileUrl,
) -> Result<Option<RecordedFootage>, Error> {
    let recorder = &permitted.recorder;
    let is_it = |file: &RecordedFile| url.is_of(file) && file.can_be_read();
    // In this order, because a file that is closed in the meantime is then in the database.
    let open = recorder.open_files().get(stream.id).into_iter().find(|(file, _)| is_it(file));
    let end = url.start_at.saturating_add(1);
    let stored = recorder.database().recorded_files(stream.id, url.start_at, end).await;
    let mut stored = stored.map_err(query_failed)?.into_iter();
    let closed = stored.find(|file| is_it(file) && !file.is_open);
    let closed = closed.map(|file| RecordedFootage { file, fragments: Vec::new() });
    Ok(closed.or_else(|| open.map(RecordedFootage::from)))
}

/// Fails if a request for a part of a file, or for a whole file, includes recordings outside of `limit`.
async fn ensure_in_span(
    permitted: &PermittedStream,
    file: &RecordedFootage,
    limit: TimeSpan,
    between: Option<(u64, u64)>,
) -> Result<(), Error> {
    let whole = TimeSpan { from: file.file.start_at, to: file.file.end_at };
    // A file that is being written can have recordings after the limit as soon as it is read.
    if !file.file.is_open && limit.contains(whole) {
        return Ok(());
    }
    let with_fragments = with_fragments(permitted, file.clone()).await?;
    if between.is_some_and(|(first, last)| is_in_span(&with_fragments, limit, first, last)) {
        return Ok(());
    }
    let detail = format!(
        "this playback token permits recordings from {limit} only; request the ranges of bytes that the playlist lists"
    );
    Err(Error::new(ErrorKind::Forbidden, detail))
}

/// Returns a file with its fragments.
pub(super) async fn with_fragments(
    permitted: &PermittedStream,
    mut file: RecordedFootage,
) -> Result<RecordedFootage, Error> {
    if file.fragments.is_empty() {
        let read = permitted.recorder.database().fragments_of(&file.file).await;
        file.fragments = read.map_err(query_failed)?;
    }
    Ok(file)
}

/// Returns whether the bytes from the position `first` to the position `last` are in the init segment, or in the
/// fragments that are needed for the span.
fn is_in_span(file: &RecordedFootage, span: TimeSpan, first: u64, last: u64) -> bool {
    let is_in = |(begin, end): (u64, u64)| begin <= first && first <= last && last < end;
    let overlaps = file.file.start_at < span.to && file.file.end_at > span.from;
    let media = file.needed(span).bytes().filter(|_| overlaps);
    is_in((0, file.file.init_bytes)) || media.is_some_and(is_in)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recordings::testing::{INIT, file};

    #[test]
    fn only_the_init_segment_and_the_fragments_of_a_span_are_permitted() {
        // Groups of 450 bytes and 2 s: fragments of 100, 200 and 150 bytes.
        let file = file(1, 7, 100_000, 5);
        let at = |group: u64| INIT + group * 450;
        let span = |from, to| TimeSpan { from, to };
        let table = [
            (span(102_500, 106_000), 0, INIT - 1, true),
            (span(102_500, 106_000), 0, INIT, false),
            (span(102_500, 106_000), at(1), at(2) - 1, true),
            (span(102_500, 106_000), at(1), at(3) - 1, true),
            (span(102_500, 106_000), at(1), at(3), false),
            (span(102_500, 106_000), at(1) - 1, at(2), false),
            (span(102_500, 106_000), at(0), at(1) - 1, false),
            (span(102_500, 106_001), at(3), at(3) + 99, true),
            (span(102_500, 106_001), at(3), at(3) + 100, false),
            (span(102_500, 106_001), at(2), at(1), false),
            (span(102_500, 106_001), at(2), u64::MAX, false),
            (span(0, 100_000), at(0), at(0), false),
            (span(110_000, 120_000), at(4), at(5) - 1, false),
            (span(109_999, 120_000), at(4), at(5) - 1, true),
            (span(109_999, 120_000), at(4), at(5), false),
        ];
        for (span, first, last, expected) in table {
            assert_eq!(is_in_span(&file, span, first, last), expected, "{span}, {first}-{last}");
        }
    }
}
