//! Testing a camera before it is kept: what it sends and a picture of it, or the error that its
//! start would give; and nothing is left of it.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::{Answer, Camera, Manager, processes_that_show, until};

const TEST: &str = "/api/cameras/test";

async fn test(manager: &Manager, link: &str) -> Answer {
    manager.post(TEST, &json!({ "rtsp_link": link })).await
}

/// Width and height of a JPEG, from its frame header.
fn size(jpeg: &[u8]) -> (u16, u16) {
    assert!(jpeg.starts_with(&[0xff, 0xd8]) && jpeg.ends_with(&[0xff, 0xd9]), "no whole JPEG");
    let mut at = 2;
    while jpeg[at + 1] != 0xc0 {
        at += 2 + usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]));
    }
    let number = |at: usize| u16::from_be_bytes([jpeg[at], jpeg[at + 1]]);
    (number(at + 7), number(at + 5))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_that_works_shows_a_picture_and_what_it_sends() {
    let camera = Camera::start_with(&["--width", "960", "--height", "528"]).await;
    let manager = Manager::start(&[]).await;
    for (mount, video, audio) in [
        ("h264", "h264", Value::Null),
        ("h264-pcma", "h264", json!("pcm_alaw")),
        ("h264-late-parameters", "h264", Value::Null),
        ("h264-udp", "h264", Value::Null),
        ("hevc", "hevc", Value::Null),
        ("mjpeg", "mjpeg", Value::Null),
    ] {
        let answer = test(&manager, &camera.link(mount)).await;
        assert_eq!(answer.status, 200, "{mount}: {answer:?}\n{}", manager.log());
        let body = &answer.body;
        assert_eq!(
            (&body["video_codec"], &body["audio_codec"]),
            (&json!(video), &audio),
            "{mount}"
        );
        assert_eq!((&body["width"], &body["height"]), (&json!(960), &json!(528)), "{mount}");
        // After so short a look the rate is what the camera says, or a guess, or unknown.
        assert!(body["frame_rate"].is_null() || body["frame_rate"].is_number(), "{mount}");
        assert!(body["took_seconds"].as_f64().is_some_and(|took| took > 0.0), "{mount}");
        let jpeg = BASE64.decode(body["still"].as_str().expect("a picture")).expect("base64");
        assert_eq!(size(&jpeg), (640, 352), "{mount}");
    }
    assert_eq!(manager.get("/api/cameras").await.body["total"], 0, "nothing is kept");
    assert_eq!(manager.get("/api/streams").await.body["streams"], json!([]));
    until("no FFmpeg is left", || async { manager.ffmpegs().is_empty() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_told_as_a_start_would() {
    let camera = Camera::start().await;
    let manager = Manager::start(&[("CAMERA_DENY_NETS", "127.9.9.9")]).await;
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let silent_port = silent.local_addr().expect("an address").port();
    let wrong = camera.link("private").replace("rtsp://", "rtsp://viewer:wrong-pw-01@");
    for (body, status, code) in [
        (json!({ "rtsp_link": camera.link("nothing-here") }), 502, "source_not_found"),
        (json!({ "rtsp_link": camera.link("private") }), 502, "source_unauthorized"),
        (json!({ "rtsp_link": wrong }), 502, "source_unauthorized"),
        (json!({ "rtsp_link": "rtsp://127.0.0.1:1/x" }), 502, "source_unreachable"),
        (json!({ "rtsp_link": camera.link("audio-only") }), 502, "source_unsupported"),
        (
            json!({ "rtsp_link": format!("rtsp://{}/x", manager.address()) }),
            502,
            "source_unsupported",
        ),
        (json!({ "rtsp_link": camera.link("mjpeg"), "video": "copy" }), 502, "source_unsupported"),
        (
            json!({ "rtsp_link": camera.link("h264-udp"), "transport": "tcp" }),
            502,
            "source_unsupported",
        ),
        (json!({ "rtsp_link": "rtsp://127.9.9.9/x" }), 403, "source_forbidden"),
        (
            json!({ "rtsp_link": format!("rtsp://127.0.0.1:{silent_port}/x") }),
            504,
            "source_timeout",
        ),
        (json!({ "rtsp_link": camera.link("h264"), "profile": "sub" }), 400, "invalid_source"),
        (json!({ "rtsp_link": camera.link("h264"), "profile": "x" }), 400, "invalid_request"),
        (json!({ "rtsp_link": camera.link("h264"), "what": 1 }), 400, "invalid_request"),
        (json!({ "rtsp_link": "http://wrong-pw-02@x" }), 400, "invalid_source"),
        (json!({}), 400, "invalid_source"),
    ] {
        let answer = manager.post(TEST, &body).await;
        let told = (answer.status.as_u16(), &answer.body["code"]);
        assert_eq!(told, (status, &json!(code)), "{body}: {answer:?}");
        assert!(!answer.body.to_string().contains("wrong-pw"), "{answer:?}");
    }
    assert!(!manager.log().contains("wrong-pw"), "{}", manager.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_camera_is_tested_with_its_password_and_nobody_elses() {
    let camera = Camera::start().await;
    let keys = "boss:admin:boss-secret-0001,42:user:user-secret-0001,43:user:user-secret-0002";
    let manager = Manager::start(&[("API_KEYS", keys)]).await;
    let parts = |path: &str| {
        json!({
            "ip": "127.0.0.1", "port": camera.port(), "path": path, "username": "viewer",
        })
    };
    let with = |body: Value, more: Value| {
        let mut body = body;
        body.as_object_mut().expect("fields").extend(more.as_object().expect("fields").clone());
        body
    };
    let known = with(parts("/nothing"), json!({ "password": camera.password() }));
    // It may even be called that.
    let put = manager.ask("user-secret-0001", Method::PUT, "/api/cameras/test", &known).await;
    assert_eq!(put.status, 201, "{put:?}");

    let id = json!({ "id": "test" });
    let link = json!({ "rtsp_link": camera.link("private") });
    let other_port = json!({ "port": 1, "id": "test" });
    for (key, body, expected) in [
        ("user-secret-0001", with(parts("/private"), id.clone()), 200),
        ("boss-secret-0001", with(parts("/private"), id.clone()), 200),
        ("user-secret-0001", parts("/private"), 502),
        ("user-secret-0001", with(link, id.clone()), 502),
        ("user-secret-0001", id.clone(), 502),
        ("user-secret-0001", with(parts("/private"), other_port), 502),
        ("user-secret-0002", with(parts("/private"), id.clone()), 403),
        ("user-secret-0001", with(parts("/private"), json!({ "owner": "43" })), 403),
    ] {
        let answer = manager.ask(key, Method::POST, TEST, &body).await;
        assert_eq!(answer.status, expected, "{body}: {:?}", answer.body["detail"]);
    }
    let answer = manager.ask("boss-secret-0001", Method::GET, TEST, &json!({})).await;
    assert_eq!(answer.body["path"], "/nothing", "testing changes nothing: {answer:?}");
    assert!(!manager.log().contains(camera.password()));
}

#[tokio::test(flavor = "multi_thread")]
async fn tests_are_bounded_in_time_and_number_and_leave_no_process() {
    let camera = Camera::start().await;
    camera.freeze();
    let manager =
        Manager::start(&[("START_TIMEOUT_SECONDS", "24"), ("STALE_TIMEOUT_SECONDS", "24")]).await;
    let link = camera.private_link("h264");
    let began = Instant::now();
    let four = || async {
        tokio::join!(
            test(&manager, &link),
            test(&manager, &link),
            test(&manager, &link),
            test(&manager, &link),
        )
    };
    let watching = async {
        until("four FFmpegs run", || async { manager.ffmpegs().len() == 4 }).await;
        assert_eq!(processes_that_show(camera.password()).len(), 1, "the camera's own");
        let fifth = test(&manager, &link).await;
        assert_eq!((fifth.status.as_u16(), &fifth.body["code"]), (503, &json!("busy")));
    };
    let ((one, ..), ()) = tokio::join!(four(), watching);
    assert_eq!((one.status.as_u16(), &one.body["code"]), (504, &json!("source_timeout")));
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());

    // A caller who leaves ends the test.
    let request = manager.client().post(manager.url(TEST)).json(&json!({ "rtsp_link": link }));
    let leaving = request.timeout(Duration::from_secs(1)).send().await;
    leaving.expect_err("no answer so soon");
    until("no FFmpeg is left", || async { manager.ffmpegs().is_empty() }).await;
}
