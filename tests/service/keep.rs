//! Cameras with `keep: always`, whose main stream runs without viewers.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Camera, Manager, Nginx, play, until};

/// The settings with which streams without viewers end soon.
const SHORT_CLEANUP: &[(&str, &str)] =
    &[("CLEANUP_DELAY_SECONDS", "2"), ("CLEANUP_INTERVAL_SECONDS", "0.2")];

/// Adds or replaces camera "cam". Returns the response's body.
async fn put(manager: &Manager, link: &str, keep: &str) -> Value {
    let response =
        manager.put("/api/cameras/cam", &json!({ "rtsp_link": link, "keep": keep })).await;
    assert!(response.status.is_success(), "{response:?}\n{}", manager.log());
    response.body
}

/// Asserts that the stream stays in this state, for longer than an idle stream would run.
async fn stays(manager: &Manager, state: &str) {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(4) {
        let status = manager.status("cam").await;
        assert_eq!(status["state"], state, "{status}\n{}", manager.log());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_that_is_kept_runs_without_viewers_and_starts_with_the_manager() {
    let camera = Camera::start().await;
    let mut manager = Manager::start(SHORT_CLEANUP).await;
    let added = put(&manager, &camera.link("h264"), "always").await;
    assert_eq!(added["keep"], "always");
    manager.reaches("cam", "live").await;
    stays(&manager, "live").await;
    assert_eq!(camera.plays(), 1);

    manager.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(manager.exit_code().await, 0);
    let manager = manager.start_again(SHORT_CLEANUP).await;
    manager.reaches("cam", "live").await;
    play(&Nginx::start(&manager).await.playlist("cam"), 2).await;
    assert_eq!(camera.plays(), 2, "the viewer caused another connection");

    let changed = put(&manager, &camera.link("h264"), "on_demand").await;
    assert_eq!(changed["keep"], "on_demand");
    manager.reaches("cam", "stopped").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_camera_that_was_stopped_stays_stopped_until_the_next_start() {
    let camera = Camera::start().await;
    let manager = Manager::start(SHORT_CLEANUP).await;
    put(&manager, &camera.link("h264"), "always").await;
    manager.reaches("cam", "live").await;
    manager.stop_stream("cam").await;
    // A change of the camera's link does not start the stream.
    put(&manager, &camera.link("h264-aac"), "always").await;
    stays(&manager, "stopped").await;
    let started = manager.post("/api/cameras/cam/stream/start", &json!({})).await;
    assert_eq!(started.status, 200, "{started:?}");
    stays(&manager, "live").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_camera_that_rejects_the_login_or_is_unreachable_waits_in_backoff() {
    let mut camera = Camera::start().await;
    let manager = Manager::start(SHORT_CLEANUP).await;
    let wrong = camera.link("private").replace("rtsp://", "rtsp://viewer:wrong@");
    put(&manager, &wrong, "always").await;
    manager.reaches("cam", "backoff").await;
    let status = manager.status("cam").await;
    assert_eq!(status["last_error"]["code"], "source_unauthorized", "{status}");
    stays(&manager, "backoff").await;
    let later = manager.status("cam").await;
    assert_eq!(later["generation"], status["generation"], "the manager retried too soon");
    // Requests for the playlist do not start another attempt either.
    let playlist = manager.get("/streams/cam/stream.m3u8").await;
    assert_eq!(playlist.body["code"], "source_unauthorized", "{playlist:?}");
    assert_eq!(manager.status("cam").await["generation"], status["generation"]);

    put(&manager, &camera.link_with_credentials("private"), "always").await;
    manager.reaches("cam", "live").await;
    camera.kill();
    manager.reaches("cam", "backoff").await;
    camera.restart().await;
    manager.reaches("cam", "live").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_camera_that_exceeds_the_stream_limit_starts_when_another_stream_ends() {
    let camera = Camera::start().await;
    let settings = [SHORT_CLEANUP, &[("MAX_STREAMS", "1")]].concat();
    let manager = Manager::start(&settings).await;
    manager.play("other", &camera.link("h264")).await;
    put(&manager, &camera.link("h264"), "always").await;
    assert_eq!(manager.status("cam").await["state"], "stopped");
    until("the kept camera is live after the other stream has ended", || async {
        manager.status("cam").await["state"] == "live"
    })
    .await;
    let refused = manager.start_stream("other", &camera.link("h264")).await;
    assert_eq!(refused.body["code"], "too_many_streams", "{refused:?}");
}
