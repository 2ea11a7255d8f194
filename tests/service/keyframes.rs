//! Keyframes on request: a camera with ONVIF need not be waited for in the middle of a GOP, and one
//! whose ONVIF is of no use is started as fast as any other.

use serde_json::{Value, json};

use crate::support::{Camera, Manager, OnvifDevice, until};

/// Seconds. Longer than a start may take, so that a start that had to wait for the camera's own
/// next keyframe would fail, or nearly.
const RARELY: &str = "60";

/// Adds camera "cam" with this device.
async fn put(manager: &Manager, camera: &Camera, onvif: &str) -> Value {
    let body = json!({ "rtsp_link": camera.private_link("h264"), "onvif": onvif });
    manager.put("/api/cameras/cam", &body).await.body
}

/// Starts camera "cam" anew; the seconds that it took.
async fn start(manager: &Manager) -> f64 {
    manager.stop_stream("cam").await;
    let answer = manager.post("/api/cameras/cam/stream/start", &json!({})).await;
    assert_eq!(answer.status, 200, "{answer:?}\n{}", manager.log());
    manager.status("cam").await["start_seconds"].as_f64().expect("a time")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_in_the_middle_of_a_gop_gets_a_keyframe_at_once() {
    let camera = Camera::start_with(&["--running", "h264", "--gop-seconds", RARELY]).await;
    let login = ["--user", "viewer", "--password", camera.password(), "--clock", "-5000"];
    let device = OnvifDevice::of(&camera, &login).await;
    let manager = Manager::start(&[]).await;
    let put = put(&manager, &camera, &device.place()).await;
    assert_eq!(put["onvif"], format!("http://{}/onvif/device_service", device.place()), "{put}");

    let first = start(&manager).await;
    assert_eq!(
        device.events("keyframe"),
        [json!({ "event": "keyframe", "profile": "profile_main" })]
    );
    let asked = device.events("request").len();
    let second = start(&manager).await;
    assert_eq!(device.events("keyframe").len(), 2);
    assert_eq!(device.events("request").len(), asked + 1, "how to ask is known by now");
    assert!(first < 6.0 && second < 5.0, "{first} s, {second} s");
    assert!(!manager.log().contains(camera.password()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_does_not_help_delays_nothing_and_is_left_alone() {
    let camera = Camera::start_with(&["--running", "h264", "--gop-seconds", "0.5"]).await;
    let manager = Manager::start(&[("RUST_LOG", "debug")]).await;
    for arguments in [
        ["--habit", "silent", "--user", ""],
        ["--habit", "garbage", "--user", ""],
        ["--habit", "none", "--user", "somebody-else"],
        ["--habit", "none", "--link", "profile_main=rtsp://127.0.0.1/another"],
    ] {
        let device = OnvifDevice::of(&camera, &arguments).await;
        put(&manager, &camera, &device.place()).await;
        let given_up = || manager.log().matches("the camera makes no keyframe on request").count();
        let before = given_up();
        let took = start(&manager).await;
        assert!(took < 4.0, "{arguments:?}: {took} s");
        until("it is given up", || async { given_up() > before }).await;
        let asked = device.events("request").len();
        start(&manager).await;
        assert_eq!(device.events("request").len(), asked, "{arguments:?}");
        assert_eq!(device.events("keyframe"), Vec::<Value>::new(), "{arguments:?}");
    }
    assert!(!manager.log().contains(camera.password()));
}

#[tokio::test]
async fn only_the_cameras_own_device_is_taken_and_it_is_kept() {
    let camera = Camera::start().await;
    let manager = Manager::start(&[]).await;
    for (onvif, expected) in [
        ("127.0.0.1:81", json!("http://127.0.0.1:81/onvif/device_service")),
        ("http://127.0.0.1/x?y=z", json!("http://127.0.0.1:80/x?y=z")),
        (" ", Value::Null),
    ] {
        assert_eq!(put(&manager, &camera, onvif).await["onvif"], expected, "{onvif}");
        let export = manager.get("/api/cameras.json").await.body;
        assert_eq!(export[0]["onvif"], expected);
        let import = manager.put("/api/cameras.json", &export).await;
        assert_eq!(import.body["unchanged"], 1);
    }
    // One camera with another's must not keep the others out.
    let mut export = manager.get("/api/cameras.json").await.body;
    export[0]["onvif"] = json!("http://127.0.0.2:80/onvif/device_service");
    let import = manager.put("/api/cameras.json", &export).await;
    assert_eq!(import.body["unchanged"], 1);
    assert_eq!(manager.get("/api/cameras.json").await.body[0]["onvif"], Value::Null);
    for onvif in ["127.0.0.2", "https://127.0.0.1/", "http://a:b@127.0.0.1/", "a b"] {
        let refused = put(&manager, &camera, onvif).await;
        assert_eq!(refused["code"], "invalid_request", "{onvif}: {refused}");
    }
}
