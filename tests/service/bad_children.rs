//! FFmpeg, misbehaving. Each child is a script around the real one (see children/).

use std::time::{Duration, Instant};

use crate::support::{Camera, Manager, children_of, eventually, is_running, project, until};

async fn manager_with(child: &str, set: &[(&str, &str)]) -> Manager {
    let script = project().join("tests/service/children").join(child);
    let program = script.to_str().expect("a path");
    Manager::start(&[&[("FFMPEG_BIN", program)], set].concat()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_ignores_sigterm_is_killed_after_the_grace_period() {
    let camera = Camera::start().await;
    let manager = manager_with("ignores_sigterm", &[("STOP_GRACE_SECONDS", "1")]).await;
    manager.play("cam", &camera.link("h264")).await;
    let child = manager.ffmpegs()[0];
    let asked = Instant::now();
    manager.stop_stream("cam").await;
    assert!(asked.elapsed() >= Duration::from_secs(1), "it left after {:?}", asked.elapsed());
    assert!(!is_running(child));
    assert_eq!(manager.status("cam").await["state"], "stopped");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_child_leaves_behind_is_ended_with_it() {
    let camera = Camera::start().await;
    let manager = manager_with("leaves_a_grandchild", &[]).await;
    manager.play("cam", &camera.link("h264")).await;
    let child = manager.ffmpegs()[0];
    let grandchildren = children_of(child);
    assert_eq!(grandchildren.len(), 1, "the script did not leave anything");
    manager.stop_stream("cam").await;
    until("child and grandchild have gone", || async {
        !is_running(child) && !is_running(grandchildren[0])
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_goes_silent_is_restarted() {
    let camera = Camera::start().await;
    let manager =
        manager_with("goes_silent", &[("STALE_TIMEOUT_SECONDS", "2"), ("STOP_GRACE_SECONDS", "1")])
            .await;
    manager.play("cam", &camera.link("h264")).await;
    let status = eventually("it is started again", || async {
        // Asking is watching, as far as the stream is concerned.
        manager.get("/api/stream/start?indicator_id=cam&wait=false").await;
        let status = manager.status("cam").await;
        (status["restarts"].as_u64() >= Some(1)).then_some(status)
    })
    .await;
    assert_eq!(status["last_error"]["code"], "source_timeout", "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_floods_stderr_plays_all_the_same() {
    let camera = Camera::start().await;
    let manager = manager_with("floods_stderr", &[("RUST_LOG", "info")]).await;
    manager.play("cam", &camera.link("h264")).await;
    let before = manager.status("cam").await["media"]["bit_rate"].as_f64();
    assert!(before > Some(0.0));
    assert!(manager.log().len() < 100_000, "the flood went into the log");
    assert_eq!(manager.stop_stream("cam").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_ends_at_once_is_tried_until_the_start_timeout() {
    for child in ["ends_at_once", "fails_at_once"] {
        let manager = manager_with(child, &[("START_TIMEOUT_SECONDS", "3")]).await;
        let asked = Instant::now();
        let answer = manager.start_stream("cam", "rtsp://127.0.0.1:1/x").await;
        assert!((502..=504).contains(&answer.status.as_u16()), "{child}: {answer:?}");
        assert!(asked.elapsed() < Duration::from_secs(10), "{child}: {:?}", asked.elapsed());
        let status = manager.status("cam").await;
        assert_eq!(status["state"], "failed", "{child}: {status}");
        assert!(status["restarts"].as_u64() >= Some(1), "{child}: {status}");
        assert!(manager.ffmpegs().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_writes_garbage_is_refused() {
    let manager = manager_with("writes_garbage", &[]).await;
    let answer = manager.start_stream("cam", "rtsp://127.0.0.1:1/x").await;
    assert_eq!((answer.status.as_u16(), &answer.body["code"]), (502, &"source_unsupported".into()));
    assert!(manager.ffmpegs().is_empty());
}
