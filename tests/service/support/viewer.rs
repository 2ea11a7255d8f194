//! Acts as a viewer: plays streams with FFmpeg, and fetches playlists.

use std::collections::HashMap;
use std::process::ExitStatus;
use std::time::Duration;

use m3u8_rs::MediaPlaylist;
use serde_json::Value;
use tokio::process::Command;
use tokio::time::timeout;

use super::{Nginx, TIMEOUT};

/// Decodes `seconds` of a stream, and fails the test if FFmpeg reports an error.
///
/// Playback starts at the first segment. RFC 8216 asks players to start at least three target durations before the
/// end. By default, FFmpeg starts three segments before the end, which is too close to the end if segments are short.
/// Timestamps are passed through, because FFmpeg would otherwise round them to a guessed frame rate. Warnings are
/// hidden, because FFmpeg prints one whenever it loads an init segment again.
pub(crate) async fn play(url: &str, seconds: u32) {
    decode(url, seconds, &[]).await;
}

/// Like [`play`], for a camera with a frame every few seconds. By default, FFmpeg determines the frame rate from
/// the first 20 frames before it plays.
pub(crate) async fn play_slow(url: &str, seconds: u32) {
    decode(url, seconds, &["-fpsprobesize", "0"]).await;
}

async fn decode(url: &str, seconds: u32, options: &[&str]) {
    let time = seconds.to_string();
    let arguments = ["-live_start_index", "0", "-i", url, "-t", &time];
    let arguments = [&["-v", "error"], options, &arguments].concat();
    let times = ["-fps_mode", "passthrough", "-enc_time_base:v", "1:90000", "-f", "null", "-"];
    let output = run("ffmpeg", &[arguments.as_slice(), &times].concat()).await;
    assert_eq!(output.stderr, "", "FFmpeg reported errors while playing {url}");
}

/// Returns ffprobe's description of each elementary stream.
pub(crate) async fn probe(url: &str) -> Vec<Value> {
    let output = run("ffprobe", &["-v", "error", "-of", "json", "-show_streams", url]).await;
    let report: Value = serde_json::from_str(&output.stdout).expect("JSON from ffprobe");
    report["streams"].as_array().expect("streams").clone()
}

/// Returns whether two seconds of a stream contain sound that is louder than -60 dB. A stream without an audio
/// track has no sound.
pub(crate) async fn has_sound(url: &str) -> bool {
    let measure = ["-vn", "-t", "2", "-af", "volumedetect", "-f", "null", "-"];
    let arguments = ["-v", "info", "-i", url];
    // FFmpeg fails if there is no audio track, or if one is added while FFmpeg opens the stream.
    let (_, output) = try_run("ffmpeg", &[arguments.as_slice(), &measure].concat()).await;
    let Some((_, volume)) = output.stderr.split_once("max_volume: ") else { return false };
    let decibels = volume.split(' ').next().and_then(|number| number.parse::<f64>().ok());
    decibels.expect("a number") > -60.0
}

/// Decodes a file, and checks that each frame of a track begins after the previous frame, and at most 200 ms
/// later.
pub(crate) async fn assert_continuous(file: &str) {
    let output = run("ffmpeg", &["-v", "error", "-i", file, "-f", "null", "-"]).await;
    assert_eq!(output.stderr, "", "FFmpeg reported errors while decoding");
    let entries = ["-show_entries", "packet=stream_index,dts_time", "-of", "csv=p=0"];
    let output = run("ffprobe", &[&["-v", "error"], &entries[..], &[file]].concat()).await;
    let mut last = HashMap::<&str, f64>::new();
    for line in output.stdout.lines() {
        let (track, time) = line.split_once(',').expect("a track and a time");
        let time = time.trim_end_matches(',').parse::<f64>().expect("a time");
        if let Some(last) = last.insert(track, time) {
            assert!(last < time && time < last + 0.2, "track {track}: {last} s, {time} s");
        }
    }
    assert!(!last.is_empty(), "no packets");
}

struct Output {
    stdout: String,
    stderr: String,
}

async fn run(program: &str, arguments: &[&str]) -> Output {
    let (status, output) = try_run(program, arguments).await;
    assert!(status.success(), "{program} failed: {}", output.stderr);
    output
}

async fn try_run(program: &str, arguments: &[&str]) -> (ExitStatus, Output) {
    let output = Command::new(program).args(arguments).kill_on_drop(true).output();
    let output = timeout(TIMEOUT + Duration::from_secs(30), output).await.expect("no timeout");
    let output = output.unwrap_or_else(|error| panic!("cannot run {program}: {error}"));
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).trim().to_owned();
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    (output.status, Output { stdout, stderr })
}

/// A media playlist, as a player receives it.
#[derive(Debug)]
pub(crate) struct Playlist(MediaPlaylist);

impl Playlist {
    /// Fetches a camera's playlist. Returns `None` if the server responds with 404.
    pub(crate) async fn fetch(nginx: &Nginx, id: &str) -> Option<Self> {
        let response = nginx.client().get(nginx.playlist(id)).send().await.expect("a response");
        if response.status() == 404 {
            return None;
        }
        assert_eq!(response.status(), 200, "{}", response.text().await.unwrap_or_default());
        let text = response.bytes().await.expect("a complete response");
        let playlist = m3u8_rs::parse_media_playlist_res(&text).expect("a playlist");
        Some(Self(playlist))
    }

    /// Returns the sequence number of the first segment.
    pub(crate) fn first(&self) -> u64 {
        self.0.media_sequence
    }

    /// Returns the sequence number of the last segment.
    pub(crate) fn last(&self) -> u64 {
        self.0.media_sequence + self.0.segments.len() as u64 - 1
    }

    /// Returns the file names of all init segments and media segments.
    pub(crate) fn files(&self) -> Vec<String> {
        let segments = self.0.segments.iter().map(|segment| segment.uri.clone());
        self.init_files().into_iter().chain(segments).collect()
    }

    /// Returns the file names of the init segments, in playlist order.
    pub(crate) fn init_files(&self) -> Vec<String> {
        let maps = self.0.segments.iter().filter_map(|segment| segment.map.as_ref());
        maps.map(|map| map.uri.clone()).collect()
    }

    /// Counts the discontinuities so far, including those that have left the window.
    pub(crate) fn discontinuities(&self) -> u64 {
        self.0.discontinuity_sequence + self.discontinuities_in_window()
    }

    /// Counts the discontinuities between the listed segments.
    pub(crate) fn discontinuities_in_window(&self) -> u64 {
        self.0.segments.iter().filter(|segment| segment.discontinuity).count() as u64
    }

    /// Returns the longest duration of a segment, in seconds.
    pub(crate) fn longest_segment(&self) -> f32 {
        self.0.segments.iter().map(|segment| segment.duration).fold(0.0, f32::max)
    }

    /// Returns whether the playlist has an `EXT-X-ENDLIST`, which makes players stop.
    pub(crate) fn has_ended(&self) -> bool {
        self.0.end_list
    }
}
