//! Recordings that are made from a clip, so that they can be long or large: how much memory an export of a day needs, and exports of more than
//! 4 GiB.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};
use stream_manager::parts::{Arrival, Clip, Demuxer, Frame, NutReader, record_clip};
use tempfile::TempDir;

use super::text;
use crate::support::{Manager, Nginx};

/// The time at which the recordings begin.
const BEGIN: i64 = 1_795_000_000_000;

/// Encodes a clip with the system's FFmpeg. `arguments` are those of its input and of its encoder.
pub(super) fn encode(arguments: &[&str]) -> Vec<Frame> {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-f", "lavfi"]).args(arguments);
    // Closed groups of pictures without B-frames, as those of cameras.
    command.args(["-c:v", "libx264", "-preset", "ultrafast", "-bf", "0", "-sc_threshold", "0"]);
    command.args(["-bsf:v", "setts=dts=N", "-f", "nut", "-"]).stdin(Stdio::null());
    let output = command.output().expect("ffmpeg");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut reader = NutReader::new();
    reader.buffer().extend_from_slice(&output.stdout);
    let mut demuxer = Demuxer::new(7, false, false, false);
    let mut frames = Vec::new();
    while let Some(item) = reader.next_item().expect("NUT") {
        let arrival = Arrival { at: tokio::time::Instant::now(), wall: SystemTime::now() };
        frames.extend(demuxer.video(item, arrival).expect("video"));
    }
    frames
}

/// A service with the recordings of the camera `cam`.
pub(super) struct Long {
    dir: TempDir,
    pub(super) manager: Manager,
    nginx: Nginx,
}

impl Long {
    /// Records the frames this many times.
    pub(super) async fn new(frames: &[Frame], times: u32) -> Self {
        let dir = TempDir::new().expect("a directory");
        let recordings = dir.path().join("recordings");
        let url = format!("sqlite:{}", dir.path().join("index.db").display());
        let clip = Clip {
            database_url: &url,
            dir: &recordings,
            camera: "cam",
            link: "rtsp://127.0.0.1:9/none",
            is_sub: false,
            start_at: SystemTime::UNIX_EPOCH + Duration::from_millis(BEGIN.unsigned_abs()),
            frames,
            times,
        };
        record_clip(&clip).await.expect("a recording");
        let recordings = recordings.to_str().expect("a path");
        let settings = [("DATABASE_URL", url.as_str()), ("RECORDINGS_DIRS", recordings)];
        let manager = Manager::start(&settings).await;
        let nginx = Nginx::start_with_settings(&manager, &[("RECORDINGS_DIRS", recordings)]).await;
        Self { dir, manager, nginx }
    }

    /// Returns the directory with the recordings.
    pub(super) fn recordings(&self) -> PathBuf {
        self.dir.path().join("recordings")
    }
}

/// Returns the query for a part of the recordings. Times are in milliseconds since their beginning.
pub(super) fn query(from: i64, to: i64) -> String {
    format!("from={}&to={}", text(BEGIN + from), text(BEGIN + to))
}

/// Downloads a file, and returns its size and the time that this took.
async fn download(url: &str) -> (u64, Duration) {
    let begun = Instant::now();
    let client = reqwest::Client::new();
    let mut response = client.get(url).send().await.expect("a response");
    assert_eq!(response.status(), 200, "{url}");
    let expected = response.content_length();
    let mut size = 0;
    while let Some(bytes) = response.chunk().await.expect("bytes") {
        size += bytes.len() as u64;
    }
    assert_eq!(Some(size), expected);
    (size, begun.elapsed())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes some minutes"]
async fn an_export_of_a_day_needs_little_memory() {
    const DAY: i64 = 24 * 3_600_000;
    let frames = encode(&["-i", "color=black:s=64x48:r=25:d=60", "-g", "50", "-crf", "40"]);
    assert_eq!(frames.len(), 1500);
    let setup = Long::new(&frames, 24 * 60).await;
    let playlist = setup.nginx.url(&format!("/recordings/cam/stream.m3u8?{}", query(0, 3_600_000)));
    let mut times = Vec::new();
    for _ in 0..200 {
        let begun = Instant::now();
        let response = reqwest::get(&playlist).await.expect("a response");
        let text = response.text().await.expect("a playlist");
        times.push(begun.elapsed());
        assert_eq!(text.matches("#EXTINF").count(), 1800);
    }
    times.sort();
    eprintln!("playlist of an hour: {:?} p50, {:?} p99", times[100], times[198]);
    let before = setup.manager.peak_memory();
    let url = setup.manager.url(&format!("/recordings/cam/export.mp4?{}", query(0, DAY)));
    let begun = Instant::now();
    let head = reqwest::Client::new().head(&url).send().await.expect("a response");
    eprintln!("the export is prepared after {:?}, headers {:?}", begun.elapsed(), head.headers());
    let (size, time) = download(&url).await;
    let used = setup.manager.peak_memory() - before;
    eprintln!("{size} bytes in {time:?}; {} MiB of memory", used >> 20);
    assert!(used < 200 << 20, "{used} bytes of memory");
    let digest = setup.manager.get(&format!("/api/recordings/cam/export?{}", query(0, DAY))).await;
    assert_eq!((digest.status.as_u16(), &digest.body["bytes"]), (200, &json!(size)));
    assert_eq!(digest.body["gaps"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "writes some gigabytes"]
async fn an_export_can_be_larger_than_4_gib() {
    // Noise needs about 15 MB a second.
    let noise = "nullsrc=s=1280x720:r=25:d=10,geq=random(1)*255:128:128";
    let frames = encode(&["-i", noise, "-g", "50", "-crf", "12", "-threads", "0"]);
    let bytes: usize = frames.iter().map(|frame| frame.data.len()).sum();
    let times = u32::try_from((4_600_u64 << 20) / bytes as u64 + 1).expect("a number");
    let setup = Long::new(&frames, times).await;
    let length = i64::from(times) * 10_000;
    let url = setup.nginx.url(&format!("/recordings/cam/export.mp4?{}", query(500, length)));
    let (size, time) = download(&url).await;
    assert!(size > 4 << 30, "{size} bytes");
    eprintln!("{size} bytes in {time:?}");
    // The last second is behind the position 2^32.
    let from = format!("{}", (length - 500) / 1000 - 1);
    let output = Command::new("ffprobe")
        .args(["-v", "warning", "-select_streams", "v", "-read_intervals", &format!("{from}%")])
        .args(["-show_entries", "packet=pos,pts_time:format=duration", "-of", "json", &url])
        .output()
        .expect("ffprobe");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.trim().is_empty(), "{errors}");
    let probe: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let packets = probe["packets"].as_array().expect("packets");
    let last = packets.last().expect("a packet");
    let position: u64 = last["pos"].as_str().expect("a position").parse().expect("a number");
    assert!(position > 1 << 32, "{last}");
    let time: f64 = last["pts_time"].as_str().expect("a time").parse().expect("a number");
    let length = u64::try_from(length).expect("a length");
    let expected = Duration::from_millis(length - 500 - 40).as_secs_f64();
    assert!((time - expected).abs() < 0.05, "{last}, expected {expected} s");
    let decoded = Command::new("ffmpeg")
        .args(["-v", "warning", "-ss", &from, "-i", &url, "-f", "null", "-"])
        .stdin(Stdio::null())
        .output()
        .expect("ffmpeg");
    let errors = String::from_utf8_lossy(&decoded.stderr);
    assert!(decoded.status.success() && errors.trim().is_empty(), "{errors}");
    continue_behind_4_gib(&url, size).await;
}

/// Continues an interrupted download behind the position 2^32.
async fn continue_behind_4_gib(url: &str, size: u64) {
    let client = reqwest::Client::new();
    let part = async |range: String| {
        let response = client.get(url).header("range", range).send().await.expect("a response");
        assert_eq!(response.status(), 206);
        response.bytes().await.expect("bytes")
    };
    let last = part("bytes=-100000".to_owned()).await;
    assert_eq!(last.len(), 100_000);
    assert!(last == part(format!("bytes={}-", size - 100_000)).await);
}
