//! The live socket, directly and through nginx.

use std::process::Command;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use nix::sys::signal::Signal;
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    Camera, LiveFrame, LiveMessage, LiveSocket, Manager, Metrics, Nginx, TIMEOUT,
    assert_continuous, eventually, merged, start_live, start_service, until,
};

const ADMIN: &str = "admin-secret-000001";
const KEYS: (&str, &str) = ("API_KEYS", "shop:admin:admin-secret-000001");
const PATH: &str = "/streams/cam/live";

/// Collects the init segment and the frames for `seconds` after the first frame. Checks the numbers of the frames.
async fn record(socket: &mut LiveSocket, seconds: u64) -> (Vec<u8>, Vec<LiveFrame>) {
    let (mut init, mut frames) = (Vec::new(), Vec::<LiveFrame>::new());
    let mut until = None;
    while until.is_none_or(|until| Instant::now() < until) {
        match socket.next().await {
            LiveMessage::Init(bytes) => init = bytes,
            LiveMessage::Frame(frame) => {
                until = until.or(Some(Instant::now() + Duration::from_secs(seconds)));
                let last = frames.last().map_or(0, |last| last.number);
                assert_eq!(frame.number, last + 1, "a frame is missing");
                frames.push(frame);
            }
            LiveMessage::Text(message) => assert_eq!(message["type"], "media", "{message}"),
            LiveMessage::Closed(end) => panic!("the socket is closed: {end:?}"),
        }
    }
    (init, frames)
}

/// Decodes a recording with FFmpeg, and checks that no frame is missing.
async fn decode(init: &[u8], frames: &[LiveFrame]) {
    let dir = TempDir::new().expect("a directory");
    let file = dir.path().join("recording.mp4");
    let all: Vec<_> = frames.iter().map(|frame| frame.data.as_slice()).collect();
    std::fs::write(&file, [init, &all.concat()].concat()).expect("a file");
    assert_continuous(file.to_str().expect("a path")).await;
}

/// Decodes raw video of H.264 with FFmpeg. Returns the number of pictures.
fn decode_raw<'a>(frames: impl Iterator<Item = &'a LiveFrame>) -> usize {
    let dir = TempDir::new().expect("a directory");
    let file = dir.path().join("recording.h264");
    std::fs::write(&file, frames.flat_map(|frame| frame.data.clone()).collect::<Vec<_>>())
        .expect("a file");
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "h264", "-i"])
        .arg(file)
        .args(["-fps_mode", "passthrough", "-f", "framecrc", "-"])
        .output()
        .expect("ffmpeg");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "FFmpeg reported errors");
    String::from_utf8_lossy(&output.stdout).lines().filter(|line| !line.starts_with('#')).count()
}

/// Returns the code in the response to a WebSocket that is refused, and the status.
async fn refusal(address: &str, path: &str, headers: &[(&str, &str)]) -> (u16, String) {
    let refused = LiveSocket::connect(address, path, headers).await.err().expect("a refusal");
    let body: Value = serde_json::from_str(&refused.1).unwrap_or_else(|_| panic!("{refused:?}"));
    (refused.0, body["code"].as_str().expect("a code").to_owned())
}

/// Opens a live socket that gets this response to its first text.
async fn answered(address: &str, text: &str) -> (String, u16, String) {
    let mut socket = LiveSocket::connect(address, PATH, &[]).await.expect("a socket");
    socket.send_text(text.to_owned()).await;
    socket.end().await
}

/// Returns the names of the fields of `watch` for MP4 with H.264 and AAC.
fn mp4() -> Value {
    json!({ "codecs": ["avc1.640029", "mp4a.40.2"] })
}

/// Returns the number of open files of a process.
fn open_files(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).expect("a process").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_joiner_gets_the_last_keyframe_at_once_and_then_each_frame() {
    let (camera, manager, nginx) = start_live("h264-aac", &[]).await;
    for address in [manager.address().to_owned(), nginx.address()] {
        let mut socket = LiveSocket::watch(&address, "cam").await;
        let began = Instant::now();
        let media = socket.next_text().await;
        let mime = media["mime"].as_str().expect("a MIME type");
        assert!(mime.starts_with("video/mp4; codecs=\"avc1.") && mime.contains(",mp4a.40.2"));
        let (init, frames) = record(&mut socket, 3).await;
        assert!(frames[0].is_video && frames[0].is_keyframe);
        assert!(began.elapsed() < Duration::from_secs(4), "the first frame was late");
        decode(&init, &frames).await;
        let newest = frames.iter().rfind(|frame| frame.is_video).expect("video");
        assert!((-0.1..2.0).contains(&newest.age()), "{} s", newest.age());
        assert!(frames.iter().filter(|frame| !frame.is_video).count() > 100, "audio is missing");
    }
    assert_eq!(camera.plays(), 1, "the sockets caused another connection");
    let metrics = Metrics::fetch(&manager).await;
    assert_eq!(metrics.value("stream_manager_live_frames_skipped_total"), Some(0.0));
}

/// Of a group of pictures that is too long, the manager keeps only the keyframe.
#[tokio::test(flavor = "multi_thread")]
async fn a_joiner_of_a_long_group_of_pictures_gets_a_gap_after_the_keyframe() {
    let camera = Camera::start_with(&["--gop-seconds", "20"]).await;
    let manager = Manager::start(&[]).await;
    manager.play("cam", &camera.link("h264-aac")).await;
    until("the group of pictures is too long", || async {
        manager.status("cam").await["uptime_seconds"].as_f64() > Some(13.5)
    })
    .await;
    let mut socket = LiveSocket::watch(manager.address(), "cam").await;
    assert!(socket.next_frame().await.is_keyframe);
    let (missed, last, _) = until_gap(&mut socket).await;
    assert!((300..600).contains(&missed), "{missed}");
    assert!(last < 50, "the gap is filled with silence: {last}");
    let next = socket.next_frame().await;
    assert!(next.is_keyframe && next.age() < 1.0, "{} s", next.age());
}

#[tokio::test(flavor = "multi_thread")]
async fn raw_frames_can_be_decoded_and_the_audio_is_as_the_camera_sends_it() {
    let (_camera, manager, nginx) = start_live("h264-pcmu", &[]).await;
    // In the middle of a group of pictures, so that the joiner gets older frames.
    until("some seconds have passed", || async {
        manager.status("cam").await["uptime_seconds"].as_f64() > Some(3.0)
    })
    .await;
    let mut socket = LiveSocket::connect(&nginx.address(), PATH, &[]).await.expect("a socket");
    socket.request(json!({ "format": "raw", "codecs": ["avc1", "ulaw"] })).await;
    let media = socket.next_text().await;
    assert!(media["video"]["codec"].as_str().expect("a codec").starts_with("avc1."), "{media}");
    assert_eq!((&media["video"]["width"], &media["video"]["height"]), (&json!(640), &json!(360)));
    let audio = json!({ "codec": "ulaw", "sample_rate": 8000, "channels": 1 });
    assert_eq!(media["audio"], audio);
    let (_, frames) = record(&mut socket, 3).await;
    let video: Vec<_> = frames.iter().filter(|frame| frame.is_video).collect();
    assert!(video[0].is_keyframe && video[0].data.starts_with(&[0, 0, 0, 1, 0x67]));
    assert_eq!(decode_raw(video.iter().copied()), video.len());
    let old = video.iter().take_while(|frame| frame.is_old).count();
    assert!(video[old..].iter().all(|frame| !frame.is_old), "only the burst is old");
    assert!(old > 0 || video[0].age() < 0.5, "the burst is not marked");
    assert!(video[old].age() < 1.0, "the last frame of the burst is the newest");
    let sound: Vec<_> = frames.iter().filter(|frame| !frame.is_video).collect();
    let old = sound.iter().take_while(|frame| frame.is_old).count();
    assert!(sound[old..].iter().all(|frame| !frame.is_old), "only the burst is old");
    assert!(old > 0 || sound[0].age() < 0.5, "the burst of the audio is not marked");
    let bytes: usize =
        frames.iter().filter(|frame| !frame.is_video).map(|frame| frame.data.len()).sum();
    assert!(bytes > 20_000, "8000 bytes per second for 3 s: {bytes}");
}

#[tokio::test(flavor = "multi_thread")]
async fn video_that_browsers_cannot_play_is_converted_or_refused() {
    let (camera, manager, nginx) = start_service(&[]).await;
    for (id, mount, options) in
        [("hevc", "hevc-aac", json!({})), ("mjpeg", "mjpeg", json!({ "video": "copy" }))]
    {
        let body = merged(json!({ "rtsp_link": camera.link(mount) }), options);
        assert_eq!(manager.put(&format!("/api/cameras/{id}"), &body).await.status, 201);
    }
    let path = "/streams/hevc/live";
    let mut socket = LiveSocket::connect(&nginx.address(), path, &[]).await.expect("a socket");
    socket.request(json!({ "format": "raw", "codecs": ["avc1", "mp4a"] })).await;
    let media = socket.next_text().await;
    assert!(media["video"]["codec"].as_str().expect("a codec").starts_with("avc1."), "{media}");
    let (_, frames) = record(&mut socket, 3).await;
    let video: Vec<_> = frames.iter().filter(|frame| frame.is_video).collect();
    assert_eq!(decode_raw(video.iter().copied()), video.len());
    let mut socket = LiveSocket::watch(&nginx.address(), "mjpeg").await;
    let unsupported = "source_unsupported".to_owned();
    assert_eq!(socket.end().await, (unsupported.clone(), 1013, unsupported));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_picture_size_comes_with_a_new_description_and_a_keyframe() {
    let (_camera, manager, _nginx) = start_live("h264-resize", &[]).await;
    let mut socket = LiveSocket::watch(manager.address(), "cam").await;
    let mut raw = LiveSocket::connect(manager.address(), PATH, &[]).await.expect("a socket");
    raw.request(json!({ "format": "raw", "codecs": ["avc1"] })).await;
    let (first, raw_first) = (socket.next_text().await, raw.next_text().await);
    assert_eq!(raw_first["video"]["width"], 640);
    // Both must be read all the time, because a client that does not read skips frames.
    let (second, raw_second) = tokio::join!(socket.next_text(), raw.next_text());
    assert_eq!((&second["type"], &second["epoch"]), (&json!("media"), &first["epoch"]));
    assert_eq!(raw_second["video"]["width"], 320, "{raw_second}");
    assert!(raw.next_frame().await.is_keyframe);
    let LiveMessage::Init(init) = socket.next().await else { panic!("no init segment") };
    let mut frames = vec![socket.next_frame().await];
    assert!(frames[0].is_keyframe);
    for _ in 0..20 {
        frames.push(socket.next_frame().await);
    }
    decode(&init, &frames).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_stays_open_while_the_camera_restarts() {
    let (mut camera, manager, nginx) = start_live("h264", &[]).await;
    let mut socket = LiveSocket::watch(&nginx.address(), "cam").await;
    let first = socket.next_text().await;
    camera.kill();
    let away = socket.next_text().await;
    assert_eq!((&away["type"], &away["state"]), (&json!("state"), &json!("reconnecting")));
    assert_ne!(away["detail"], "");
    camera.restart().await;
    let mut next = socket.next_text().await;
    let mut states = Vec::new();
    while next["type"] != "media" {
        states.push(next["state"].as_str().expect("a state").to_owned());
        next = socket.next_text().await;
    }
    assert!(next["epoch"].as_u64() > first["epoch"].as_u64(), "{first} {next}");
    let LiveMessage::Init(init) = socket.next().await else { panic!("no init segment") };
    let mut frames = Vec::new();
    // The state and the frames come from different sources, so their order is not fixed.
    while frames.len() < 25 || states.last().is_none_or(|state| state != "live") {
        match socket.next().await {
            LiveMessage::Frame(frame) => frames.push(frame),
            LiveMessage::Text(state) => {
                states.push(state["state"].as_str().expect("a state").to_owned());
            }
            other => panic!("{other:?}"),
        }
    }
    decode(&init, &frames).await;
    assert_eq!(manager.status("cam").await["state"], "live");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_ends_all_sockets_and_does_not_wait_for_clients_that_read_nothing() {
    let (_camera, mut manager, nginx) = start_live("h264", &[]).await;
    let mut sockets = Vec::new();
    for address in [manager.address().to_owned(), nginx.address()] {
        let mut socket = LiveSocket::watch(&address, "cam").await;
        socket.next_frame().await;
        sockets.push(socket);
    }
    let _silent = LiveSocket::connect(manager.address(), PATH, &[]).await.expect("a socket");
    let mut stuck = LiveSocket::connect_with_small_buffer(manager.address(), PATH).await;
    stuck.request(mp4()).await;
    let began = Instant::now();
    manager.signal(Signal::SIGTERM);
    for mut socket in sockets {
        let expected = ("shutting_down".to_owned(), 1012, "shutting_down".to_owned());
        assert_eq!(socket.end().await, expected);
    }
    assert_eq!(manager.exit_code().await, 0, "{}", manager.log());
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    let manager = manager.start_again(&[]).await;
    let mut socket = LiveSocket::watch(manager.address(), "cam").await;
    assert!(socket.next_frame().await.is_keyframe, "a socket starts the stream of a known camera");
}

/// Opens a socket of the camera "hevc", whose video is converted, and waits for the first frame.
async fn watch_converted(camera: &Camera, manager: &Manager) -> LiveSocket {
    let body = json!({ "rtsp_link": camera.link("hevc-aac") });
    assert!(manager.put("/api/cameras/hevc", &body).await.status.is_success());
    let mut socket = LiveSocket::watch(manager.address(), "hevc").await;
    socket.next_frame().await;
    socket
}

/// The transcoder runs as long as it has readers, so the end of the stream must not wait for the socket.
#[tokio::test(flavor = "multi_thread")]
async fn converted_video_ends_at_once_with_the_stream_and_with_the_manager() {
    let (camera, mut manager, _nginx) = start_service(&[]).await;
    let mut socket = watch_converted(&camera, &manager).await;
    let began = Instant::now();
    let ended = "stream_ended".to_owned();
    let (stopped, end) = tokio::join!(manager.stop_stream("hevc"), socket.end());
    assert_eq!((stopped.status.as_u16(), end), (200, (ended.clone(), 1000, ended)));
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    let mut socket = watch_converted(&camera, &manager).await;
    let began = Instant::now();
    manager.signal(Signal::SIGTERM);
    let (exit_code, end) = tokio::join!(manager.exit_code(), socket.end());
    let closing = "shutting_down".to_owned();
    assert_eq!((exit_code, end), (0, (closing.clone(), 1012, closing)), "{}", manager.log());
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    assert!(!manager.log().contains("did not end in time"), "{}", manager.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_keeps_the_stream_running_and_counts_as_a_viewer() {
    let settings = [
        ("CLEANUP_DELAY_SECONDS", "2"),
        ("CLEANUP_INTERVAL_SECONDS", "0.2"),
        ("MAX_VIEWERS_PER_STREAM", "1"),
    ];
    let (_camera, manager, _nginx) = start_live("h264", &settings).await;
    let mut socket = LiveSocket::watch(manager.address(), "cam").await;
    record_for(&mut socket, Duration::from_secs(5)).await;
    let status = manager.status("cam").await;
    assert_eq!((&status["state"], &status["viewers"]), (&json!("live"), &json!(1)), "{status}");
    let other = [("user-agent", "another player")];
    let mut refused = LiveSocket::connect(manager.address(), PATH, &other).await.expect("open");
    refused.request(mp4()).await;
    let full = "too_many_viewers".to_owned();
    assert_eq!(refused.end().await, (full.clone(), 1013, full));
    drop(socket);
    until("the stream has ended", || async { manager.ffmpegs().is_empty() }).await;
}

/// Receives messages for this time.
async fn record_for(socket: &mut LiveSocket, time: Duration) {
    let until = Instant::now() + time;
    while Instant::now() < until {
        socket.next_frame().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_stream_and_errors_of_a_start_are_reported_with_their_reason() {
    let (camera, manager, nginx) = start_live("h264", &[]).await;
    let mut socket = LiveSocket::watch(&nginx.address(), "cam").await;
    socket.next_frame().await;
    assert_eq!(manager.stop_stream("cam").await.status, 200);
    let last = socket.next_text().await;
    let is_end = last["type"] == "end" && last["code"] == "stream_ended";
    assert!(is_end, "a state precedes the end: {last}");
    assert_eq!(socket.end().await, (String::new(), 1000, "stream_ended".to_owned()));

    let missing = json!({ "rtsp_link": camera.link("missing") });
    assert_eq!(manager.put("/api/cameras/broken", &missing).await.status, 201);
    let mut socket = LiveSocket::watch(&nginx.address(), "broken").await;
    let missing = "source_not_found".to_owned();
    assert_eq!(socket.end().await, (missing.clone(), 1013, missing));
    for address in [manager.address().to_owned(), nginx.address()] {
        let unknown = refusal(&address, "/streams/unknown/live", &[]).await;
        assert_eq!(unknown, (404, "unknown_camera".to_owned()));
    }
    let plain = nginx.get(PATH).await;
    assert_eq!(plain.status(), 400);
    let problem: Value = plain.json().await.expect("JSON");
    assert_eq!(problem["code"], "invalid_request", "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_client_is_confirmed() {
    let (_camera, manager, nginx) = start_live("h264", &[]).await;
    for address in [manager.address().to_owned(), nginx.address()] {
        let mut socket = LiveSocket::watch(&address, "cam").await;
        socket.next_frame().await;
        // A close frame without a code is confirmed without a code, which is reported as 1005.
        assert_eq!(socket.close().await, Some(1005));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_messages_end_only_their_own_socket() {
    let (_camera, manager, nginx) = start_live("h264", &[]).await;
    let mut healthy = LiveSocket::watch(manager.address(), "cam").await;
    healthy.next_frame().await;
    let long = format!(r#"{{"type":"watch","codecs":["avc1"],"x":"{}"}}"#, "x".repeat(5000));
    for address in [manager.address().to_owned(), nginx.address()] {
        let table = [
            ("", "invalid_request", 1008),
            ("garbage", "invalid_request", 1008),
            (r#"{"type":"other"}"#, "invalid_request", 1008),
            (r#"{"type":"ack","number":1}"#, "invalid_request", 1008),
            (r#"{"type":"watch","codecs":"avc1"}"#, "invalid_request", 1008),
            (r#"{"type":"watch","codecs":[]}"#, "codec_unsupported", 1008),
            (r#"{"type":"watch","codecs":["hvc1.1.6.L93.B0","mp4a"]}"#, "codec_unsupported", 1008),
            (&long, "body_too_large", 1009),
        ];
        for (text, code, close_code) in table {
            let expected = (code.to_owned(), close_code, code.to_owned());
            assert_eq!(answered(&address, text).await, expected, "{text}");
        }
        let mut socket = LiveSocket::watch(&address, "cam").await;
        socket.next_frame().await;
        socket.request(mp4()).await;
        assert_eq!(socket.end().await.0, "invalid_request", "watch was sent twice");
        let mut socket = LiveSocket::watch(&address, "cam").await;
        socket.next_frame().await;
        socket.send_bytes(b"\0").await;
        assert_eq!(socket.end().await.0, "invalid_request", "a binary message");
    }
    healthy.next_frame().await;
}

/// Starts the service with an API key and the camera "cam". Returns a playback session as well.
async fn start_with_session(cors_origins: &str) -> (Camera, Manager, Nginx, Value) {
    let camera = Camera::start().await;
    let manager = Manager::start(&[KEYS]).await;
    let nginx = Nginx::start_with(&manager, cors_origins).await;
    for id in ["cam", "other"] {
        let (path, body) =
            (format!("/api/cameras/{id}"), json!({ "rtsp_link": camera.link("h264") }));
        assert_eq!(manager.call(ADMIN, Method::PUT, &path, &body).await.status, 201);
    }
    let session = create_session(&manager, json!({ "user": "anna", "camera": "cam" })).await;
    (camera, manager, nginx, session)
}

async fn create_session(manager: &Manager, body: Value) -> Value {
    let response = manager.call(ADMIN, Method::POST, "/api/playback/sessions", &body).await;
    assert_eq!(response.status, 201, "{response:?}");
    response.body
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_needs_permission_and_ends_with_it() {
    let (_camera, manager, nginx, session) = start_with_session("*").await;
    let token = session["token"].as_str().expect("a token");
    let (address, direct) = (nginx.address(), manager.address());
    let play = |id: &str| format!("/play/{token}/{id}/live");
    let (bearer, wrong) = (format!("Bearer {token}"), format!("Bearer {token}x"));
    for (address, path, headers, expected) in [
        (&*address, PATH, &[][..], 401),
        (direct, PATH, &[], 401),
        (direct, PATH, &[("authorization", wrong.as_str())], 401),
        (direct, "/streams/other/live", &[("authorization", bearer.as_str())], 403),
        (&address, "/play/x.y.z/cam/live", &[], 401),
        (&address, &play("other"), &[], 403),
        (&address, &play("unknown"), &[], 403),
    ] {
        assert_eq!(refusal(address, path, headers).await.0, expected, "{path} {headers:?}");
    }
    let mut key = LiveSocket::connect(direct, PATH, &[("x-api-key", ADMIN)]).await.expect("open");
    key.request(mp4()).await;
    key.next_frame().await;
    let elsewhere = [("origin", "https://elsewhere.example")];
    let mut socket = LiveSocket::connect(&address, &play("cam"), &elsewhere).await.expect("open");
    socket.request(mp4()).await;
    socket.next_frame().await;
    let short = json!({ "user": "ben", "camera": "cam", "ttl_seconds": 4 });
    let short = create_session(&manager, short).await;
    let path = format!("/api/playback/sessions/{}", session["session_id"].as_str().expect("an id"));
    assert_eq!(manager.call(ADMIN, Method::DELETE, &path, &json!({})).await.status, 204);
    let began = Instant::now();
    let unauthorized = ("unauthorized".to_owned(), 1008, "unauthorized".to_owned());
    assert_eq!(socket.end().await, unauthorized, "the session was ended");
    assert!(began.elapsed() < Duration::from_secs(2));
    assert_eq!(refusal(&address, &play("cam"), &[]).await.0, 401, "the session was ended");
    let token_path = format!("/play/{}/cam/live", short["token"].as_str().expect("a token"));
    let mut socket = LiveSocket::connect(&address, &token_path, &[]).await.expect("open");
    socket.request(mp4()).await;
    socket.next_frame().await;
    assert_eq!(socket.end().await, unauthorized, "the session has expired");
    assert_eq!(refusal(&address, &token_path, &[]).await.0, 401, "the session has expired");
    key.next_frame().await;
    let tail = token.rsplit('.').next().expect("a signature");
    assert!(!nginx.log().contains(tail), "a token is in the log: {}", nginx.log());
    assert!(!manager.log().contains(tail), "a token is in the log");
    assert!(nginx.log().contains("/play/***/cam/live"), "{}", nginx.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_is_used_only_by_pages_of_this_or_of_a_listed_origin() {
    let (_camera, manager, nginx, session) = start_with_session("https://shop.example").await;
    let any = Nginx::start_with(&manager, "*").await;
    let cookie = format!("playback={}", session["token"].as_str().expect("a token"));
    let own = format!("http://{}", nginx.address());
    let direct = format!("http://{}", manager.address());
    for (address, origin, is_allowed) in [
        (&*nginx.address(), None, true),
        (&nginx.address(), Some(&*own), true),
        (&nginx.address(), Some("https://shop.example"), true),
        (&nginx.address(), Some("https://shop.example.evil"), false),
        (&nginx.address(), Some("http://127.0.0.1:1"), false),
        (&nginx.address(), Some("null"), false),
        (&any.address(), Some("https://shop.example"), false),
        (manager.address(), Some(&*direct), true),
        (manager.address(), Some("https://shop.example"), false),
    ] {
        let mut headers = vec![("cookie", cookie.as_str())];
        headers.extend(origin.map(|origin| ("origin", origin)));
        // nginx must not pass on what a client claims.
        headers.extend((address != manager.address()).then_some(("x-listed-origin", "null")));
        let result = LiveSocket::connect(address, PATH, &headers).await;
        assert_eq!(result.is_ok(), is_allowed, "{address} {origin:?}");
        if let Err((status, body)) = result {
            assert!(status == 403 && body.contains("CORS_ORIGINS"), "{status} {body}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_acknowledges_too_late_skips_to_a_keyframe_and_learns_what_it_missed() {
    let (_camera, manager, _nginx) = start_live("h264", &[]).await;
    let mut socket = LiveSocket::watch(manager.address(), "cam").await;
    // The client receives all frames, as a proxy or a kernel does for a client whose line is slow.
    let mut last = 0;
    while last < 60 {
        last = socket.next_frame().await.number;
    }
    socket.acknowledge(last).await;
    let began = Instant::now();
    let (first_missed, newest, _) = until_gap(&mut socket).await;
    let sent_for = began.elapsed();
    assert!(sent_for > Duration::from_secs(1), "skipped after {sent_for:?}");
    // Nothing is sent until the client has caught up.
    assert!(socket.next_within(Duration::from_millis(500)).await.is_none());
    socket.acknowledge(newest).await;
    let (missed, ..) = until_gap(&mut socket).await;
    assert!(missed > 5, "{missed}");
    let next = socket.next_frame().await;
    assert!(next.is_keyframe && next.number == newest + 1);
    let metrics = Metrics::fetch(&manager).await;
    let skipped = metrics.value("stream_manager_live_frames_skipped_total").expect("a number");
    assert!((skipped - f64::from(first_missed + missed)).abs() < 0.5, "{skipped}");
}

/// Receives frames until the message `gap`. Returns the number of frames in it, the number of the last frame, and of the
/// last picture.
async fn until_gap(socket: &mut LiveSocket) -> (u32, u32, u32) {
    let (mut last, mut last_video) = (0, 0);
    let deadline = Instant::now() + TIMEOUT;
    loop {
        assert!(Instant::now() < deadline, "no gap");
        match socket.next().await {
            LiveMessage::Frame(frame) => {
                last = frame.number;
                if frame.is_video {
                    last_video = frame.number;
                }
            }
            LiveMessage::Text(message) if message["type"] == "gap" => {
                let frames = message["frames"].as_u64().expect("a number");
                return (u32::try_from(frames).expect("a small number"), last, last_video);
            }
            LiveMessage::Closed(end) => panic!("{end:?}"),
            LiveMessage::Init(_) | LiveMessage::Text(_) => {}
        }
    }
}

/// Players show no sound while they are muted, and acknowledge pictures only.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_acknowledges_only_pictures_catches_up() {
    let (_camera, manager, _nginx) = start_live("h264-aac", &[]).await;
    let mut socket = LiveSocket::watch(manager.address(), "cam").await;
    let mut acknowledged = 0;
    while acknowledged < 60 {
        let frame = socket.next_frame().await;
        acknowledged = if frame.is_video { frame.number } else { acknowledged };
    }
    socket.acknowledge(acknowledged).await;
    let (_, last, last_video) = until_gap(&mut socket).await;
    assert!(last_video <= last);
    let began = Instant::now();
    socket.acknowledge(last_video).await;
    assert!(socket.next_frame().await.is_keyframe);
    // The distance of two keyframes is 2 s. Without the acknowledgement, the client would wait for 3 s at least.
    assert!(began.elapsed() < Duration::from_millis(2900), "{:?}", began.elapsed());
}

/// A decoder may never show the last picture, so a client cannot always acknowledge it.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_stops_to_acknowledge_gets_frames_again() {
    let (_camera, manager, _nginx) = start_live("h264", &[]).await;
    let mut socket = LiveSocket::watch(manager.address(), "cam").await;
    let first = socket.next_frame().await.number;
    socket.acknowledge(first).await;
    until_gap(&mut socket).await;
    let began = Instant::now();
    assert!(socket.next_frame().await.is_keyframe);
    let waited = began.elapsed();
    assert!((2.5..6.0).contains(&waited.as_secs_f64()), "{waited:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_client_skips_to_a_keyframe_without_acknowledging() {
    let camera =
        Camera::start_with(&["--width", "1920", "--height", "1080", "--bitrate", "8000"]).await;
    let manager = Manager::start(&[]).await;
    manager.play("cam", &camera.link("h264")).await;
    let mut socket = LiveSocket::connect_with_small_buffer(manager.address(), PATH).await;
    socket.request(mp4()).await;
    let mut frames = vec![socket.next_frame().await];
    // Until the buffers of the kernel are full, and a second longer.
    eventually("frames are skipped", || async {
        let metrics = Metrics::fetch(&manager).await;
        metrics.value("stream_manager_live_frames_skipped_total").filter(|it| *it > 10.0)
    })
    .await;
    let gap = loop {
        match socket.next().await {
            LiveMessage::Text(message) if message["type"] == "gap" => break message,
            LiveMessage::Frame(frame) => frames.push(frame),
            LiveMessage::Closed(end) => panic!("{end:?}"),
            _ => {}
        }
    };
    assert!(gap["frames"].as_u64() > Some(10), "{gap}");
    let next = socket.next_frame().await;
    assert!(next.is_keyframe && next.age() < 2.0, "{} s", next.age());
    assert_eq!(next.number, frames.last().expect("frames").number + 1);
}

/// Starts the service with a camera "cam" that sends 8 Mbit/s, so that the buffers of a client that does not read are full
/// in less than a second.
async fn start_large() -> (Camera, Manager, Nginx) {
    let size = ["--width", "1920", "--height", "1080", "--bitrate", "8000"];
    let camera = Camera::start_with(&size).await;
    let manager = Manager::start(&[]).await;
    let nginx = Nginx::start(&manager).await;
    manager.play("cam", &camera.link("h264")).await;
    (camera, manager, nginx)
}

/// Returns the address for the socket of this number: of the manager, or of nginx.
fn address_for(number: usize, manager: &Manager, nginx: &Nginx) -> String {
    if number.is_multiple_of(2) { manager.address().to_owned() } else { nginx.address() }
}

/// Opens sockets that read, and returns the age that 99 % of their frames during `time` do not exceed, in seconds. The
/// machine itself can make a few frames old.
async fn usual_age(manager: &Manager, nginx: &Nginx, time: Duration) -> f64 {
    let readers = (0..6).map(|number| async move {
        let mut socket = LiveSocket::watch(&address_for(number, manager, nginx), "cam").await;
        // The burst of the joiner is old.
        record_for(&mut socket, Duration::from_secs(3)).await;
        let (until, mut ages) = (Instant::now() + time, Vec::new());
        while Instant::now() < until {
            ages.push(socket.next_frame().await.age());
        }
        ages
    });
    let mut ages = join_all(readers).await.concat();
    ages.sort_by(f64::total_cmp);
    ages[ages.len() * 99 / 100]
}

/// Opens sockets that never read.
async fn stuck_sockets(manager: &Manager, nginx: &Nginx) -> Vec<LiveSocket> {
    let opening = (0..4).map(|number| async move {
        let address = address_for(number, manager, nginx);
        let mut socket = LiveSocket::connect_with_small_buffer(&address, PATH).await;
        socket.request(mp4()).await;
        socket
    });
    join_all(opening).await
}

/// Returns the memory of the manager in bytes, and the number of frames that clients have missed.
async fn memory_and_skipped(manager: &Manager) -> (f64, f64) {
    let metrics = Metrics::fetch(manager).await;
    let value = |name| metrics.value(name).expect("a number");
    (value("process_resident_memory_bytes"), value("stream_manager_live_frames_skipped_total"))
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_read_nothing_affect_no_others_and_are_closed() {
    let (_camera, manager, nginx) = start_large().await;
    let time = Duration::from_secs(5);
    let alone = usual_age(&manager, &nginx, time).await;
    let (before, skipped_before) = memory_and_skipped(&manager).await;
    let mut stuck = stuck_sockets(&manager, &nginx).await;
    let age = usual_age(&manager, &nginx, time).await;
    let (after, skipped) = memory_and_skipped(&manager).await;
    assert!(age < alone + 0.5, "{age} s instead of {alone} s");
    // In 8 s, each of the four misses up to 200 frames.
    assert!(skipped - skipped_before > 200.0, "{skipped_before} {skipped}");
    assert!(after - before < 8e6, "memory grew from {before} to {after} bytes");
    // Pings show that a client is alive, but not that it takes anything.
    let pinging = async {
        for _ in 0..20 {
            for socket in &mut stuck {
                socket.ping().await;
            }
            tokio::time::sleep(Duration::from_secs(3)).await;
        }
    };
    let closed = Metrics::until(&manager, "the sockets are closed", |metrics| {
        metrics.value("stream_manager_live_sockets") == Some(0.0)
    });
    tokio::select! {
        _ = closed => {}
        () = pinging => panic!("the sockets are still open"),
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes five minutes"]
async fn clients_that_read_nothing_for_minutes_affect_no_others() {
    let (_camera, manager, nginx) = start_large().await;
    let alone = usual_age(&manager, &nginx, Duration::from_secs(5)).await;
    let (before, _) = memory_and_skipped(&manager).await;
    // The manager closes a socket that takes nothing, so the clients come again.
    let sticking = async {
        for _ in 0..12 {
            let _stuck = stuck_sockets(&manager, &nginx).await;
            tokio::time::sleep(Duration::from_secs(25)).await;
        }
    };
    let watching = usual_age(&manager, &nginx, Duration::from_mins(5));
    let (age, ()) = tokio::join!(watching, sticking);
    let (after, _) = memory_and_skipped(&manager).await;
    assert!(age < alone + 0.5, "{age} s instead of {alone} s");
    assert!(after - before < 8e6, "memory grew from {before} to {after} bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_sockets_that_are_dropped_at_once_leave_nothing() {
    let settings = [("CLEANUP_DELAY_SECONDS", "2"), ("CLEANUP_INTERVAL_SECONDS", "0.2")];
    let (_camera, manager, nginx) = start_live("h264", &settings).await;
    let files = open_files(manager.pid());
    let direct = manager.address().to_owned();
    let sockets = join_all((0..300).map(|number| {
        let address = if number % 2 == 0 { direct.clone() } else { nginx.address() };
        async move {
            let mut socket = LiveSocket::watch(&address, "cam").await;
            // Some leave at once, and others while they get frames.
            if number % 3 > 0 {
                socket.next_frame().await;
            }
            socket
        }
    }))
    .await;
    let open = "stream_manager_live_sockets";
    let metrics = Metrics::fetch(&manager).await;
    assert_eq!(metrics.value(open), Some(300.0));
    drop(sockets);
    Metrics::until(&manager, "no socket is open", |metrics| metrics.value(open) == Some(0.0)).await;
    until("the stream has ended", || async {
        manager.get("/api/streams").await.body["streams"] == json!([])
    })
    .await;
    assert!(manager.ffmpegs().is_empty());
    // nginx keeps some connections to the manager open.
    until("all files are closed", || async { open_files(manager.pid()) <= files + 10 }).await;
}
