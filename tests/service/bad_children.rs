//! Child processes that misbehave. Each child is a script (in children/) that wraps or replaces FFmpeg.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Camera, Manager, children_of, eventually, is_running, project_dir, until};

/// Starts a manager that runs the script `child` of tests/service/children in place of FFmpeg.
async fn manager_with(child: &str, settings: &[(&str, &str)]) -> Manager {
    let script = project_dir().join("tests/service/children").join(child);
    let program = script.to_str().expect("a path");
    Manager::start(&[&[("FFMPEG_BIN", program)], settings].concat()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_that_ignores_sigterm_is_killed_after_the_grace_period() {
    let camera = Camera::start().await;
    let manager = manager_with("ignores_sigterm", &[("STOP_GRACE_SECONDS", "1")]).await;
    manager.play("cam", &camera.link("h264")).await;
    let child = manager.ffmpegs()[0];
    let start = Instant::now();
    manager.stop_stream("cam").await;
    assert!(start.elapsed() >= Duration::from_secs(1), "killed after only {:?}", start.elapsed());
    assert!(!is_running(child));
    assert_eq!(manager.status("cam").await["state"], "stopped");
}

#[tokio::test(flavor = "multi_thread")]
async fn both_streams_of_a_deleted_camera_end_even_if_the_client_disconnects() {
    let camera = Camera::start().await;
    let manager = manager_with("ignores_sigterm", &[("STOP_GRACE_SECONDS", "1")]).await;
    let links =
        json!({ "rtsp_link": camera.link("h264"), "rtsp_link_sub": camera.link("h264-aac") });
    assert_eq!(manager.put("/api/cameras/cam", &links).await.status, 201);
    for profile in ["main", "sub"] {
        let start = json!({ "profile": profile });
        let response = manager.post("/api/cameras/cam/stream/start", &start).await;
        assert_eq!(response.status, 200, "{response:?}");
    }
    assert_eq!(manager.ffmpegs().len(), 2);
    // The response would come after both streams have ended, which takes STOP_GRACE_SECONDS for each of them.
    let delete = manager.client().delete(manager.url("/api/cameras/cam"));
    let response = delete.timeout(Duration::from_millis(500)).send().await;
    assert!(response.is_err_and(|error| error.is_timeout()), "a response came too early");
    until("the camera's streams have ended", || async { manager.ffmpegs().is_empty() }).await;
    assert_eq!(manager.get("/api/cameras/cam").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn grandchildren_are_ended_together_with_the_child() {
    let camera = Camera::start().await;
    let manager = manager_with("leaves_a_grandchild", &[]).await;
    manager.play("cam", &camera.link("h264")).await;
    let child = manager.ffmpegs()[0];
    let grandchildren = children_of(child);
    assert_eq!(grandchildren.len(), 1, "the script must start exactly one process");
    manager.stop_stream("cam").await;
    until("the child and the grandchild have exited", || async {
        !is_running(child) && !is_running(grandchildren[0])
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_that_goes_silent_is_restarted() {
    let camera = Camera::start().await;
    let manager =
        manager_with("goes_silent", &[("STALE_TIMEOUT_SECONDS", "2"), ("STOP_GRACE_SECONDS", "1")])
            .await;
    manager.play("cam", &camera.link("h264")).await;
    let status = eventually("the child is restarted", || async {
        // Each start request renews the time of last access, so the stream is never idle.
        manager.get("/api/stream/start?indicator_id=cam&wait=false").await;
        let status = manager.status("cam").await;
        (status["restarts"].as_u64() >= Some(1)).then_some(status)
    })
    .await;
    assert_eq!(status["last_error"]["code"], "source_timeout", "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_that_floods_stderr_still_plays() {
    let camera = Camera::start().await;
    let manager = manager_with("floods_stderr", &[("RUST_LOG", "info")]).await;
    manager.play("cam", &camera.link("h264")).await;
    let bit_rate = manager.status("cam").await["media"]["bit_rate"].as_f64();
    assert!(bit_rate > Some(0.0));
    assert!(manager.log().len() < 100_000, "the manager's log contains the flood of messages");
    assert_eq!(manager.stop_stream("cam").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_that_exits_immediately_is_restarted_until_the_start_timeout() {
    for child in ["exits_with_success", "exits_with_failure"] {
        let manager = manager_with(child, &[("START_TIMEOUT_SECONDS", "3")]).await;
        let start = Instant::now();
        let response = manager.start_stream("cam", "rtsp://127.0.0.1:1/x").await;
        assert!((502..=504).contains(&response.status.as_u16()), "{child}: {response:?}");
        assert!(start.elapsed() < Duration::from_secs(10), "{child}: {:?}", start.elapsed());
        let status = manager.status("cam").await;
        assert_eq!(status["state"], "failed", "{child}: {status}");
        assert!(status["restarts"].as_u64() >= Some(1), "{child}: {status}");
        assert!(manager.ffmpegs().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_that_writes_garbage_is_rejected() {
    let manager = manager_with("writes_garbage", &[]).await;
    let response = manager.start_stream("cam", "rtsp://127.0.0.1:1/x").await;
    assert_eq!(
        (response.status.as_u16(), &response.body["code"]),
        (502, &"source_unsupported".into())
    );
    assert!(manager.ffmpegs().is_empty());
}
