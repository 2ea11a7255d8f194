//! Fragments and files for tests.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tempfile::TempDir;
use tokio::time::Instant;

use super::clip::{Clip, record_clip};
use super::copies::Copies;
use super::cutter::{Clocks, Cutter};
use super::file_writer::FileWriter;
use super::fragmenter::{Fragmenter, Init, MadeFragment};
use super::layout::FileName;
use super::open_files::OpenFiles;
use super::shared::Recorder;
use crate::events::bus::Bus;
use crate::media::frame::{Frame, testing};
use crate::store::db::fragment_list::RecordedFragment;
use crate::store::db::recording_table::{Offsite, RecordedFile, RecordedStream};
use crate::store::db::recording_writes::CopyRule;
use crate::store::db::{Database, Location};

/// Recordings of the camera `front-door`.
pub(crate) struct Recorded {
    files: TempDir,
    pub(crate) database: Database,
}

impl Recorded {
    /// Returns the directory with recordings.
    pub(crate) fn dir(&self) -> PathBuf {
        self.files.path().join("recordings")
    }

    /// Returns the stream.
    pub(crate) async fn stream(&self) -> RecordedStream {
        self.database.recorded_streams().await.expect("streams").remove(0)
    }

    /// Returns all files in the index, with their paths.
    pub(crate) async fn files(&self) -> Vec<(RecordedFile, PathBuf)> {
        let Some(stream) = self.database.recorded_streams().await.expect("streams").pop() else {
            return Vec::new();
        };
        let files = self.database.recorded_files(stream.id, 0, i64::MAX / 2).await.expect("files");
        let path = |file: &RecordedFile| self.dir().join(FileName::of(&stream, file).path());
        files.into_iter().map(|file| (file.clone(), path(&file))).collect()
    }

    /// Queues the copy of a file, or with `is_stored`, notes that there is one. Returns the id of the place with copies.
    pub(crate) async fn copy(&self, file: &RecordedFile, is_stored: bool) -> i64 {
        let mut write = self.database.write().await.expect("a transaction");
        let span = (file.start_at, file.start_at + 1);
        write.mark_event(file.stream, span, CopyRule::WithEvent).await.expect("a mark");
        let place = write.put_offsite_place("marker", "file:///copies").await.expect("a place");
        if is_stored {
            let is_noted = write.finish_upload(file.id, place, file.bytes).await;
            assert!(is_noted.expect("a copy"));
        }
        write.commit().await.expect("a commit");
        place
    }

    /// Returns a recorder for these recordings, whose clock shows `now`.
    pub(crate) async fn recorder(&self, now: SystemTime) -> Recorder {
        self.copying_recorder(now, Copies::default()).await
    }

    /// Returns the same recorder with these rules for copies.
    pub(crate) async fn copying_recorder(&self, now: SystemTime, copies: Copies) -> Recorder {
        let (database, clock) = (self.database.clone(), Arc::new(move || now));
        let recorder = Recorder::start(database, &[self.dir()], 0, Bus::default(), copies, clock);
        let recorder = recorder.expect("threads");
        recorder.directories().check(&self.database).await.expect("a database");
        recorder
    }
}

/// Records five minutes of video at one frame per second, with a keyframe every ten seconds, so that there are five
/// files.
pub(crate) async fn recorded(start_at: SystemTime) -> Recorded {
    let files = tempfile::tempdir().expect("a directory");
    let url = format!("sqlite:{}", files.path().join("index.db").display());
    let format = testing::format(7);
    let frames: Vec<_> =
        (0..30).map(|n| testing::video(&format, n % 10 == 0, n * 1000, 1000)).collect();
    let clip = Clip {
        database_url: &url,
        dir: &files.path().join("recordings"),
        camera: "front-door",
        link: "rtsp://cam/a",
        is_sub: false,
        start_at,
        frames: &frames,
        times: 10,
    };
    record_clip(&clip).await.expect("a recording");
    let database = Database::open(Location::parse(&url).expect("a URL")).await;
    Recorded { files, database: database.expect("a database") }
}

/// Returns an open file without fragments.
pub(crate) fn open_file(stream: i64, start_at: i64) -> RecordedFile {
    RecordedFile {
        id: 0,
        stream,
        dir: 1,
        format: 1,
        span: 5,
        start_at,
        end_at: start_at,
        decode_time: 0,
        bytes: 0,
        init_bytes: 4,
        frames: 0,
        is_open: true,
        is_locked: false,
        has_event: false,
        is_local: true,
        offsite: Offsite::None,
        offsite_place: None,
    }
}

/// Writes a file with these frames below `dir`. The last frames are missing, because no further frame shows their end.
/// Returns the path and the fragments.
pub(crate) fn write_file(
    dir: &Path,
    frames: impl IntoIterator<Item = Arc<Frame>>,
) -> (PathBuf, Vec<RecordedFragment>) {
    let mut made = Vec::new();
    let mut fragmenter = Fragmenter::new();
    for frame in frames {
        fragmenter.push(&frame, &mut made).expect("frames that can be recorded");
    }
    let (name, mut cutter) = (Path::new("file.mp4"), Cutter::default());
    let init = Arc::clone(&made[0].init);
    let open = OpenFiles::default().add(open_file(1, 0));
    let mut writer = FileWriter::create(dir, name, &init, Arc::clone(&open)).expect("a file");
    let now = Clocks { system: SystemTime::UNIX_EPOCH, monotonic: Instant::now() };
    for fragment in &made {
        let cut = cutter.place(fragment, now);
        writer.append(fragment, cut.begin_ms, cut.duration_ms).expect("a fragment");
    }
    writer.close().expect("a complete file");
    (dir.join(name), open.written().1)
}

/// Returns a fragment that continues another one. Times are in milliseconds.
pub(crate) fn made(begin: u64, end: u64, is_keyframe: bool) -> MadeFragment {
    let init = Init {
        bytes: Bytes::from_static(b"init"),
        codecs: "avc1.42C01E".to_owned(),
        size: (640, 360),
        audio_timescale: None,
    };
    MadeFragment {
        init: Arc::new(init),
        is_continuous: true,
        is_keyframe,
        begin: Duration::from_millis(begin),
        end: Duration::from_millis(end),
        frames: 1,
        epoch: 7,
        received_at: Instant::now(),
        taken_at: SystemTime::UNIX_EPOCH + Duration::from_millis(begin),
        slices: vec![Bytes::from_static(b"head"), Bytes::from_static(b"data")],
        head_size: 4,
        table: Vec::new(),
    }
}
