//! What tests need to know about recorded files and their index.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use sqlx::Row as _;
use sqlx::sqlite::SqlitePool;

use super::{Manager, eventually, until};

/// The setting with the directory for recordings, which is in the manager's working directory.
pub(crate) const RECORDINGS: (&str, &str) = ("RECORDINGS_DIRS", "recordings");
/// Width and height of the test camera's pictures, and the squares of its clock.
const SIZE: (usize, usize) = (640, 360);
pub(crate) const CLOCK_BITS: usize = 32;

/// Adds or replaces a camera, with these options for recordings.
pub(crate) async fn put_recorded(id: &str, manager: &Manager, link: &str, recording: Value) {
    let camera = json!({ "rtsp_link": link, "recording": recording });
    let response = manager.put(&format!("/api/cameras/{id}"), &camera).await;
    assert!(response.status.is_success(), "{response:?}\n{}", manager.log());
}

/// Returns the recorded files below `dir`, sorted by time.
pub(crate) fn recorded_files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten() {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|extension| extension == "mp4") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Returns true if the file has its table of frames, which is added when the file is closed.
pub(crate) fn is_closed(path: &Path) -> bool {
    let bytes = fs::read(path).unwrap_or_default();
    bytes.windows(15).any(|part| part == b"uuidframe-table")
}

/// Waits until there are at least `count` files, and all of them are closed.
pub(crate) async fn closed_files(dir: &Path, count: usize) -> Vec<PathBuf> {
    eventually("all recorded files are closed", || async {
        let found = recorded_files(dir);
        (found.len() >= count && found.iter().all(|path| is_closed(path))).then_some(found)
    })
    .await
}

/// Waits until the recorded files have at least this many bytes in all.
pub(crate) async fn grows_to(path: &Path, bytes: u64) {
    let size = |path: &PathBuf| fs::metadata(path).map_or(0, |metadata| metadata.len());
    until("the recording grows", || async {
        let found = if path.is_dir() { recorded_files(path) } else { vec![path.to_owned()] };
        found.iter().map(size).sum::<u64>() >= bytes
    })
    .await;
}

/// Decodes a file with the system's FFmpeg. Returns the times that the camera's clock shows in all pictures, in
/// milliseconds.
pub(crate) fn clocks(path: &Path) -> Vec<u32> {
    let output = Command::new("ffmpeg")
        .args(["-v", "warning", "-i"])
        .arg(path)
        .args([
            "-map",
            "0:v",
            "-f",
            "rawvideo",
            "-pix_fmt",
            "gray",
            "-fps_mode",
            "passthrough",
            "-",
        ])
        .stdin(Stdio::null())
        .output()
        .expect("ffmpeg");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.trim().is_empty(), "{}: {errors}", path.display());
    let (width, height) = SIZE;
    let side = width / CLOCK_BITS;
    let clock = |luma: &[u8]| {
        (0..CLOCK_BITS).fold(0, |time, square| {
            let middle = luma[side / 2 * width + square * side + side / 2];
            time << 1 | u32::from(middle > 127)
        })
    };
    output.stdout.chunks_exact(width * height).map(clock).collect()
}

/// Asserts that there are pictures for at least a second, in the right order. The test camera can leave out pictures if
/// the machine is busy.
pub(crate) fn assert_plays(clocks: &[u32]) {
    assert!(clocks.len() > 25, "{} pictures", clocks.len());
    let is_later = |pair: &[u32]| (1..1000).contains(&pair[1].wrapping_sub(pair[0]));
    assert!(clocks.windows(2).all(is_later), "{clocks:?}");
}

/// Returns what ffprobe shows about the video of a file, as CSV.
pub(crate) fn probe(path: &Path, entries: &str) -> String {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", "v", "-show_entries", entries])
        .args(["-of", "csv=p=0"])
        .arg(path)
        .output()
        .expect("ffprobe");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// Decodes all pictures of a file. Panics if FFmpeg prints a warning.
pub(crate) fn assert_decodes(path: &Path) {
    let decoded = Command::new("ffmpeg")
        .args(["-v", "warning", "-i"])
        .arg(path)
        .args(["-f", "null", "-"])
        .output()
        .expect("ffmpeg");
    let is_clean = decoded.status.success() && decoded.stderr.is_empty();
    assert!(is_clean, "{}: {decoded:?}", path.display());
}

/// The entry of a file in the index.
#[derive(Debug)]
pub(crate) struct IndexedFile {
    /// The id of the camera.
    pub(crate) camera: String,
    /// The time of the first frame in Unix milliseconds.
    pub(crate) start_at: i64,
    pub(crate) end_at: i64,
    pub(crate) span: i64,
    pub(crate) bytes: u64,
    /// The number of frames of video.
    pub(crate) frames: usize,
    pub(crate) is_open: bool,
    pub(crate) has_event: bool,
    /// The positions of the fragments' ends in the file; empty for an open file.
    pub(crate) ends: Vec<u64>,
}

/// Returns all entries of the index, sorted by camera and then in the order of recording.
pub(crate) async fn index_of(manager: &Manager) -> Vec<IndexedFile> {
    let path = manager.dir().path().join("streams.db");
    let database = SqlitePool::connect(&format!("sqlite:{}?mode=ro", path.display())).await;
    let database = database.expect("the database");
    let rows = sqlx::query(
        "SELECT s.camera, f.*, length(i.init) AS init_bytes, b.fragments FROM recorded_files f
         JOIN recorded_streams s ON s.id = f.stream
         JOIN recorded_formats i ON i.id = f.format
         LEFT JOIN recorded_fragments b ON b.file = f.id ORDER BY s.camera, f.id",
    );
    let rows = rows.fetch_all(&database).await.expect("rows");
    let file = |row: &sqlx::sqlite::SqliteRow| {
        let number = |name: &str| row.get::<i64, _>(name);
        let unsigned = |name: &str| u64::try_from(number(name)).expect("a positive number");
        let fragments: Option<Vec<u8>> = row.get("fragments");
        IndexedFile {
            camera: row.get("camera"),
            start_at: number("start_at"),
            end_at: number("end_at"),
            span: number("span"),
            bytes: unsigned("bytes"),
            frames: usize::try_from(number("frames")).expect("a number"),
            is_open: row.get("is_open"),
            has_event: row.get("has_event"),
            ends: ends_of(&fragments.unwrap_or_default(), unsigned("init_bytes")),
        }
    };
    rows.iter().map(file).collect()
}

/// Returns the ends of the fragments in a list of the index, whose first fragment begins at `offset`.
fn ends_of(list: &[u8], mut offset: u64) -> Vec<u64> {
    let mut bytes = list.iter();
    let mut number = || {
        let (mut number, mut shift) = (0, 0);
        loop {
            let byte = *bytes.next()?;
            number |= u64::from(byte & 0x7F) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
    };
    let mut ends = Vec::new();
    while let Some(head) = number() {
        if head & 1 != 0 {
            number().expect("a difference");
        }
        offset += head >> 2;
        ends.push(offset);
    }
    ends
}

/// Returns the ends of the fragments in a recorded file, and the end of the file's last box.
pub(crate) fn fragments_in(path: &Path) -> (Vec<u64>, u64) {
    let bytes = fs::read(path).expect("a file");
    let (mut position, mut ends) = (0, Vec::new());
    while position < bytes.len() {
        let head = &bytes[position..position + 8];
        position += u32::from_be_bytes(*head.first_chunk().expect("a size")) as usize;
        if &head[4..] == b"mdat" {
            ends.push(position as u64);
        }
    }
    (ends, position as u64)
}

/// Asserts that the index of a manager that has ended agrees with the files below `dir`, which must all play. Returns the
/// times of the pictures of each file, in the order of the index.
pub(crate) async fn assert_index_agrees(
    manager: &Manager,
    dir: &Path,
) -> Vec<(IndexedFile, Vec<u32>)> {
    let index = index_of(manager).await;
    assert_eq!(index.len(), recorded_files(dir).len(), "{index:?}");
    let mut found = Vec::new();
    for file in index {
        let name = format!("-{}.mp4", file.span);
        let day = humantime_of(file.start_at);
        let is_file = |path: &PathBuf| {
            let text = path.to_string_lossy();
            text.ends_with(&name)
                && text.contains(&format!("/{}-", file.camera))
                && text.contains(&day)
        };
        let paths: Vec<_> = recorded_files(dir).into_iter().filter(is_file).collect();
        let [path] = paths.as_slice() else { panic!("{file:?} has the files {paths:?}") };
        let (ends, end) = fragments_in(path);
        assert_eq!((file.is_open, file.bytes), (false, end), "{}", path.display());
        assert_eq!(file.ends, ends, "{}", path.display());
        assert!(is_closed(path), "{}", path.display());
        let clocks = clocks(path);
        assert_eq!(clocks.len(), file.frames, "{}", path.display());
        found.push((file, clocks));
    }
    found
}

/// Returns day and time of a file as they are in its path.
fn humantime_of(start_at: i64) -> String {
    let since = std::time::Duration::from_millis(u64::try_from(start_at).expect("after 1970"));
    let text = humantime::format_rfc3339_millis(std::time::UNIX_EPOCH + since).to_string();
    text.trim_end_matches('Z').replace(':', "-").replace('T', "/")
}
