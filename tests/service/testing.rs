//! Camera tests, which clients can run before they add a camera: the response has the camera's codecs and
//! a picture, or the error that a start would return. A camera test leaves nothing behind.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    ApiResponse, Camera, Jpeg, Manager, SilentCamera, eventually, merged, processes_that_show,
    until,
};

const TEST: &str = "/api/cameras/test";

/// Tests a camera by its link.
async fn test(manager: &Manager, link: &str) -> ApiResponse {
    manager.post(TEST, &json!({ "rtsp_link": link })).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_test_of_a_working_camera_returns_its_codecs_and_a_picture() {
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
        let response = test(&manager, &camera.link(mount)).await;
        assert_eq!(response.status, 200, "{mount}: {response:?}\n{}", manager.log());
        let body = &response.body;
        assert_eq!(
            (&body["video_codec"], &body["audio_codec"]),
            (&json!(video), &audio),
            "{mount}"
        );
        assert_eq!((&body["width"], &body["height"]), (&json!(960), &json!(528)), "{mount}");
        // The camera test is too short to measure the frame rate, so the rate can be null or imprecise.
        assert!(body["frame_rate"].is_null() || body["frame_rate"].is_number(), "{mount}");
        assert!(body["took_seconds"].as_f64().is_some_and(|took| took > 0.0), "{mount}");
        let jpeg = BASE64.decode(body["still"].as_str().expect("a picture")).expect("base64");
        assert_eq!(Jpeg::new(jpeg).size(), (640, 352), "{mount}");
    }
    assert_eq!(
        manager.get("/api/cameras").await.body["total"],
        0,
        "the camera test added a camera"
    );
    assert_eq!(manager.get("/api/streams").await.body["streams"], json!([]));
    until("all FFmpegs have exited", || async { manager.ffmpegs().is_empty() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_test_returns_the_error_that_a_start_would_return() {
    let camera = Camera::start().await;
    let manager = Manager::start(&[("CAMERA_DENY_NETS", "127.9.9.9")]).await;
    let silent = SilentCamera::start().await;
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
        (json!({ "rtsp_link": silent.link() }), 504, "source_timeout"),
        (json!({ "rtsp_link": camera.link("h264"), "profile": "sub" }), 400, "invalid_source"),
        (json!({ "rtsp_link": camera.link("h264"), "profile": "x" }), 400, "invalid_request"),
        (json!({ "rtsp_link": camera.link("h264"), "what": 1 }), 400, "invalid_request"),
        (json!({ "rtsp_link": "http://wrong-pw-02@x" }), 400, "invalid_source"),
        (json!({}), 400, "invalid_source"),
    ] {
        let response = manager.post(TEST, &body).await;
        let status_and_code = (response.status.as_u16(), &response.body["code"]);
        assert_eq!(status_and_code, (status, &json!(code)), "{body}: {response:?}");
        assert!(!response.body.to_string().contains("wrong-pw"), "{response:?}");
    }
    assert!(!manager.log().contains("wrong-pw"), "{}", manager.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stored_password_is_used_only_for_the_stored_address_by_the_owner_or_an_admin() {
    let camera = Camera::start().await;
    let keys = "boss:admin:boss-secret-0001,42:user:user-secret-0001,43:user:user-secret-0002";
    let manager = Manager::start(&[("API_KEYS", keys)]).await;
    let parts = |path: &str| {
        json!({
            "ip": "127.0.0.1", "port": camera.port(), "path": path, "username": "viewer",
        })
    };
    let stored = merged(parts("/nothing"), json!({ "password": camera.password() }));
    // A camera can have the ID "test", although POST requests to its path test a camera.
    let put = manager.call("user-secret-0001", Method::PUT, "/api/cameras/test", &stored).await;
    assert_eq!(put.status, 201, "{put:?}");

    let id = json!({ "id": "test" });
    let link = json!({ "rtsp_link": camera.link("private") });
    let other_port = json!({ "port": 1, "id": "test" });
    for (key, body, expected) in [
        ("user-secret-0001", merged(parts("/private"), id.clone()), 200),
        ("boss-secret-0001", merged(parts("/private"), id.clone()), 200),
        ("user-secret-0001", parts("/private"), 502),
        ("user-secret-0001", merged(link, id.clone()), 502),
        ("user-secret-0001", id.clone(), 502),
        ("user-secret-0001", merged(parts("/private"), other_port), 502),
        ("user-secret-0002", merged(parts("/private"), id.clone()), 403),
        ("user-secret-0001", merged(parts("/private"), json!({ "owner": "43" })), 403),
    ] {
        let response = manager.call(key, Method::POST, TEST, &body).await;
        assert_eq!(response.status, expected, "{body}: {:?}", response.body["detail"]);
    }
    let response = manager.call("boss-secret-0001", Method::GET, TEST, &json!({})).await;
    assert_eq!(
        response.body["path"], "/nothing",
        "the camera test changed the camera: {response:?}"
    );
    assert!(!manager.log().contains(camera.password()));
}

#[tokio::test(flavor = "multi_thread")]
async fn camera_tests_are_limited_in_time_and_number_and_leave_no_process() {
    let camera = Camera::start().await;
    camera.freeze();
    let manager =
        Manager::start(&[("START_TIMEOUT_SECONDS", "24"), ("STALE_TIMEOUT_SECONDS", "24")]).await;
    let link = camera.link_with_credentials("h264");
    let start = Instant::now();
    let four_tests = async {
        tokio::join!(
            test(&manager, &link),
            test(&manager, &link),
            test(&manager, &link),
            test(&manager, &link),
        )
    };
    let fifth_test = async {
        until("four FFmpegs run", || async { manager.ffmpegs().len() == 4 }).await;
        let processes = processes_that_show(camera.password());
        assert_eq!(processes, [camera.pid()], "a process other than the camera shows the password");
        let fifth = test(&manager, &link).await;
        assert_eq!((fifth.status.as_u16(), &fifth.body["code"]), (503, &json!("busy")));
    };
    let ((first, ..), ()) = tokio::join!(four_tests, fifth_test);
    assert_eq!((first.status.as_u16(), &first.body["code"]), (504, &json!("source_timeout")));
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());

    // A camera test ends when its caller disconnects.
    let request = manager.client().post(manager.url(TEST)).json(&json!({ "rtsp_link": link }));
    let response = request.timeout(Duration::from_secs(1)).send().await;
    response.expect_err("the client's timeout");
    until("all FFmpegs have exited", || async { manager.ffmpegs().is_empty() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_test_of_a_running_camera_requires_no_second_connection() {
    let camera = Camera::start().await;
    let manager = Manager::start(&[]).await;
    for (mount, video, audio) in [
        ("h264", "h264", Value::Null),
        ("h264-pcma", "h264", json!("pcm_alaw")),
        ("mjpeg", "mjpeg", Value::Null),
    ] {
        manager.play("cam", &camera.link(mount)).await;
        let plays = camera.plays();
        let body = eventually("the audio is known", || async {
            let media = manager.status("cam").await["media"].clone();
            if media["audio_codec"].is_null() != audio.is_null() {
                return None;
            }
            Some(manager.post(TEST, &json!({ "id": "cam" })).await.body)
        })
        .await;
        assert_eq!(
            (&body["video_codec"], &body["audio_codec"], &body["width"], &body["height"]),
            (&json!(video), &audio, &json!(640), &json!(360)),
            "{mount}"
        );
        let jpeg = BASE64.decode(body["still"].as_str().expect("a picture")).expect("base64");
        assert_eq!(Jpeg::new(jpeg).size(), (640, 360), "{mount}");
        assert_eq!(camera.plays(), plays, "{mount}: the test connected to the camera");
    }
    // The test of another link requires a connection.
    manager.play("cam", &camera.link("h264")).await;
    let plays = camera.plays();
    let tested = json!({ "id": "cam", "rtsp_link": camera.link("h264-aac") });
    let response = manager.post(TEST, &tested).await;
    assert_eq!((response.status.as_u16(), camera.plays()), (200, plays + 1), "{response:?}");
}
