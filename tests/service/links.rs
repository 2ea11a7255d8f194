//! Links as people paste them, cameras that redirect, and login methods.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{ApiResponse, Manager, RawCamera};

/// Starts a stream, and returns the response.
async fn start(manager: &Manager, id: &str, link: &str) -> ApiResponse {
    manager.post("/api/stream/start", &json!({ "indicator_id": id, "rtsp_link": link })).await
}

/// Tests a link, and returns the response.
async fn test(manager: &Manager, link: &str) -> ApiResponse {
    manager.post("/api/cameras/test", &json!({ "rtsp_link": link })).await
}

/// Asserts that a start and a test of a link fail with this status and code. Returns the detail of the start.
async fn both_fail(manager: &Manager, link: &str, status: u16, code: &str) -> String {
    let id = format!("failing-{:x}", fastrand::u64(..));
    let started = start(manager, &id, link).await;
    for response in [test(manager, link).await, started.clone()] {
        assert_eq!(response.status, status, "{link}: {response:?}");
        assert_eq!(response.body["code"], code, "{link}: {response:?}");
    }
    started.body["detail"].as_str().expect("a string").to_owned()
}

/// Returns whether the tests run with the lean FFmpeg, which `deploy/ffmpeg/build` makes.
fn is_lean() -> bool {
    let program = std::env::var("TEST_FFMPEG_BIN").ok().filter(|program| !program.is_empty());
    let program = program.unwrap_or_else(|| "ffmpeg".to_owned());
    let output = Command::new(program).arg("-version").output().expect("FFmpeg");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().next().is_some_and(|line| line.contains("-lean"))
}

/// Returns the camera's link with these credentials.
fn with(user_info: &str, camera: &RawCamera) -> String {
    camera.link().replacen("rtsp://", &format!("rtsp://{user_info}@"), 1)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pasted_link_can_have_spaces_around_it_and_special_characters_in_the_password() {
    let manager = Manager::start(&[]).await;
    let blank = RawCamera::start("--auth md5").await;
    let slash = RawCamera::start("--auth md5 --password pa/s@s%w:rd").await;
    let long = RawCamera::start(&format!("--auth md5 --password {}", "!".repeat(60))).await;
    let links = [
        format!(" \t{}\r\n", with("admin", &blank).replacen("rtsp", "RTSP", 1)),
        with("admin:", &blank),
        // The password contains a slash. The manager finds that the host begins after the @, because
        // "admin:pa" is not a host with a port.
        with("admin:pa/s%40s%w:rd", &slash),
        with("admin:pa%2Fs@s%25w%3Ard", &slash),
        // In this form, the credentials are longer than the 127 bytes that FFmpeg reads.
        with(&format!("admin:{}", "%21".repeat(60)), &long),
    ];
    for (number, link) in links.iter().enumerate() {
        let response = start(&manager, &format!("cam-{number}"), link).await;
        assert_eq!(response.status, 200, "{link:?}: {response:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_spelling_of_the_same_link_does_not_cause_a_new_connection() {
    let manager = Manager::start(&[]).await;
    let camera = RawCamera::start("--auth md5 --password a!b").await;
    let link = with("admin:a!b", &camera);
    for spelling in [link.clone(), format!("{link}?"), link.replace('!', "%21"), format!(" {link}")]
    {
        let response = start(&manager, "cam", &spelling).await;
        assert_eq!(response.status, 200, "{spelling}: {response:?}");
    }
    assert_eq!(camera.connections(), 1);
    // The manager connects once to try the changed link, and once to play it.
    let changed = start(&manager, "cam", &link.replace("/live", "/other")).await;
    assert_eq!((changed.status.as_u16(), camera.connections()), (200, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_followed_without_showing_the_targets_password() {
    let manager = Manager::start(&[("RUST_LOG", "trace")]).await;
    let target = RawCamera::start("--auth md5 --password other-s3cret").await;
    let location = format!("{}?token=other-t0ken", with("admin:other-s3cret", &target));
    let camera = RawCamera::start(&format!("--redirect {location}")).await;
    let tested = test(&manager, &camera.link()).await;
    assert_eq!(tested.status, 200, "{tested:?}");
    let started = start(&manager, "cam", &camera.link()).await;
    assert_eq!(started.status, 200, "{started:?}");
    assert_eq!(target.requests("PLAY").len(), 2);
    let log = manager.get("/api/streams/cam/log").await;
    let lines = log.body.to_string();
    assert!(lines.contains("edirect") && lines.contains("***@127.0.0.1"), "{lines}");
    let status = manager.status("cam").await;
    for text in [lines, status.to_string(), manager.log()] {
        assert!(!text.contains("other-s3cret") && !text.contains("other-t0ken"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_fails_soon_if_the_camera_redirects_to_itself() {
    let manager = Manager::start(&[]).await;
    let camera = RawCamera::start("--redirect rtsp://127.0.0.1:{port}/live").await;
    let began = Instant::now();
    let detail = both_fail(&manager, &camera.link(), 502, "source_unsupported").await;
    assert!(detail.contains("redirect"), "{detail}");
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    // Debian's FFmpeg follows redirects until the manager ends the process.
    let limit = if is_lean() { 12 } else { 400 };
    let requests = camera.requests("DESCRIBE").len();
    assert!(requests <= limit, "{requests} requests");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lean_ffmpeg_connects_to_the_target_of_a_redirect_only_if_it_is_permitted() {
    if !is_lean() {
        return;
    }
    let manager = Manager::start(&[("CAMERA_DENY_NETS", "127.0.0.2")]).await;
    let target = RawCamera::start("--address 127.0.0.2").await;
    let location = target.link().replace("127.0.0.1", "127.0.0.2");
    let camera = RawCamera::start(&format!("--redirect {location}")).await;
    let detail = both_fail(&manager, &camera.link(), 403, "source_forbidden").await;
    assert!(detail.contains("redirects"), "{detail}");
    let camera = RawCamera::start("--redirect http://127.0.0.1/").await;
    let detail = both_fail(&manager, &camera.link(), 502, "source_unsupported").await;
    assert!(detail.contains("redirects"), "{detail}");
    assert_eq!(target.connections(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_works_or_the_error_names_what_the_camera_requires() {
    let manager = Manager::start(&[]).await;
    let lean = is_lean();
    for (methods, debian_supports_it) in [
        ("basic", true),
        ("md5", true),
        ("sha256+md5", true),
        ("md5+sha256", false),
        ("sha256", false),
    ] {
        let camera = RawCamera::start(&format!("--auth {methods} --password right")).await;
        let link = with("admin:right", &camera);
        if debian_supports_it || lean {
            let response = start(&manager, "cam", &link).await;
            assert_eq!(response.status, 200, "{methods}: {response:?}");
            let wrong = with("admin:wrong", &camera);
            let detail = both_fail(&manager, &wrong, 502, "source_unauthorized").await;
            assert!(detail.contains("rejected"), "{methods}: {detail}");
        } else {
            let code = "source_login_unsupported";
            let detail = both_fail(&manager, &link, 502, code).await;
            assert!(detail.contains("SHA-256"), "{methods}: {detail}");
        }
        let detail = both_fail(&manager, &camera.link(), 502, "source_unauthorized").await;
        assert!(detail.contains("requires"), "{methods}: {detail}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_error_for_an_unusable_link_shows_what_to_change() {
    let manager = Manager::start(&[]).await;
    let cases = [
        ("rtsp://admin:12/3@127.0.0.1:1/x".to_owned(), "%2F"),
        ("rtsp://127.0.0.1:0/x".to_owned(), "1 to 65535"),
        (format!("rtsp://a:{}@127.0.0.1:1/x", "x".repeat(126)), "127 characters"),
        (format!("rtsp://127.0.0.1:1/{}", "x".repeat(1023)), "1023 characters"),
    ];
    for (link, reason) in cases {
        let stored = json!({ "rtsp_link": link });
        let responses = [
            start(&manager, "cam", &link).await,
            test(&manager, &link).await,
            manager.put("/api/cameras/cam", &stored).await,
        ];
        for response in responses {
            let (status, code) = (response.status.as_u16(), &response.body["code"]);
            assert_eq!((status, code), (400, &Value::from("invalid_source")), "{response:?}");
            let detail = response.body["detail"].as_str().expect("a string");
            assert!(detail.contains(reason), "{link}: {detail}");
        }
    }
}
