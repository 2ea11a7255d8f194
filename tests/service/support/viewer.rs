//! Viewers: FFmpeg as a player, and a playlist as a player reads it.

use std::time::Duration;

use m3u8_rs::MediaPlaylist;
use serde_json::Value;
use tokio::process::Command;
use tokio::time::timeout;

use super::{Nginx, PATIENCE};

/// Decodes `seconds` of a stream as a viewer does. It begins with the first segment, as RFC 8216
/// wants players to as long as there are no six seconds; FFmpeg itself would count three segments.
/// Times stay as they are: FFmpeg would else round them to a frame rate that it guesses.
/// Any error that FFmpeg tells fails the test; its warnings do not, since it warns of every init
/// segment that it loads again by itself.
pub async fn play(url: &str, seconds: u32) {
    let time = seconds.to_string();
    let arguments = ["-v", "error", "-live_start_index", "0", "-i", url, "-t", &time];
    let times = ["-fps_mode", "passthrough", "-enc_time_base:v", "1:90000", "-f", "null", "-"];
    let said = run("ffmpeg", &[arguments.as_slice(), &times].concat()).await;
    assert_eq!(said.stderr, "", "FFmpeg as viewer complained");
}

/// What FFmpeg finds in a stream: one object an elementary stream.
pub async fn probe(url: &str) -> Vec<Value> {
    let said = run("ffprobe", &["-v", "error", "-of", "json", "-show_streams", url]).await;
    let found: Value = serde_json::from_str(&said.stdout).expect("JSON of ffprobe");
    found["streams"].as_array().expect("streams").clone()
}

struct Said {
    stdout: String,
    stderr: String,
}

async fn run(program: &str, arguments: &[&str]) -> Said {
    let output = Command::new(program).args(arguments).kill_on_drop(true).output();
    let output = timeout(PATIENCE + Duration::from_secs(30), output).await.expect("in time");
    let output = output.unwrap_or_else(|error| panic!("{program} cannot be run: {error}"));
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).trim().to_owned();
    let said = Said { stdout: text(output.stdout), stderr: text(output.stderr) };
    assert!(output.status.success(), "{program} failed: {}", said.stderr);
    said
}

/// A playlist as a player got it.
#[derive(Debug)]
pub struct Playlist(MediaPlaylist);

impl Playlist {
    /// Fetches a camera's playlist. `None` when there is none (404).
    pub async fn fetch(nginx: &Nginx, id: &str) -> Option<Self> {
        let response = nginx.client().get(nginx.playlist(id)).send().await.expect("an answer");
        if response.status() == 404 {
            return None;
        }
        assert_eq!(response.status(), 200, "{}", response.text().await.unwrap_or_default());
        let text = response.bytes().await.expect("a whole answer");
        let playlist = m3u8_rs::parse_media_playlist_res(&text).expect("a playlist");
        Some(Self(playlist))
    }

    /// Number of the last segment.
    pub fn last(&self) -> u64 {
        self.0.media_sequence + self.0.segments.len() as u64 - 1
    }

    /// File names of the segments with their init segments.
    pub fn files(&self) -> Vec<String> {
        let maps =
            self.0.segments.iter().filter_map(|segment| Some(segment.map.as_ref()?.uri.clone()));
        maps.chain(self.0.segments.iter().map(|segment| segment.uri.clone())).collect()
    }

    /// Init segments in the order of the playlist.
    pub fn maps(&self) -> Vec<String> {
        self.0
            .segments
            .iter()
            .filter_map(|segment| Some(segment.map.as_ref()?.uri.clone()))
            .collect()
    }

    /// Breaks in the time line, those that have left the window included.
    pub fn discontinuities(&self) -> u64 {
        self.0.discontinuity_sequence + self.shown_discontinuities()
    }

    /// Breaks in the time line between the segments of the window.
    pub fn shown_discontinuities(&self) -> u64 {
        self.0.segments.iter().filter(|segment| segment.discontinuity).count() as u64
    }

    /// Seconds of the longest segment.
    pub fn longest(&self) -> f32 {
        self.0.segments.iter().map(|segment| segment.duration).fold(0.0, f32::max)
    }

    pub fn has_ended(&self) -> bool {
        self.0.end_list
    }
}
