//! Fills an index with files that were never recorded, for benchmarks of the index: weeks of many cameras within a minute.
//! The files are empty, and many are names of the same file, because playlists, retention and the comparison with the index do
//! not read them.

use std::error::Error;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::SystemTime;

use bytes::Bytes;

use super::copies::Copies;
use super::cutter::unix_ms;
use super::layout::FileName;
use super::shared::Recorder;
use crate::camera::id::{CameraId, Profile};
use crate::camera::identity_tag::IdentityTag;
use crate::camera::record::Record;
use crate::camera::source::Source;
use crate::camera::source_spec::SourceSpec;
use crate::events::bus::Bus;
use crate::media::mp4::recorded::init_digest;
use crate::store::Cameras;
use crate::store::db::Database;
use crate::store::db::fragment_list::RecordedFragment;
use crate::store::db::recording_table::RecordedStream;
use crate::store::db::recording_writes::{ClosedFile, CopyRule, NewFile};

/// Playing time of a file in milliseconds.
const FILE_MS: u32 = 60_000;
/// Playing times of the fragments of a group of pictures, in milliseconds: a keyframe is a fragment of its own.
const GROUP_MS: [u32; 3] = [40, 1000, 960];
/// The sizes of these fragments in bytes, at 4 Mbit/s.
const GROUP_BYTES: [u32; 3] = [135_000, 441_000, 424_000];
/// Frames in a file, at 25 frames per second.
const FRAMES: u32 = 1500;
/// The minutes of all cameras that one transaction adds.
const MINUTES: u32 = 60;
/// The names of one file. File systems limit them to some ten thousands. Names are made faster than files, above all after
/// many files were deleted, for example by the same benchmark.
const LINKS: u32 = 1000;
/// The number of threads that create files.
const THREADS: usize = 4;
/// A typical size of an init segment in bytes.
const INIT_BYTES: usize = 800;

/// An index that is to be made.
#[derive(Debug)]
pub struct IndexSample<'a> {
    /// The URL of the database. No manager may use it at the same time.
    pub database_url: &'a str,
    /// The directory for recordings.
    pub dir: &'a Path,
    /// The ids of the cameras, which are added, and their RTSP links.
    pub cameras: &'a [(String, String)],
    /// The end of the last files.
    pub end_at: SystemTime,
    /// The number of files of each camera. Each lasts for a minute.
    pub minutes: u32,
}

/// Makes an index, and the empty files. Must be called within a runtime.
pub async fn fill_index(sample: &IndexSample<'_>) -> Result<(), Box<dyn Error + Send + Sync>> {
    let cameras = Cameras::open(sample.database_url, None).await?;
    let database = cameras.database().clone();
    let (paths, clock) = ([sample.dir.to_owned()], Arc::new(SystemTime::now));
    let recorder =
        Recorder::start(database.clone(), &paths, 0, Bus::default(), Copies::default(), clock)?;
    recorder.directories().check(&database).await?;
    let dir = recorder.directories().usable().pop().ok_or("the directory cannot be used")?;
    let mut streams = Vec::new();
    for (id, link) in sample.cameras {
        let (id, source) = (CameraId::parse(id)?, Source::parse(link)?);
        let add = |known: Option<Record>| {
            let spec = SourceSpec::from_link(Profile::Main, source);
            Ok(known.unwrap_or_else(|| Record::new(id.clone(), spec)))
        };
        let (record, _) = cameras.change(&id, add).await?;
        let identity = IdentityTag::of(&record.identity());
        let mut write = database.write().await?;
        let stream = write.put_recorded_stream(&id, identity, Profile::Main, dir.id).await?;
        write.commit().await?;
        let (camera, profile) = (id, Profile::Main);
        let (dir, is_deleted) = (dir.id, false);
        streams.push(RecordedStream { id: stream, camera, identity, profile, dir, is_deleted });
    }
    let format = put_format(&database).await?;
    let begin_at = unix_ms(sample.end_at) - i64::from(FILE_MS) * i64::from(sample.minutes);
    let new = |stream: &RecordedStream, minute: u32| {
        let start_at = begin_at + i64::from(FILE_MS) * i64::from(minute);
        let decode_time = u64::from(minute) * u64::from(FILE_MS) * 90;
        let (stream, span, has_event) = (stream.id, begin_at * 1000, false);
        NewFile { stream, dir: dir.id, format, span, start_at, decode_time, has_event }
    };
    for first in (0..sample.minutes).step_by(MINUTES as usize) {
        let minutes = first..(first + MINUTES).min(sample.minutes);
        let files =
            minutes.flat_map(|minute| streams.iter().map(move |stream| new(stream, minute)));
        let files: Vec<_> = files.map(|new| (closed(new.start_at), new)).collect();
        let mut write = database.write().await?;
        write.add_closed_files(&files).await?;
        write.commit().await?;
    }
    let create_all = &|streams: &[RecordedStream]| -> io::Result<()> {
        for stream in streams {
            let mut first = None;
            for minute in 0..sample.minutes {
                let path = create(&dir.path, stream, &new(stream, minute), first.as_deref())?;
                if minute % LINKS == 0 {
                    first = Some(path);
                }
            }
        }
        Ok(())
    };
    thread::scope(|scope| {
        let parts = streams.chunks(streams.len().div_ceil(THREADS).max(1));
        let threads: Vec<_> = parts.map(|part| scope.spawn(move || create_all(part))).collect();
        let panicked = |_| Err(io::Error::other("a thread that creates files has panicked"));
        threads.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(panicked))
    })?;
    // The size of the file is then that of the index.
    database.checkpoint().await?;
    Ok(())
}

async fn put_format(database: &Database) -> Result<i64, sqlx::Error> {
    let init = Bytes::from_static(&[0; INIT_BYTES]);
    let mut write = database.write().await?;
    let size = (1920, 1080);
    let id = write.put_recorded_format(&init_digest(&init), &init, "avc1.640028", size).await?;
    write.commit().await?;
    Ok(id)
}

/// Returns the content of a file, whose fragments have random sizes.
fn closed(start_at: i64) -> ClosedFile {
    let (mut fragments, mut begin_ms, mut offset) = (Vec::new(), 0, INIT_BYTES as u64);
    while begin_ms < FILE_MS {
        for (place, (duration_ms, usual)) in GROUP_MS.into_iter().zip(GROUP_BYTES).enumerate() {
            let size = fastrand::u32(usual / 2..usual * 3 / 2);
            let is_keyframe = place == 0;
            fragments.push(RecordedFragment { offset, size, begin_ms, duration_ms, is_keyframe });
            begin_ms += duration_ms;
            offset += u64::from(size);
        }
    }
    let end_at = start_at + i64::from(FILE_MS);
    let (has_event, copy) = (false, CopyRule::Never);
    ClosedFile { end_at, bytes: offset, frames: FRAMES, fragments, has_event, copy }
}

/// Creates an empty file, or another name of the file `first`. Returns the path.
fn create(
    root: &Path,
    stream: &RecordedStream,
    new: &NewFile,
    first: Option<&Path>,
) -> io::Result<PathBuf> {
    let name = FileName { key: stream.into(), start_at: new.start_at, span: new.span };
    let path = root.join(name.path());
    let create = || match first {
        Some(first) => fs::hard_link(first, &path),
        None => File::create_new(&path).map(drop),
    };
    match create() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(path.parent().unwrap_or(root))?;
            create()?;
        }
        created => created?,
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::time::Duration;

    use super::*;
    use crate::output::recorder::recovery::{Recovered, recover};
    use crate::store::db::recording_table::RecordedFile;

    #[tokio::test]
    async fn the_index_is_like_one_of_recorded_files() {
        let files = tempfile::tempdir().expect("a directory");
        let url = format!("sqlite:{}", files.path().join("index.db").display());
        let end_at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_986_123);
        let cameras = ["a", "b"].map(|id| (id.to_owned(), format!("rtsp://cam/{id}")));
        let sample = IndexSample {
            database_url: &url,
            dir: &files.path().join("recordings"),
            cameras: &cameras,
            end_at,
            minutes: 25,
        };
        fill_index(&sample).await.expect("an index");
        let cameras = Cameras::open(&url, None).await.expect("a database");
        let database = cameras.database();
        let streams = database.recorded_streams().await.expect("streams");
        for stream in &streams {
            let found = database.recorded_fragments(stream.id, 0, i64::MAX / 2).await;
            let found = found.expect("files");
            assert_eq!(found.len(), 25);
            assert!(found.iter().all(|(file, list)| list.len() == 90 && !file.is_open));
            let is_continued = |pair: &[(RecordedFile, _)]| pair[0].0.is_continued_by(&pair[1].0);
            assert!(found.windows(2).all(is_continued));
            assert_eq!(found[24].0.end_at, unix_ms(end_at));
        }
        let clock = Arc::new(SystemTime::now);
        let paths = [sample.dir.to_owned()];
        let recorder =
            Recorder::start(database.clone(), &paths, 0, Bus::default(), Copies::default(), clock);
        let recorder = recorder.expect("threads");
        recorder.directories().check(database).await.expect("a database");
        let dir = recorder.directories().usable().remove(0);
        let recovered = recover(&recorder, &dir, &HashMap::new()).await;
        assert_eq!(recovered.expect("a directory"), Recovered::default());
    }
}
