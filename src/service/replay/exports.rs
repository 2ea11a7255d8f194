//! Exports: what was recorded in a span of time, as one MP4 file. Nothing is encoded again.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use sha2::{Digest as _, Sha256};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::{PermittedStream, ReplayPermit, RequestedTime};
use crate::access::credentials::Credentials;
use crate::base::blocking::blocking;
use crate::base::error::{Error, ErrorKind};
use crate::base::hex::hex;
use crate::base::storage::{ByStorage, Storage};
use crate::base::time::{rfc3339_millis, unix_millis};
use crate::base::time_span::TimeSpan;
use crate::camera::id::{Profile, StreamId};
use crate::media::mp4::frame_table::{FramesOfTrack, read_frame_table};
use crate::media::mp4::movie::{FileFrames, Movie, MovieWriter, Piece};
use crate::media::mp4::recorded::fragment_frames;
use crate::recordings::body::{Content, FilePiece};
use crate::recordings::footage::{Footage, RecordedFootage};
use crate::recordings::source::Source;
use crate::service::core::Core;
use crate::service::export_places::{ExportPlace, busy};
use crate::store::db::fragment_list::RecordedFragment;
use crate::store::db::recording_table::RecordedFile;
use crate::store::error::query_failed;

/// The longest time of an export, in milliseconds.
pub(crate) const MAX_EXPORT_MS: i64 = 24 * 60 * 60 * 1000;
/// The time by which recordings can be ahead of the system's clock, in milliseconds.
const AHEAD_MS: i64 = 2_000;
/// The number of exports from one kind of storage that are prepared at the same time. Each can need 100 MB of memory for some
/// seconds.
const MAX_PREPARED: usize = 2;
/// The number of exports from one kind of storage whose digest is computed at the same time.
const MAX_DIGESTS: usize = 1;
/// The number of tables of frames that are read at the same time.
const MAX_READ: usize = 8;
/// The largest table of frames that is read, in bytes.
const MAX_TABLE: u64 = 16 * 1024 * 1024;
/// The largest head of a fragment that is read, in bytes.
const MAX_MOOF: u64 = 1024 * 1024;
/// Ticks of the video track in a millisecond.
const TICKS_PER_MS: u64 = 90;

/// The longest time that an export waits until it is prepared.
const PREPARED_WITHIN: Duration = Duration::from_secs(20);
/// The longest time in which a part of a table must be read.
const READ_WITHIN: Duration = Duration::from_secs(20);

static PREPARING: ByStorage<Semaphore> =
    ByStorage::new(Semaphore::const_new(MAX_PREPARED), Semaphore::const_new(MAX_PREPARED));
static DIGESTING: ByStorage<Semaphore> =
    ByStorage::new(Semaphore::const_new(MAX_DIGESTS), Semaphore::const_new(MAX_DIGESTS));

/// An export that is ready to be sent.
#[derive(Debug)]
pub(crate) struct Export {
    /// The permission.
    pub(crate) permit: ReplayPermit,
    /// The place among the exports at the same time, until the export was sent.
    pub(crate) place: ExportPlace,
    /// The bytes.
    pub(crate) content: Content,
    /// A name for the file, with the camera and the time.
    pub(crate) file_name: String,
    /// A text that changes when the bytes change.
    pub(crate) tag: String,
    /// The times without recordings, which are left out.
    pub(crate) gaps: Vec<TimeSpan>,
    /// The playing time in milliseconds.
    pub(crate) duration_ms: u64,
}

/// Prepares an export. Fails if nothing was recorded in the span, or if the parameters of the video change in it.
pub(crate) async fn prepare(
    core: &Core,
    id: &StreamId,
    shown: &Credentials<'_>,
    requested: RequestedTime,
) -> Result<Export, Error> {
    let stream = PermittedStream::find(core, id, shown).await?;
    let span = stream.span(requested, MAX_EXPORT_MS)?;
    let now = unix_millis(SystemTime::now());
    if span.to > now.saturating_add(AHEAD_MS) {
        let detail = "to is in the future; export recordings after they were made";
        return Err(Error::new(ErrorKind::InvalidRequest, detail));
    }
    let place = core.export_places.take(&stream.permit, shown.address.unwrap_or_default())?;
    let footage = stream.footage(span).await?;
    let format = ensure_same_format(&stream.id, &footage)?;
    let database = stream.recorder.database();
    let format = database.recorded_format(format).await.map_err(query_failed)?;
    let mut sources = Vec::with_capacity(footage.files.len());
    for file in &footage.files {
        sources.push(Arc::new(stream.location(&file.file).await?.source));
    }
    let storage = storage_of(sources.iter().map(AsRef::as_ref));
    let prepared = timeout(PREPARED_WITHIN, PREPARING.of(storage).acquire()).await;
    // The semaphore is never closed.
    let preparing = prepared.ok().and_then(Result::ok).ok_or_else(busy)?;
    let failed = |error: io::Error| {
        let detail = format!("the recordings of camera {id} cannot be read");
        Error::new(ErrorKind::StorageUnavailable, detail).caused_by(error)
    };
    let damaged = || {
        let detail =
            format!("the recordings of camera {id} cannot be exported, because they are damaged");
        Error::new(ErrorKind::Internal, detail)
    };
    let init = format.ok_or_else(damaged)?.init;
    let gaps = gaps(&footage);
    let read = make_movie(init, footage, sources.clone(), preparing).await.map_err(failed)?;
    let Some(movie) = read else {
        return Err(stream.nothing_recorded(&format!("from {span}")).await);
    };
    let tag = hex(&Sha256::digest(&movie.head)[..16]);
    let duration_ms = movie.duration / TICKS_PER_MS;
    let file_name = file_name(id, span);
    Ok(Export {
        permit: stream.replay_permit(),
        place,
        content: content(movie, &sources),
        file_name,
        tag,
        gaps,
        duration_ms,
    })
}

/// Returns the SHA-256 digest of an export. Reads all recordings in it.
pub(crate) async fn digest(core: &Arc<Core>, export: &Export) -> Result<String, Error> {
    let storage = storage_of(export.content.pieces.iter().map(|piece| piece.source.as_ref()));
    let Ok(_permit) = DIGESTING.of(storage).try_acquire() else {
        let detail = "another digest is being computed; try again in a few seconds";
        let retry_after = std::time::Duration::from_secs(5);
        return Err(Error::new(ErrorKind::Busy, detail).retry_after(retry_after));
    };
    let (core, permit) = (Arc::clone(core), export.permit.clone());
    let mut bytes = export.content.clone().read(async move { permit.ended(&core).await });
    let (mut digest, mut size) = (Sha256::new(), 0);
    while let Some(read) = bytes.recv().await {
        digest.update(&read);
        size += read.len() as u64;
    }
    if size != export.content.size() {
        let detail = "the recordings cannot be read completely";
        return Err(Error::new(ErrorKind::StorageUnavailable, detail));
    }
    Ok(hex(&digest.finalize()))
}

/// Returns the storage for which an export waits: off-site if one of its files is there.
fn storage_of<'a>(mut sources: impl Iterator<Item = &'a Source>) -> Storage {
    let is_offsite = sources.any(|source| source.storage() == Storage::Offsite);
    if is_offsite { Storage::Offsite } else { Storage::Local }
}

/// Returns the name of a file with the camera and the beginning of the span, in characters that all systems permit.
fn file_name(id: &StreamId, span: TimeSpan) -> String {
    let (camera, profile) = (id.camera(), id.profile());
    let rendition = if profile == Profile::Sub { "-sub" } else { "" };
    let time = rfc3339_millis(span.from);
    let time = time.split('.').next().unwrap_or_default().replace(':', "-").replace('T', "_");
    format!("{camera}{rendition}_{time}Z.mp4")
}

/// Returns the format of all files. Fails if there are several formats, because one track of an MP4 has one of them.
fn ensure_same_format(id: &StreamId, footage: &Footage) -> Result<i64, Error> {
    let mut spans: Vec<(i64, TimeSpan)> = Vec::new();
    for RecordedFootage { file, .. } in &footage.files {
        let whole = TimeSpan { from: file.start_at, to: file.end_at };
        let part = whole.intersection(footage.span).unwrap_or(whole);
        match spans.last_mut().filter(|(format, _)| *format == file.format) {
            Some((_, span)) => span.to = part.to,
            None => spans.push((file.format, part)),
        }
    }
    if let [(format, _)] = &spans[..] {
        return Ok(*format);
    }
    let spans: Vec<_> = spans.iter().map(|(_, span)| span.to_string()).collect();
    let detail = format!(
        "the resolution or another property of the video of camera {id} changes in this time; export these times separately: \
         {}",
        spans.join(", ")
    );
    Err(Error::new(ErrorKind::FormatsDiffer, detail))
}

/// Returns the parts of the span without recordings.
fn gaps(footage: &Footage) -> Vec<TimeSpan> {
    let mut gaps = Vec::new();
    let mut from = footage.span.from;
    let mut before: Option<&RecordedFile> = None;
    for RecordedFootage { file, .. } in &footage.files {
        let is_continuous = before.is_some_and(|before| before.is_continued_by(file));
        gaps.extend(TimeSpan::new(from, file.start_at).filter(|_| !is_continuous));
        (from, before) = (from.max(file.end_at), Some(file));
    }
    gaps.extend(TimeSpan::new(from, footage.span.to));
    gaps
}

/// Reads the tables of all files, and makes the movie; `None` if no frame is shown in the span.
async fn make_movie(
    init: Bytes,
    footage: Footage,
    sources: Vec<Arc<Source>>,
    preparing: SemaphorePermit<'static>,
) -> io::Result<Option<Movie>> {
    let both = footage.files.clone().into_iter().zip(sources);
    let tables = both.map(|(file, source)| async move { read_frames(&source, &file).await });
    let tables: Vec<_> = stream::iter(tables).buffered(MAX_READ).try_collect().await?;
    let make = move || {
        // The work continues if the client leaves.
        let _preparing = preparing;
        let damaged = || io::Error::other("damaged init segment");
        let mut writer = MovieWriter::new(&init, footage.span).ok_or_else(damaged)?;
        let mut before: Option<&RecordedFile> = None;
        for (number, (of_file, tracks)) in footage.files.iter().zip(&tables).enumerate() {
            let file = &of_file.file;
            writer.add(&FileFrames {
                file: number,
                tracks,
                decode_time: file.decode_time,
                start_at: file.start_at,
                is_continuous: before.is_some_and(|before| before.is_continued_by(file)),
            });
            before = Some(file);
        }
        writer.finish().map_err(io::Error::other)
    };
    blocking(make).await
}

/// Reads the table of a file's frames; from the fragments if the file has no table.
async fn read_frames(source: &Source, footage: &RecordedFootage) -> io::Result<Vec<FramesOfTrack>> {
    let begin = footage.fragments.last().map_or(0, RecordedFragment::end);
    let size = footage.file.bytes.saturating_sub(begin);
    if !footage.file.is_open && (1..=MAX_TABLE).contains(&size) {
        let table = read(source, begin, size).await?;
        if let Some(tracks) = read_frame_table(&table) {
            return Ok(tracks);
        }
    }
    let mut tracks: Vec<FramesOfTrack> = Vec::new();
    for fragment in &footage.fragments {
        let head = read(source, fragment.offset, 8).await?;
        let size = head.first_chunk().map_or(0, |size| u64::from(u32::from_be_bytes(*size)));
        let damaged = || io::Error::other("damaged fragment");
        if !(8..=MAX_MOOF.min(fragment.size.into())).contains(&size) {
            return Err(damaged());
        }
        let moof = read(source, fragment.offset, size).await?;
        for read in fragment_frames(&moof, fragment.offset).ok_or_else(damaged)? {
            match tracks.iter_mut().find(|track| track.track_id == read.track_id) {
                Some(track) => track.frames.extend(read.frames),
                None => tracks.push(read),
            }
        }
    }
    Ok(tracks)
}

/// Reads a range of a file, for a limited time.
async fn read(source: &Source, offset: u64, size: u64) -> io::Result<Bytes> {
    let read = timeout(READ_WITHIN, source.read(offset, size)).await;
    read.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

fn content(movie: Movie, sources: &[Arc<Source>]) -> Content {
    let piece = |piece: &Piece| {
        let source = Arc::clone(sources.get(piece.file)?);
        Some(FilePiece { source, offset: piece.offset, size: piece.size })
    };
    Content { pieces: movie.pieces.iter().filter_map(piece).collect(), head: movie.head.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recordings::testing::file;

    fn footage(files: Vec<RecordedFootage>) -> Footage {
        Footage { span: TimeSpan { from: 1_000, to: 100_000 }, files, is_complete: true }
    }

    #[test]
    fn the_name_of_a_file_has_the_camera_and_the_time() {
        let name = |id: &str| {
            let span = TimeSpan { from: 1_795_986_123_007, to: 1_795_986_130_000 };
            file_name(&StreamId::parse(id).expect("an id"), span)
        };
        assert_eq!(name("front-door"), "front-door_2026-11-29_21-02-03Z.mp4");
        assert_eq!(name("front-door~sub"), "front-door-sub_2026-11-29_21-02-03Z.mp4");
    }

    #[test]
    fn gaps_are_listed() {
        let spans = |files| -> Vec<_> {
            gaps(&footage(files)).iter().map(|gap| (gap.from, gap.to)).collect()
        };
        assert_eq!(spans(vec![file(1, 7, 0, 60)]), []);
        let files = vec![file(1, 7, 10_000, 5), file(2, 7, 20_001, 5), file(3, 8, 50_000, 5)];
        assert_eq!(spans(files), [(1_000, 10_000), (30_001, 50_000), (60_000, 100_000)]);
    }

    #[test]
    fn times_with_different_formats_are_named() {
        let id = StreamId::parse("front-door").expect("an id");
        let [first, second, mut third] =
            [file(1, 7, 0, 5), file(2, 7, 10_000, 5), file(3, 8, 50_000, 5)];
        let same = footage(vec![first.clone(), second.clone()]);
        assert_eq!(ensure_same_format(&id, &same), Ok(1));
        third.file.format = 2;
        let error = ensure_same_format(&id, &footage(vec![first, second, third]));
        let error = error.expect_err("two formats");
        assert_eq!(error.kind, ErrorKind::FormatsDiffer);
        let spans =
            "1970-01-01T00:00:01.000Z to 1970-01-01T00:00:20.000Z, 1970-01-01T00:00:50.000Z to ";
        assert!(error.detail.contains(spans), "{error}");
    }
}
