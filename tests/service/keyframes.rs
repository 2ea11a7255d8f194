//! Keyframes that arrive late, and keyframes on request. A start in the middle of a long GOP does not fail. If
//! the camera has ONVIF, the start does not wait for the next regular keyframe. If the ONVIF device makes no
//! keyframe, the start takes no longer than without the device. Only an ONVIF device at the camera's own
//! address is accepted.

use serde_json::{Value, json};

use crate::support::{Camera, Manager, OnvifDevice, until};

/// Keyframe interval in seconds. It exceeds the start timeout, so a start most likely returns before
/// the camera's next regular keyframe.
const LONG_GOP: &str = "60";

/// Adds or replaces camera "cam", with this address of its ONVIF device. Returns the response's body.
async fn put_camera(manager: &Manager, camera: &Camera, onvif: &str) -> Value {
    let body = json!({ "rtsp_link": camera.link_with_credentials("h264"), "onvif": onvif });
    manager.put("/api/cameras/cam", &body).await.body
}

/// Stops the stream of camera "cam", and starts the stream again. Returns the duration of the start in seconds.
async fn restart(manager: &Manager) -> f64 {
    manager.stop_stream("cam").await;
    let response = manager.post("/api/cameras/cam/stream/start", &json!({})).await;
    assert_eq!(response.status, 200, "{response:?}\n{}", manager.log());
    manager.status("cam").await["start_seconds"].as_f64().expect("a time")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_in_the_middle_of_a_gop_requests_a_keyframe() {
    let camera = Camera::start_with(&["--running", "h264", "--gop-seconds", LONG_GOP]).await;
    let login = ["--user", "viewer", "--password", camera.password(), "--clock", "-5000"];
    let device = OnvifDevice::start_for(&camera, &login).await;
    let manager = Manager::start(&[]).await;
    let put = put_camera(&manager, &camera, &device.address_and_port()).await;
    assert_eq!(
        put["onvif"],
        format!("http://{}/onvif/device_service", device.address_and_port()),
        "{put}"
    );

    let first = restart(&manager).await;
    assert_eq!(
        device.events("keyframe"),
        [json!({ "event": "keyframe", "profile": "profile_main" })]
    );
    let requests = device.events("request").len();
    let second = restart(&manager).await;
    assert_eq!(device.events("keyframe").len(), 2);
    assert_eq!(
        device.events("request").len(),
        requests + 1,
        "the second start must send exactly one request"
    );
    assert!(first < 6.0 && second < 5.0, "{first} s, {second} s");
    assert!(!manager.log().contains(camera.password()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_makes_no_keyframe_does_not_delay_starts_and_gets_no_more_requests() {
    let camera = Camera::start_with(&["--running", "h264", "--gop-seconds", "0.5"]).await;
    let manager = Manager::start(&[("RUST_LOG", "debug")]).await;
    for arguments in [
        ["--habit", "silent", "--user", ""],
        ["--habit", "garbage", "--user", ""],
        ["--habit", "none", "--user", "other-user"],
        ["--habit", "none", "--link", "profile_main=rtsp://127.0.0.1/another"],
    ] {
        let device = OnvifDevice::start_for(&camera, &arguments).await;
        put_camera(&manager, &camera, &device.address_and_port()).await;
        let failures =
            || manager.log_fields().iter().filter(|fields| fields["failure"].is_string()).count();
        let before = failures();
        let seconds = restart(&manager).await;
        assert!(seconds < 4.0, "{arguments:?}: {seconds} s");
        until("the manager stops using the device", || async { failures() > before }).await;
        let requests = device.events("request").len();
        restart(&manager).await;
        assert_eq!(device.events("request").len(), requests, "{arguments:?}");
        assert_eq!(device.events("keyframe"), Vec::<Value>::new(), "{arguments:?}");
    }
    assert!(!manager.log().contains(camera.password()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_keeps_starting_until_its_late_keyframe_arrives() {
    let camera = Camera::start_with(&["--running", "h264", "--gop-seconds", LONG_GOP]).await;
    let settings = [("START_TIMEOUT_SECONDS", "3"), ("STALE_TIMEOUT_SECONDS", "3")];
    let manager = Manager::start(&settings).await;
    for _ in 0..2 {
        let response = manager.start_stream("cam", &camera.link("h264")).await;
        assert_eq!(response.status, 200, "{response:?}\n{}", manager.log());
        assert_eq!(response.body["status"], "starting", "{response:?}");
        assert_eq!(response.body["reason"]["code"], "awaiting_keyframe", "{response:?}");
    }
    let status = manager.status("cam").await;
    assert_eq!(status["state"], "starting", "{status}");
    assert_eq!(status["last_error"]["code"], "awaiting_keyframe", "{status}");
    let playlist = manager.get("/streams/cam/stream.m3u8").await;
    assert_eq!(playlist.status, 503, "{playlist:?}");
    assert_eq!(playlist.body["code"], "awaiting_keyframe");

    camera.make_keyframe();
    manager.reaches("cam", "live").await;
    let status = manager.status("cam").await;
    assert_eq!(status["restarts"], 0, "{status}");
    assert_eq!(camera.plays(), 1, "the camera was connected to more than once");
}

#[tokio::test]
async fn only_an_onvif_device_at_the_cameras_own_address_is_accepted_and_stored() {
    let camera = Camera::start().await;
    let manager = Manager::start(&[]).await;
    for (onvif, expected) in [
        ("127.0.0.1:81", json!("http://127.0.0.1:81/onvif/device_service")),
        ("http://127.0.0.1/x?y=z", json!("http://127.0.0.1:80/x?y=z")),
        (" ", Value::Null),
    ] {
        assert_eq!(put_camera(&manager, &camera, onvif).await["onvif"], expected, "{onvif}");
        let export = manager.get("/api/cameras.json").await.body;
        assert_eq!(export[0]["onvif"], expected);
        let import = manager.put("/api/cameras.json", &export).await;
        assert_eq!(import.body["unchanged"], 1);
    }
    // An import ignores an ONVIF device that is not at the camera's address, instead of failing.
    let mut export = manager.get("/api/cameras.json").await.body;
    export[0]["onvif"] = json!("http://127.0.0.2:80/onvif/device_service");
    let import = manager.put("/api/cameras.json", &export).await;
    assert_eq!(import.body["unchanged"], 1);
    assert_eq!(manager.get("/api/cameras.json").await.body[0]["onvif"], Value::Null);
    for onvif in ["127.0.0.2", "https://127.0.0.2/", "http://a:b@127.0.0.1/", "a b"] {
        let problem = put_camera(&manager, &camera, onvif).await;
        assert_eq!(problem["code"], "invalid_request", "{onvif}: {problem}");
    }
}
