//! Watching what was recorded: playlists, ranges of files, pictures, exports, rights, and share links.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::support::{ApiResponse, Camera, Jpeg, Manager, Nginx, eventually, merged, until};

mod exports;
mod h264;
mod injection;
mod long;
mod rights;

const ADMIN: &str = "admin-secret-000001";
const USER: &str = "user-secret-0000001";
const REPLAYING_USER: &str = "user-secret-0000002";
const VIEWER: &str = "viewer-secret-00001";
const REPLAYING_VIEWER: &str = "viewer-secret-00002";
const KEYS: &str = "boss:admin:admin-secret-000001,42:user:user-secret-0000001,\
                    43:user+recordings:user-secret-0000002,wall:viewer:viewer-secret-00001,\
                    44:user+recordings:user-secret-0000003,\
                    guard:viewer+recordings:viewer-secret-00002";
/// Width and height of the test camera's pictures, and the squares of its clock.
const SIZE: (usize, usize) = (640, 360);
const CLOCK_BITS: usize = 32;
/// Milliseconds of a picture.
const FRAME: i64 = 40;

/// A camera that was recorded for some seconds, and the service that plays the recordings.
struct Setup {
    camera: Camera,
    manager: Manager,
    nginx: Nginx,
    /// The time of the recording, in Unix milliseconds.
    from: i64,
    to: i64,
}

impl Setup {
    /// Records the camera `cam` of user 43 for this many seconds. Another camera, `other`, is not recorded.
    async fn new(mount: &str, seconds: i64) -> Self {
        let camera = Camera::start_with(&["--gop-seconds", "1"]).await;
        let settings = [
            ("API_KEYS", KEYS),
            ("RECORDINGS_DIRS", "recordings"),
            // The stream ends soon after the recording.
            ("CLEANUP_DELAY_SECONDS", "2"),
            ("CLEANUP_INTERVAL_SECONDS", "0.2"),
        ];
        let manager = Manager::start(&settings).await;
        let dir = manager.dir().path().join("recordings");
        let dirs = dir.to_str().expect("a path");
        let nginx = Nginx::start_with_settings(&manager, &[("RECORDINGS_DIRS", dirs)]).await;
        let (mut setup, owner) = (Self { camera, manager, nginx, from: 0, to: 0 }, "43");
        let link = setup.camera.link(mount);
        let cam = json!({ "owner": owner, "rtsp_link": link });
        for (id, mode) in [("cam", "continuous"), ("other", "off")] {
            let recording = json!({ "recording": { "mode": mode } });
            setup.put(id, merged(cam.clone(), recording)).await;
        }
        let timeline = eventually("the camera is recorded", || async {
            let timeline = setup.timeline().await?;
            (timeline.1 - timeline.0 >= seconds * 1000).then_some(timeline)
        });
        setup.from = timeline.await.0;
        setup.put("cam", merged(cam, json!({ "recording": { "mode": "off" } }))).await;
        until("the recorded files are closed", || async { are_closed(&dir) }).await;
        setup.to = setup.timeline().await.expect("a recording").1;
        setup
    }

    async fn put(&self, id: &str, camera: Value) {
        let path = format!("/api/cameras/{id}");
        let response = self.manager.call(ADMIN, Method::PUT, &path, &camera).await;
        assert!(response.status.is_success(), "{response:?}");
    }

    /// Returns the beginning and the end of all recordings, in Unix milliseconds.
    async fn timeline(&self) -> Option<(i64, i64)> {
        let list = self.call(ADMIN, Method::GET, "/api/recordings", Value::Null).await.body;
        let stream = list["streams"].get(0)?.clone();
        assert_eq!((&stream["id"], &stream["camera"]), (&json!("cam"), &json!("cam")));
        Some((millis(&stream["from"]), millis(&stream["to"])))
    }

    async fn call(&self, key: &str, method: Method, path: &str, body: Value) -> ApiResponse {
        self.manager.call(key, method, path, &body).await
    }

    /// Returns the query for a part of the recording. Times are in milliseconds since its beginning.
    fn query(&self, from: i64, to: i64) -> String {
        format!("from={}&to={}", text(self.from + from), text(self.from + to))
    }

    /// Sends a request with the key of the admin to nginx.
    async fn get(&self, path: &str) -> reqwest::Response {
        self.get_with(path, ADMIN, &HeaderMap::new()).await
    }

    async fn get_with(&self, path: &str, key: &str, headers: &HeaderMap) -> reqwest::Response {
        let request = self.nginx.client().get(self.nginx.url(path)).headers(headers.clone());
        let request = if key.is_empty() { request } else { request.header("x-api-key", key) };
        request.send().await.expect("a response")
    }

    /// Returns the multivariant playlist, the media playlist or the I-frame playlist.
    async fn playlist(&self, name: &str, query: &str) -> String {
        let response = self.get(&format!("/recordings/cam/{name}?{query}")).await;
        assert_eq!(response.status(), 200, "{name}");
        assert_eq!(response.headers()["cache-control"], "no-store");
        response.text().await.expect("a playlist")
    }

    /// Creates a session or a share link, and returns the body of the response.
    async fn create(&self, path: &str, body: Value) -> Value {
        let response = self.call(ADMIN, Method::POST, path, body).await;
        assert_eq!(response.status, 201, "{response:?}");
        response.body
    }

    /// Gets a file of the recordings of `cam` with a playback token.
    async fn get_as(&self, token: &str, name: &str, headers: &HeaderMap) -> reqwest::Response {
        self.get_with(&format!("/play/{token}/cam/recordings/{name}"), "", headers).await
    }

    /// Checks that a token with a limit permits only the ranges of the playlist, and only with exactly one header.
    async fn expect_only_listed_ranges(&self, token: &str, file: &str) {
        let playlist = self
            .get_as(token, "stream.m3u8", &HeaderMap::new())
            .await
            .text()
            .await
            .expect("a playlist");
        let ranges: Vec<(u64, u64)> = playlist.lines().filter_map(byte_range).collect();
        assert!((2..=4).contains(&ranges.len()), "{playlist}");
        for (offset, length) in &ranges {
            let response = self
                .get_as(token, file, &range(&format!("bytes={offset}-{}", offset + length - 1)))
                .await;
            assert_eq!(response.status(), 206, "{playlist}");
            for (name, value) in
                [("cache-control", "no-store"), ("access-control-allow-origin", "*")]
            {
                let values: Vec<_> = response.headers().get_all(name).iter().collect();
                assert_eq!(values, [value]);
            }
            assert_eq!(response.content_length(), Some(*length));
        }
        let (first, last) = (ranges[0].0, ranges[ranges.len() - 1]);
        let end = last.0 + last.1;
        let mut conditional = range(&format!("bytes={first}-{}", first + 9));
        conditional.insert("if-range", "\"x\"".parse().expect("a header"));
        let mut twice = range(&format!("bytes={first}-{}", first + 9));
        twice.append("range", "bytes=0-99999999".parse().expect("a header"));
        let forbidden = [
            HeaderMap::new(),
            conditional,
            twice,
            range(&format!("bytes={}-{first}", first - 1)),
            range(&format!("bytes={}-{end}", end - 1)),
            range(&format!("bytes={first}-")),
            range("bytes=-100"),
            range(&format!("bytes={first}-{},0-9", first + 9)),
            range("bytes=0-1,2-3"),
            range("bytes=x"),
        ];
        for headers in forbidden {
            let response = self.get_as(token, file, &headers).await;
            assert_eq!(response.status(), 403, "{headers:?}");
            let direct =
                self.manager.client().get(self.manager.url(&format!("/recordings/cam/{file}")));
            let direct = direct.headers(headers.clone()).header("x-playback-token", token);
            assert_eq!(direct.send().await.expect("a response").status(), 403, "{headers:?}");
        }
    }
}

/// Returns whether all recorded files below `dir` have a table of frames, which is added when a file is closed.
fn are_closed(dir: &Path) -> bool {
    let entries = std::fs::read_dir(dir).into_iter().flatten();
    entries.map(|entry| entry.expect("an entry").path()).all(|path| {
        let is_recording = path.extension().is_some_and(|extension| extension == "mp4");
        let has_table = || {
            let bytes = std::fs::read(&path).unwrap_or_default();
            bytes.windows(15).any(|part| part == b"uuidframe-table")
        };
        are_closed(&path) && (!is_recording || has_table())
    })
}

fn millis(time: &Value) -> i64 {
    let time = humantime::parse_rfc3339(time.as_str().expect("a time")).expect("a time");
    let since = time.duration_since(std::time::UNIX_EPOCH).expect("a time after 1970");
    i64::try_from(since.as_millis()).expect("a time")
}

fn text(millis: i64) -> String {
    let since = Duration::from_millis(u64::try_from(millis).expect("a time after 1970"));
    humantime::format_rfc3339_millis(std::time::UNIX_EPOCH + since).to_string()
}

fn range(value: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("range", value.parse().expect("a header"));
    headers
}

/// Decodes a file or a playlist with the system's FFmpeg, which must print no warnings. Returns the times that the
/// camera's clock shows in all pictures, in milliseconds.
async fn clocks(input: &str) -> Vec<u32> {
    let mut command = tokio::process::Command::new("ffmpeg");
    command.args(["-v", "warning"]);
    if input.starts_with("http") && !input.contains("/play/") {
        command.args(["-headers", "X-API-Key: admin-secret-000001\r\n"]);
    }
    command.args(["-i", input, "-map", "0:v", "-f", "rawvideo", "-pix_fmt", "gray"]);
    command.args(["-fps_mode", "passthrough", "-"]).stdin(Stdio::null());
    let output = command.output().await.expect("ffmpeg");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.trim().is_empty(), "{input}: {errors}");
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

/// Returns the times of all pictures of a playlist, in milliseconds since the first one.
async fn times(playlist: &str) -> Vec<i64> {
    let mut command = tokio::process::Command::new("ffprobe");
    command.args(["-v", "error", "-headers", "X-API-Key: admin-secret-000001\r\n"]);
    command.args([
        "-select_streams",
        "v",
        "-show_entries",
        "packet=pts",
        "-of",
        "csv=p=0",
        playlist,
    ]);
    let output = command.stdin(Stdio::null()).output().await.expect("ffprobe");
    let text = String::from_utf8(output.stdout).expect("text");
    let ticks: Vec<i64> =
        text.lines().map(|line| line.trim_matches(',').parse().expect("a time")).collect();
    ticks.iter().map(|time| (time - ticks[0]) / 90).collect()
}

fn since(clock: u32, first: u32) -> i64 {
    i64::from(clock.wrapping_sub(first))
}

/// Asserts that no picture is missing between the first and the last one.
fn assert_no_picture_is_missing(clocks: &[u32]) {
    for pair in clocks.windows(2) {
        let distance = since(pair[1], pair[0]);
        assert!((1..=200).contains(&distance), "{distance} ms between two pictures: {clocks:?}");
    }
    // A busy machine delays pictures of the camera, but the number of pictures is right.
    let [first, .., last] = clocks else { panic!("{clocks:?}") };
    let expected = since(*last, *first) / FRAME;
    let count = i64::try_from(clocks.len()).expect("a number") - 1;
    assert!((count - expected).abs() <= 2, "{count} pictures instead of {expected}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ffmpeg_plays_what_was_recorded() {
    let setup = Setup::new("h264-aac", 8).await;
    let query = setup.query(0, setup.to - setup.from);
    let media = setup.playlist("stream.m3u8", &query).await;
    until("the recording is complete", || async {
        setup.playlist("stream.m3u8", &query).await.ends_with("#EXT-X-ENDLIST\n")
    })
    .await;
    let vod = setup.playlist("stream.m3u8", &query).await;
    assert!(vod.contains("#EXT-X-PLAYLIST-TYPE:VOD\n"), "{vod}");
    // A segment that was listed once is listed forever.
    let segments = |text: &str| -> BTreeSet<String> {
        let ranges = text.lines().filter(|line| line.starts_with("#EXT-X-BYTERANGE"));
        ranges.map(str::to_owned).collect()
    };
    assert!(segments(&media).is_subset(&segments(&vod)), "{media}\n{vod}");
    let url = |name: &str, query: &str| setup.nginx.url(&format!("/recordings/cam/{name}?{query}"));
    let all = clocks(&url("stream.m3u8", &query)).await;
    assert!(all.len() >= 190, "{} pictures", all.len());
    assert_no_picture_is_missing(&all);
    assert_eq!(clocks(&url("index.m3u8", &query)).await, all);
    let keyframes = clocks(&url("iframes.m3u8", &query)).await;
    let expected: Vec<_> = all.iter().copied().step_by(25).collect();
    assert_eq!(keyframes, expected);
    // A part begins with the keyframe before it.
    let part = clocks(&url("stream.m3u8", &setup.query(2500, 5000))).await;
    assert_eq!(part[0], all[50]);
    assert!((since(part[part.len() - 1], all[0]) - 5000).abs() <= 1000, "{}", part.len());
    let playlist = setup.playlist("stream.m3u8", &setup.query(2500, 5000)).await;
    let start = playlist.lines().find_map(|line| line.strip_prefix("#EXT-X-START:TIME-OFFSET="));
    let start: f64 =
        start.expect("a start").trim_end_matches(",PRECISE=YES").parse().expect("a number");
    assert!((start - 0.5).abs() < 0.05, "{start}");

    // Without nginx, the manager sends the ranges.
    let direct = setup.manager.url(&format!("/recordings/cam/stream.m3u8?{query}"));
    assert_eq!(clocks(&direct).await, all);
    // The I-frame playlist and the media playlist are named with their time.
    let index = setup.playlist("index.m3u8", &query).await;
    assert_eq!(index.matches(&format!("?{query}")).count(), 2, "{index}");
    assert!(index.contains("CODECS=\"avc1.") && index.contains(",mp4a.40.2\""), "{index}");
    let missing =
        setup.get(&format!("/recordings/cam/stream.m3u8?{}", setup.query(-9000, -5000))).await;
    assert_eq!(missing.status(), 404);
    let problem: Value = missing.json().await.expect("a problem");
    assert_eq!(problem["code"], "no_recordings");
    let available = format!("{} to ", text(setup.from));
    assert!(problem["detail"].as_str().expect("a text").contains(&available), "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_exact_and_can_be_continued() {
    let setup = Setup::new("h264-aac", 8).await;
    let dir = tempfile::tempdir().expect("a directory");
    let save = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).expect("a file");
        path.to_str().expect("a path").to_owned()
    };
    let query = setup.query(0, setup.to - setup.from);
    let response = setup.get(&format!("/recordings/cam/export.mp4?{query}")).await;
    assert_eq!(response.status(), 200);
    let all = response.bytes().await.expect("a file");
    let all = clocks(&save("all.mp4", &all)).await;
    assert!(all.len() >= 190, "{} pictures", all.len());
    assert_no_picture_is_missing(&all);

    for (from, to) in [(3010, 5010), (2990, 3000), (5, 1020), (4000, 7777)] {
        let path = format!("/recordings/cam/export.mp4?{}", setup.query(from, to));
        let response = setup.get(&path).await;
        let headers = response.headers().clone();
        let name = headers["content-disposition"].to_str().expect("a name");
        assert!(name.starts_with("attachment; filename=\"cam_20") && name.ends_with("Z.mp4\""));
        let bytes = response.bytes().await.expect("a file");
        assert_eq!(headers["content-length"], bytes.len().to_string().as_str());
        let shown = clocks(&save("part.mp4", &bytes)).await;
        // The first picture is the one that was shown at the beginning, and the last one is the one before the end.
        let first = usize::try_from(from / FRAME).expect("a number");
        let end = usize::try_from((to - 1) / FRAME).expect("a number");
        let is_exact = |begin: usize, last: usize| all.get(begin..=last) == Some(&shown[..]);
        // The time of a picture is rounded to milliseconds, and the camera's pictures are not exactly 40 ms apart.
        let near = |place: usize| place.saturating_sub(1)..=place + 1;
        let found = near(first).find_map(|begin| near(end).find(|last| is_exact(begin, *last)));
        assert!(
            found.is_some(),
            "{from} to {to}: {} pictures from {:?}",
            shown.len(),
            shown.first()
        );

        // A range of the export is part of the whole.
        let (begin, last) = (bytes.len() / 3, bytes.len() * 2 / 3);
        let mut headers_of_range = range(&format!("bytes={begin}-{last}"));
        headers_of_range.insert("if-range", headers["etag"].clone());
        let part = setup.get_with(&path, ADMIN, &headers_of_range).await;
        assert_eq!(part.status(), 206);
        assert!(part.bytes().await.expect("a range") == bytes[begin..=last]);
        headers_of_range.insert("if-range", "\"another\"".parse().expect("a header"));
        let whole = setup.get_with(&path, ADMIN, &headers_of_range).await;
        assert_eq!(
            (whole.status(), whole.content_length()),
            (200.try_into().expect("a status"), Some(bytes.len() as u64))
        );
        let after = range(&format!("bytes={}-", bytes.len()));
        assert_eq!(setup.get_with(&path, ADMIN, &after).await.status(), 416);
        let head = setup.nginx.client().head(setup.nginx.url(&path)).header("x-api-key", ADMIN);
        let head = head.send().await.expect("a response");
        assert_eq!(head.headers()["content-length"], bytes.len().to_string().as_str());

        let digest = path.replace("/recordings/cam/export.mp4", "/api/recordings/cam/export");
        let digest = setup.call(ADMIN, Method::GET, &digest, Value::Null).await.body;
        let mut expected = String::new();
        for byte in Sha256::digest(&bytes) {
            write!(expected, "{byte:02x}").expect("text");
        }
        assert_eq!((&digest["sha256"], &digest["bytes"]), (&json!(expected), &json!(bytes.len())));
        assert_eq!(digest["gaps"], json!([]));
    }
    let path = format!("/recordings/cam/export.mp4?{}", setup.query(2000, 6000));
    let bytes = setup.get(&path).await.bytes().await.expect("a file");
    let path = save("sound.mp4", &bytes);
    assert_sound_fits(&path);
    let texts = subtitles(&path);
    for second in [2000, 3500, 5900] {
        let time = text((setup.from + second) / 1000 * 1000);
        let date = time.replace('T', " ").replace(".000Z", " UTC");
        assert!(texts.contains(&date), "{date}: {texts}");
    }
    let gap = setup.get(&format!("/recordings/cam/export.mp4?{}", setup.query(-5000, 2000))).await;
    let gaps = gap.headers()["x-gaps"].to_str().expect("a text").to_owned();
    assert_eq!(gaps, format!("{}/{}", text(setup.from - 5000), text(setup.from)));
}

/// Asserts that picture, sound and clock of a file begin together and are equally long.
fn assert_sound_fits(path: &str) {
    let arguments = [
        "-v",
        "error",
        "-show_entries",
        "stream=codec_type,start_time,duration",
        "-of",
        "json",
        path,
    ];
    let output = Command::new("ffprobe").args(arguments).output().expect("ffprobe");
    let probe: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let streams = probe["streams"].as_array().expect("streams");
    let kinds: Vec<_> = streams.iter().map(|stream| &stream["codec_type"]).collect();
    assert_eq!(kinds, ["video", "audio", "subtitle"], "{probe}");
    for stream in streams {
        let number = |name: &str| -> f64 {
            stream[name].as_str().expect("a number").parse().expect("a number")
        };
        assert!(number("start_time").abs() < 0.05, "{probe}");
        assert!((number("duration") - 4.0).abs() < 0.1, "{probe}");
    }
}

/// Returns the texts of a file.
fn subtitles(path: &str) -> String {
    let arguments = ["-v", "error", "-i", path, "-map", "0:s", "-f", "srt", "-"];
    let output = Command::new("ffmpeg").args(arguments).stdin(Stdio::null()).output();
    String::from_utf8(output.expect("ffmpeg").stdout).expect("texts")
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_are_those_of_their_time() {
    let setup = Setup::new("h264", 6).await;
    let query = setup.query(0, setup.to - setup.from);
    let all = clocks(&setup.nginx.url(&format!("/recordings/cam/stream.m3u8?{query}"))).await;
    let keyframes =
        clocks(&setup.nginx.url(&format!("/recordings/cam/iframes.m3u8?{query}"))).await;
    let times = times(&setup.nginx.url(&format!("/recordings/cam/stream.m3u8?{query}"))).await;
    assert_eq!(times.len(), all.len());
    for at in [0, 1000, 2345, 4999] {
        let time = text(setup.from + at);
        let exact = setup.get(&format!("/recordings/cam/snapshot.jpg?at={time}")).await;
        assert_eq!(exact.headers()["x-taken-at"], time.as_str());
        let exact = Jpeg::new(exact.bytes().await.expect("a picture"));
        assert_eq!(exact.size(), (640, 360));
        let shown = exact.clock().await;
        // The time of a picture is rounded to milliseconds.
        let at_time = |at: i64| all[times.iter().rposition(|time| *time <= at).unwrap_or(0)];
        let near = [at_time(at - 1), at_time(at + 1)];
        assert!(near.contains(&shown), "{shown} instead of {near:?}");
        for _ in 0..2 {
            let small =
                setup.get(&format!("/recordings/cam/thumbnail.jpg?at={time}&width=320")).await;
            let small = Jpeg::new(small.bytes().await.expect("a picture"));
            assert_eq!(small.size(), (320, 180));
            // A busy camera leaves out pictures, so keyframes are not at fixed places.
            let until = since(shown, all[0]);
            let keyframe = keyframes.iter().rfind(|clock| since(**clock, all[0]) <= until);
            assert_eq!(Some(&small.clock().await), keyframe);
        }
    }
    let late =
        setup.get(&format!("/recordings/cam/snapshot.jpg?at={}", text(setup.to + 1000))).await;
    assert_eq!(late.status(), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn recordings_need_the_right_and_a_camera_of_the_caller() {
    let setup = Setup::new("h264", 4).await;
    let (from, to) = (setup.from, setup.to);
    let query = setup.query(500, 2500);
    let playlist = setup.playlist("stream.m3u8", &query).await;
    let file = playlist.lines().find(|line| !line.starts_with('#')).expect("a file").to_owned();
    let at = format!("at={}", text(from + 1000));
    let days = format!("limits={},{}", text(from - 1000), text(to));
    let media = [
        format!("index.m3u8?{query}"),
        format!("stream.m3u8?{query}"),
        format!("iframes.m3u8?{query}"),
        format!("timeline.json?{query}"),
        format!("days.json?{days}"),
        format!("activity.json?{query}"),
        format!("export.mp4?{query}"),
        format!("snapshot.jpg?{at}"),
        format!("thumbnail.jpg?{at}"),
        file.clone(),
    ];
    let keys = [
        (ADMIN, 200),
        (REPLAYING_VIEWER, 200),
        (REPLAYING_USER, 200),
        (VIEWER, 403),
        (USER, 403),
        ("no", 401),
        ("", 401),
    ];
    for name in &media {
        for (key, expected) in keys {
            let response =
                setup.get_with(&format!("/recordings/cam/{name}"), key, &HeaderMap::new()).await;
            assert_eq!(response.status(), expected, "{name} as {key}");
        }
    }
    // Another user has the right, but not for this camera.
    let foreign = json!({ "owner": "42", "rtsp_link": setup.camera.link("h264") });
    setup.put("other", foreign).await;
    let response = setup
        .get_with(
            &format!("/recordings/other/stream.m3u8?{query}"),
            REPLAYING_USER,
            &HeaderMap::new(),
        )
        .await;
    assert_eq!(response.status(), 403);

    // Sessions have the right only if they were created with it, by a caller who has it.
    let session = |body: Value| merged(json!({ "user": "anna", "camera": "cam" }), body);
    let path = "/api/playback/sessions";
    let rights = json!({ "rights": ["recordings"] });
    for (key, expected) in [(VIEWER, 403), (REPLAYING_VIEWER, 201), (REPLAYING_USER, 201)] {
        let response = setup.call(key, Method::POST, path, session(rights.clone())).await;
        assert_eq!(response.status, expected, "{key}");
    }
    for (body, expected) in [
        (json!({ "rights": ["everything"] }), 400),
        (json!({ "from": text(from), "to": text(to) }), 400),
        (json!({ "rights": ["recordings"], "from": text(from) }), 400),
        (json!({ "rights": ["recordings"], "from": text(to), "to": text(from) }), 400),
    ] {
        let response = setup.call(ADMIN, Method::POST, path, session(body)).await;
        assert_eq!(response.status, expected, "{response:?}");
    }
    let live = setup.create(path, session(json!({}))).await;
    let replay = setup.create(path, session(rights)).await;
    for name in &media {
        for (session, expected) in [(&live, 403), (&replay, 200)] {
            let token = session["token"].as_str().expect("a token");
            let url = format!("/play/{token}/cam/recordings/{name}");
            assert_eq!(
                setup.get_with(&url, "", &HeaderMap::new()).await.status(),
                expected,
                "{name}"
            );
            let other = format!("/play/{token}/other/recordings/{name}");
            assert_eq!(setup.get_with(&other, "", &HeaderMap::new()).await.status(), 403, "{name}");
        }
    }
    // The segments of a playlist have relative URLs, which contain the token again.
    let token = replay["token"].as_str().expect("a token");
    let url = setup.nginx.url(&format!("/play/{token}/cam/recordings/index.m3u8?{query}"));
    assert!(clocks(&url).await.len() > 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_to_a_time_is_obeyed_everywhere() {
    let setup = Setup::new("h264", 8).await;
    // Tokens have whole seconds.
    let begin = setup.from / 1000 * 1000 + 3000;
    let (from, to) = (begin, begin + 2000);
    let shared = json!({ "from": text(from), "to": text(to), "label": "insurance" });
    let share = setup.create("/api/recordings/cam/shares", shared).await;
    let limited = json!({
        "user": "anna", "camera": "cam", "rights": ["recordings"], "from": text(from), "to": text(to),
    });
    let session = setup.create("/api/playback/sessions", limited).await;
    let part = |from: i64, to: i64| format!("from={}&to={}", text(from), text(to));
    let whole = setup.playlist("stream.m3u8", &part(setup.from, setup.to)).await;
    let file = whole.lines().find(|line| !line.starts_with('#')).expect("a file").to_owned();
    for token in [&share["token"], &session["token"]] {
        let token = token.as_str().expect("a token");
        let get = async |name: &str, headers: &HeaderMap| setup.get_as(token, name, headers).await;
        let none = HeaderMap::new();
        let table = [
            (format!("stream.m3u8?{}", part(from, to)), 200),
            ("stream.m3u8".to_owned(), 200),
            (format!("stream.m3u8?{}", part(from - 1, to)), 403),
            (format!("stream.m3u8?{}", part(from, to + 1)), 403),
            (format!("index.m3u8?{}", part(from, to + 1)), 403),
            (format!("iframes.m3u8?{}", part(from - 1, to)), 403),
            (format!("export.mp4?{}", part(from, to)), 200),
            (format!("export.mp4?{}", part(from, to + 1)), 403),
            (format!("snapshot.jpg?at={}", text(from)), 200),
            (format!("snapshot.jpg?at={}", text(from - 1)), 403),
            (format!("snapshot.jpg?at={}", text(to)), 403),
            (format!("thumbnail.jpg?at={}", text(to - 1)), 200),
            (format!("thumbnail.jpg?at={}", text(to)), 403),
            (format!("timeline.json?{}", part(to, to + 1000)), 403),
        ];
        for (name, expected) in table {
            assert_eq!(get(&name, &none).await.status(), expected, "{name}");
        }
        let timeline: Value =
            get(&format!("timeline.json?{}", part(from - 9000, to + 9000)), &none)
                .await
                .json()
                .await
                .expect("JSON");
        let times = [&timeline["first"], &timeline["spans"][0]["from"]].map(millis);
        assert_eq!(times, [from, from]);
        assert_eq!(millis(&timeline["spans"][0]["to"]), to);
        let days = format!(
            "days.json?limits={},{},{},{}",
            text(from - 9000),
            text(from),
            text(to),
            text(to + 9000)
        );
        let days: Value = get(&days, &none).await.json().await.expect("JSON");
        assert_eq!(days["days"], json!([false, true, false]));

        setup.expect_only_listed_ranges(token, &file).await;
    }
    let token = share["token"].as_str().expect("a token");
    let live = setup.nginx.get(&format!("/play/{token}/cam/stream.m3u8")).await;
    assert_eq!(live.status(), 403, "a share link does not permit watching live");
    let shown = clocks(&setup.nginx.url(share["hls_url"].as_str().expect("a path"))).await;
    assert!((45..=80).contains(&shown.len()), "{} pictures", shown.len());

    // A share link is listed and can be deleted.
    let list = setup.call(ADMIN, Method::GET, "/api/recordings/cam/shares", Value::Null).await.body;
    assert_eq!(list["shares"][0]["share_id"], share["share_id"]);
    assert_eq!(list["shares"][0]["label"], "insurance");
    let sessions = setup.call(ADMIN, Method::GET, "/api/playback/sessions", Value::Null).await.body;
    assert_eq!(sessions["sessions"].as_array().map(Vec::len), Some(1), "{sessions}");
    let other =
        setup.call(REPLAYING_VIEWER, Method::GET, "/api/recordings/cam/shares", Value::Null).await;
    assert_eq!(other.body["shares"], json!([]));
    let path = format!("/api/recordings/cam/shares/{}", share["share_id"].as_str().expect("an id"));
    assert_eq!(setup.call(REPLAYING_VIEWER, Method::DELETE, &path, Value::Null).await.status, 404);
    assert_eq!(setup.call(ADMIN, Method::DELETE, &path, Value::Null).await.status, 204);
    assert_eq!(setup.nginx.get(share["hls_url"].as_str().expect("a path")).await.status(), 401);
}

/// Returns offset and length of a line with a range of bytes.
fn byte_range(line: &str) -> Option<(u64, u64)> {
    let (length, offset) = line.strip_prefix("#EXT-X-BYTERANGE:")?.split_once('@')?;
    Some((offset.parse().ok()?, length.parse().ok()?))
}

#[tokio::test(flavor = "multi_thread")]
async fn unlimited_files_are_sent_in_every_form() {
    let setup = Setup::new("h264", 3).await;
    let playlist = setup.playlist("stream.m3u8", &setup.query(0, 3000)).await;
    let file = playlist.lines().find(|line| !line.starts_with('#')).expect("a file");
    let path = format!("/recordings/cam/{file}");
    let whole = setup.get(&path).await.bytes().await.expect("a file");
    let size = whole.len();
    let mut conditional = range("bytes=5-9");
    conditional.insert("if-range", "\"x\"".parse().expect("a header"));
    let table = [
        (range("bytes=0-0"), 206, 0..1),
        (range("bytes=5-9"), 206, 5..10),
        (conditional, 206, 5..10),
        (range("bytes=5-"), 206, 5..size),
        (range("bytes=-7"), 206, size - 7..size),
        (range("bytes=5-99999999"), 206, 5..size),
        (range("bytes=0-1,4-5"), 200, 0..size),
        (HeaderMap::new(), 200, 0..size),
    ];
    let direct = setup.manager.url(&path);
    for (headers, status, expected) in table {
        for url in [setup.nginx.url(&path), direct.clone()] {
            let request = setup.nginx.client().get(&url).headers(headers.clone());
            let response = request.header("x-api-key", ADMIN).send().await.expect("a response");
            assert_eq!(response.status(), status, "{url} {headers:?}");
            assert_eq!(response.headers()["content-type"], "video/mp4");
            assert!(!response.headers().contains_key("etag"), "{url}");
            assert!(!response.headers().contains_key("last-modified"), "{url}");
            let bytes = response.bytes().await.expect("bytes");
            assert!(bytes == whole[expected.clone()], "{url} {headers:?}");
        }
    }
    for (name, value) in [("x-accel-redirect", "/internal/recordings/0/"), ("x-sendfile-type", "x")]
    {
        let request = setup.nginx.client().get(setup.nginx.url(&path)).header(name, value);
        let response = request.header("x-api-key", ADMIN).send().await.expect("a response");
        assert!(response.bytes().await.expect("bytes") == whole, "{name}");
    }
    for path in ["/internal/recordings/0/", "/internal/recordings/0/.stream-manager-recordings"] {
        assert_eq!(setup.get(path).await.status(), 404, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_parameters_are_refused() {
    let setup = Setup::new("h264", 2).await;
    let from = text(setup.from);
    let table = [
        ("stream.m3u8".to_owned(), 400),
        ("stream.m3u8?from=".to_owned(), 400),
        ("stream.m3u8?from=yesterday".to_owned(), 400),
        ("stream.m3u8?from=1".to_owned(), 400),
        (format!("stream.m3u8?from={from}&from={from}"), 400),
        (format!("stream.m3u8?from={from}&to={from}"), 400),
        (format!("stream.m3u8?from={from}&to=9999-12-31T23:59:59Z"), 400),
        ("stream.m3u8?from=1970-01-01T00:00:00Z".to_owned(), 404),
        (format!("stream.m3u8?from={from}%0A%23EXT"), 400),
        (format!("stream.m3u8?from={from}%22&to={from}"), 400),
        (format!("export.mp4?from={from}&to=2999-01-01T00:00:00Z"), 400),
        ("export.mp4?from=9999-12-31T23:59:59Z".to_owned(), 400),
        ("snapshot.jpg".to_owned(), 400),
        ("snapshot.jpg?at=x".to_owned(), 400),
        (format!("snapshot.jpg?at={from}&width=1"), 400),
        (format!("snapshot.jpg?at={from}&width=99999"), 400),
        ("days.json".to_owned(), 400),
        ("days.json?limits=".to_owned(), 400),
        (format!("days.json?limits={from}"), 400),
        (format!("days.json?limits={from},{from}"), 400),
        (format!("days.json?limits={}", vec![from.as_str(); 500].join(",")), 400),
        ("timeline.json?from=1970-01-01T00:00:00Z&to=2999-01-01T00:00:00Z".to_owned(), 400),
        ("1-1.mp4".to_owned(), 404),
        ("0-0.mp4".to_owned(), 404),
        ("99999999999999999999-1.mp4".to_owned(), 404),
        ("01-1.mp4".to_owned(), 404),
    ];
    for (name, expected) in table {
        let response = setup.get(&format!("/recordings/cam/{name}")).await;
        assert_eq!(response.status(), expected, "{name}");
        let problem: Value = response.json().await.expect("a problem");
        assert!(
            problem["code"].is_string()
                && !problem["detail"].as_str().expect("a text").contains('\n')
        );
    }
    // The manager itself checks what nginx does not pass on.
    for (path, expected) in [
        ("/recordings/cam/..%2f..%2fcameras.db", 404),
        ("/recordings/cam/.stream-manager-recordings", 404),
        ("/recordings/..%2fcam/stream.m3u8", 400),
        ("/recordings/cam~main/stream.m3u8", 400),
        ("/recordings/cam'--/stream.m3u8", 400),
        ("/recordings/unknown/stream.m3u8", 404),
        ("/api/recordings/cam%00", 400),
        ("/api/recordings/cam/shares/..%2f..%2fx", 404),
    ] {
        let method = if path.contains("shares") { Method::DELETE } else { Method::GET };
        let request = setup.manager.client().request(method, setup.manager.url(path));
        let response = request.bearer_auth(ADMIN).send().await.expect("a response");
        assert_eq!(response.status(), expected, "{path}");
    }
    let shares = "/api/recordings/cam/shares";
    let (from, to) = (text(setup.from), text(setup.to));
    for body in [
        json!({ "from": from, "to": from }),
        json!({ "from": from }),
        json!({ "from": "x", "to": to }),
        json!({ "from": from, "to": "2999-01-01T00:00:00Z" }),
        json!({ "from": "1970-01-01T00:00:00Z", "to": to }),
        json!({ "from": from, "to": to, "ttl_seconds": 0 }),
        json!({ "from": from, "to": to, "ttl_seconds": 7_776_001 }),
        json!({ "from": from, "to": to, "label": "" }),
        json!({ "from": from, "to": to, "rights": ["live"] }),
    ] {
        let response = setup.call(ADMIN, Method::POST, shares, body.clone()).await;
        assert_eq!(response.status, 400, "{body}: {response:?}");
    }
}
