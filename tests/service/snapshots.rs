//! Pictures of cameras. A running stream provides them without another connection to the camera. They are not
//! older than requested, except if the next keyframe is too far away or if the request forbids a start.

use std::thread;
use std::time::{Duration, Instant, SystemTime};

use futures_util::future::join_all;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::support::{
    Camera, Jpeg, Manager, Metrics, project_dir, start_live, start_service, until,
};

/// The greatest age of a picture that has just arrived, in milliseconds. The camera has to encode the
/// picture, FFmpeg waits for the next frames, and the tests share a slow machine.
const JUST_ARRIVED: i64 = 1000;

/// Requests a picture of camera "cam" from the manager, with this query.
async fn get(manager: &Manager, query: &str) -> Response {
    let url = manager.url(&format!("/streams/cam/snapshot.jpg?{query}"));
    manager.client().get(url).send().await.expect("a response")
}

/// Returns the age in the response's header, in seconds.
fn age(response: &Response) -> u64 {
    let age = response.headers()["age"].to_str().expect("text");
    age.parse().expect("seconds")
}

/// Returns the picture in a response. Panics if the response contains no picture.
async fn jpeg(response: Response) -> Jpeg {
    assert_eq!(response.status(), 200, "{}", response.text().await.expect("text"));
    assert_eq!(response.headers()["content-type"], "image/jpeg");
    assert_eq!(response.headers()["cache-control"], "no-store");
    Jpeg::new(response.bytes().await.expect("a picture"))
}

/// Returns the status and the error code of a response without a picture.
async fn problem(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    let body: Value = response.json().await.expect("a problem");
    (status, body["code"].as_str().expect("a code").to_owned())
}

/// Returns the number of pictures that were decoded so far.
async fn decoded(manager: &Manager) -> u32 {
    let metrics = Metrics::fetch(manager).await;
    let number = metrics.value("stream_manager_snapshots_total").expect("a number");
    number.to_string().parse().expect("a whole number")
}

/// Adds camera "cam" without starting its stream.
async fn add(manager: &Manager, link: &str) {
    let added = manager.put("/api/cameras/cam", &json!({ "rtsp_link": link })).await;
    assert!(added.status.is_success(), "{added:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_of_a_running_stream_require_no_second_connection() {
    let (camera, manager, nginx) = start_live("h264", &[]).await;
    let path = "/streams/cam/snapshot.jpg";
    let small = jpeg(nginx.get(&format!("{path}?width=320")).await).await;
    assert_eq!(small.size(), (320, 180));
    let large = jpeg(nginx.get(path).await).await;
    assert_eq!(large.size(), (640, 360));
    // A picture is never enlarged, so the response contains the large picture. This picture is new enough, so
    // the manager does not decode another one.
    let wide = jpeg(get(&manager, "width=3840").await).await;
    assert_eq!((&wide, decoded(&manager).await), (&large, 2));
    let again = get(&manager, "width=320&max_age=60").await;
    assert!(again.headers().contains_key("last-modified") && age(&again) < 30, "{again:?}");
    assert_eq!((jpeg(again).await, decoded(&manager).await), (small, 2));
    assert_eq!(camera.plays(), 1, "the pictures caused another connection");
    until("the decoders have exited", || async { manager.ffmpegs().len() == 1 }).await;
    assert_eq!(problem(get(&manager, "width=7").await).await, (400, "invalid_request".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn with_max_age_0_the_clock_in_the_picture_shows_the_time_of_the_request() {
    // With this interval of keyframes, a picture of the last keyframe would soon be too old.
    let camera = Camera::start_with(&["--gop-seconds", "10"]).await;
    for (mount, settings) in [
        ("h264", [].as_slice()),
        ("h264-bframes", &[]),
        ("h264-late-parameters", &[]),
        ("hevc", &[("HEVC", "copy")]),
        ("mjpeg", &[]),
    ] {
        let manager = Manager::start(settings).await;
        manager.play("cam", &camera.link(mount)).await;
        let (live_at, mut pictures) = (Instant::now(), 0);
        while live_at.elapsed() < Duration::from_secs(4) {
            let requested_at = SystemTime::now();
            let picture = jpeg(get(&manager, "max_age=0").await).await;
            let age = picture.age_by_clock(requested_at).await;
            assert!((-JUST_ARRIVED..JUST_ARRIVED).contains(&age), "{mount}: {age} ms old");
            pictures += 1;
        }
        assert_eq!(decoded(&manager).await, pictures, "{mount}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_age_of_an_old_picture_is_right_if_the_next_keyframe_is_too_far_away() {
    let camera = Camera::start_with(&["--gop-seconds", "40"]).await;
    let manager = Manager::start(&[]).await;
    manager.play("cam", &camera.link("h264")).await;
    until("the picture is old", || async { age(&get(&manager, "max_age=0").await) >= 12 }).await;
    let before = decoded(&manager).await;
    let (now, response) = (SystemTime::now(), get(&manager, "max_age=0").await);
    let header = i64::try_from(age(&response)).expect("seconds") * 1000;
    let clock = jpeg(response).await.age_by_clock(now).await;
    assert!((header - 500..header + 3000).contains(&clock), "{header} ms, {clock} ms");
    assert_eq!(decoded(&manager).await, before, "the keyframe was decoded again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_not_running_is_started_unless_the_request_forbids_it() {
    let (camera, manager, nginx) = start_service(&[]).await;
    let not_found = (404, "not_found".to_owned());
    let unknown = (404, "unknown_camera".to_owned());
    assert_eq!(problem(get(&manager, "start=false").await).await, unknown);
    add(&manager, &camera.link("h264")).await;
    assert_eq!(problem(get(&manager, "start=false").await).await, not_found);
    assert_eq!(camera.plays(), 0);

    let first = jpeg(nginx.get("/streams/cam/snapshot.jpg").await).await;
    assert_eq!(manager.status("cam").await["state"], "live");
    manager.stop_stream("cam").await;
    // For both requests below, the manager returns the last picture without a connection to the camera. With
    // `max_age=60`, the picture is new enough. With `start=false`, the manager must not start the stream.
    assert_eq!(jpeg(get(&manager, "max_age=60").await).await, first);
    let listed = manager.get("/api/cameras/cam").await.body;
    assert!(listed["picture_at"].is_string() && listed["picture_sub_at"].is_null(), "{listed}");
    let last = get(&manager, "start=false&max_age=0&width=320").await;
    assert_eq!(jpeg(last).await, first, "the picture must have the nearest size");
    assert_eq!(
        (camera.plays(), manager.status("cam").await["state"].as_str()),
        (1, Some("stopped"))
    );

    add(&manager, &camera.link("mjpeg")).await;
    assert_eq!(
        problem(get(&manager, "start=false").await).await,
        not_found,
        "the response must not have a picture of the previous source"
    );
    assert!(manager.get("/api/cameras/cam").await.body["picture_at"].is_null());
    add(&manager, &camera.link("h264")).await;
    assert_eq!(jpeg(get(&manager, "start=false").await).await, first);
    manager.delete("/api/cameras/cam").await;
    add(&manager, &camera.link("h264")).await;
    assert_eq!(
        problem(get(&manager, "start=false").await).await,
        not_found,
        "the response must not have a picture of the deleted camera"
    );

    add(&manager, "rtsp://127.0.0.1:1/x").await;
    assert_eq!(problem(get(&manager, "").await).await, (502, "source_unreachable".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_for_lists_do_not_keep_a_stream_running() {
    let settings = [("CLEANUP_DELAY_SECONDS", "3"), ("CLEANUP_INTERVAL_SECONDS", "1")];
    let (_camera, manager, _nginx) = start_live("h264", &settings).await;
    until("the stream ends although its pictures are requested", || async {
        jpeg(get(&manager, "start=false&max_age=0").await).await;
        manager.status("cam").await["state"] == "stopped"
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_is_decoded_only_once_for_concurrent_requests() {
    let (_camera, manager, _nginx) = start_live("h264", &[]).await;
    let pictures = join_all((0..20).map(|_| async { jpeg(get(&manager, "").await).await })).await;
    assert!(pictures.iter().all(|picture| *picture == pictures[0]));
    assert_eq!(decoded(&manager).await, 1);
    // If a client disconnects, another client with the same request still gets the picture.
    let url = manager.url("/streams/cam/snapshot.jpg?max_age=0&width=160");
    let impatient = manager.client().get(&url).timeout(Duration::from_millis(5)).send();
    let patient = manager.client().get(&url).send();
    let (_, patient) = tokio::join!(impatient, patient);
    assert_eq!(jpeg(patient.expect("a response")).await.size(), (160, 90));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_requires_the_permission_to_watch() {
    let keys = "shop:admin:admin-secret-000001,43:user:user-secret-0000002";
    let (camera, manager, nginx) = start_service(&[("API_KEYS", keys)]).await;
    let call =
        async |key, method, path: &str, body: Value| manager.call(key, method, path, &body).await;
    let admin = "admin-secret-000001";
    let body = json!({ "owner": "42", "rtsp_link": camera.link("h264") });
    assert_eq!(call(admin, Method::PUT, "/api/cameras/cam", body).await.status, 201);
    let path = "/streams/cam/snapshot.jpg";
    assert_eq!(problem(nginx.get(path).await).await, (401, "unauthorized".to_owned()));
    let foreign = call("user-secret-0000002", Method::GET, path, Value::Null).await;
    assert_eq!((foreign.status.as_u16(), &foreign.body["code"]), (403, &json!("forbidden")));

    let session = json!({ "user": "anna", "camera": "cam" });
    let session = call(admin, Method::POST, "/api/playback/sessions", session).await.body;
    let token = session["token"].as_str().expect("a token");
    let playing = format!("/play/{token}/cam/snapshot.jpg");
    jpeg(nginx.get(&playing).await).await;
    let other = format!("/play/{token}/other/snapshot.jpg");
    assert_eq!(problem(nginx.get(&other).await).await, (403, "forbidden".to_owned()));
    let id = session["session_id"].as_str().expect("an id");
    let path = format!("/api/playback/sessions/{id}");
    assert_eq!(call(admin, Method::DELETE, &path, Value::Null).await.status, 204);
    assert_eq!(nginx.get(&playing).await.status(), 401, "the session has ended");
}

/// Starts a manager that runs the script `child` of tests/service/children in place of FFmpeg, and streams
/// from `camera`.
async fn play_with(child: &str, camera: &Camera) -> Manager {
    let script = project_dir().join("tests/service/children").join(child);
    let manager = Manager::start(&[("FFMPEG_BIN", script.to_str().expect("a path"))]).await;
    manager.play("cam", &camera.link("h264")).await;
    manager
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_decoder_fails_only_the_request_that_needs_it() {
    let camera = Camera::start().await;
    let manager = play_with("dies_on_pictures", &camera).await;
    assert_eq!(problem(get(&manager, "").await).await, (500, "internal".to_owned()));
    let metrics = Metrics::fetch(&manager).await;
    let failures = r#"stream_manager_snapshot_failures_total{code="internal"}"#;
    assert_eq!(metrics.value(failures), Some(1.0), "{metrics}");
    assert_eq!(manager.status("cam").await["state"], "live");
    assert_eq!(manager.ffmpegs().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn decoders_are_limited_in_time_and_number() {
    let camera = Camera::start().await;
    let manager = play_with("hangs_on_pictures", &camera).await;
    let start = Instant::now();
    let decoders = thread::available_parallelism().expect("a number").get().min(8);
    let hanging = join_all((0..decoders).map(|n| {
        let manager = &manager;
        async move { problem(get(manager, &format!("width={}", 100 + n)).await).await }
    }));
    let refused = async {
        until("all decoders run", || async { manager.ffmpegs().len() == decoders + 1 }).await;
        let response = get(&manager, "width=300").await;
        assert!(response.headers().contains_key("retry-after"), "{response:?}");
        problem(response).await
    };
    let (hanging, refused) = tokio::join!(hanging, refused);
    assert!(hanging.iter().all(|it| *it == (408, "request_timeout".to_owned())), "{hanging:?}");
    assert_eq!(refused, (503, "busy".to_owned()));
    assert!(start.elapsed() < Duration::from_secs(25), "{:?}", start.elapsed());
    until("the decoders are reaped", || async { manager.ffmpegs().len() == 1 }).await;
}
