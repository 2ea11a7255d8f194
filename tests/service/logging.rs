//! A log that cannot be written: a full disk, a closed pipe, a pipe whose reader stalls, and a closed descriptor.
//! The service must continue.

use std::io::{ErrorKind, PipeReader, PipeWriter, Write as _, pipe};
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::{Camera, Manager, Metrics, lines_of, until};

/// Settings with which streams end soon after their last viewer.
const IDLE_SOON: [(&str, &str); 2] =
    [("CLEANUP_DELAY_SECONDS", "2"), ("CLEANUP_INTERVAL_SECONDS", "0.2")];

/// Returns whether the manager has lost lines of the log.
fn has_lost_lines(metrics: &Metrics) -> bool {
    metrics.value("stream_manager_log_lines_lost_total").expect("a counter") > 0.0
}

/// Returns a pipe that is full.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = pipe().expect("a pipe");
    fcntl(&writer, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).expect("a pipe");
    let error = loop {
        if let Err(error) = writer.write_all(&[b'\n'; 4096]) {
            break error;
        }
    };
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    fcntl(&writer, FcntlArg::F_SETFL(OFlag::empty())).expect("a pipe");
    (reader, writer)
}

/// Checks that streams start, stop, and end when they are idle, that the health endpoints respond, and that the
/// manager exits cleanly.
async fn assert_service_works(mut manager: Manager) {
    let camera = Camera::start().await;
    manager.play("cam", &camera.link("h264")).await;
    assert_eq!(manager.stop_stream("cam").await.status, 200);
    manager.play("cam", &camera.link("h264")).await;
    manager.reaches("cam", "stopped").await;
    manager.play("cam", &camera.link("h264")).await;
    for path in ["/livez", "/readyz", "/api/health"] {
        let response = manager.get(path).await;
        assert_eq!(response.status, 200, "{path}: {response:?}");
    }
    let began = Instant::now();
    manager.signal(Signal::SIGTERM);
    assert_eq!(manager.exit_code().await, 0);
    let took = began.elapsed();
    assert!(took < Duration::from_secs(8), "the shutdown took {took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_works_while_the_disk_of_the_log_is_full() {
    let manager = Manager::start_with_stderr(Stdio::null(), "2>/dev/full", &IDLE_SOON);
    Metrics::until(&manager, "lost lines are counted", has_lost_lines).await;
    assert_service_works(manager).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_works_after_the_reader_of_the_log_has_closed_the_pipe() {
    let (reader, writer) = pipe().expect("a pipe");
    drop(reader);
    let manager = Manager::start_with_stderr(Stdio::from(writer), "", &IDLE_SOON);
    Metrics::until(&manager, "lost lines are counted", has_lost_lines).await;
    assert_service_works(manager).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_works_while_the_reader_of_the_log_stalls() {
    let (_reader, writer) = full_pipe();
    let manager = Manager::start_with_stderr(Stdio::from(writer), "", &IDLE_SOON);
    assert_service_works(manager).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_works_if_stderr_is_closed() {
    let manager = Manager::start_with_stderr(Stdio::null(), "2>&-", &IDLE_SOON);
    assert_service_works(manager).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_lines_are_reported_when_the_reader_of_the_log_continues() {
    let (reader, writer) = full_pipe();
    let manager = Manager::start_with_stderr(Stdio::from(writer), "", &[]);
    // The log contains the path of each request.
    let path = format!("/{}", "x".repeat(50_000));
    for _ in 0..100 {
        assert_eq!(manager.get(&path).await.status, 404);
    }
    Metrics::until(&manager, "lost lines are counted", has_lost_lines).await;
    let lines = lines_of(reader);
    until("the log contains the number of lost lines", || async {
        let lines = lines.lock().expect("lines");
        let parsed = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        parsed.filter_map(|line| line["fields"]["lost"].as_u64()).any(|lost| lost > 0)
    })
    .await;
    let lines = lines.lock().expect("lines").join("\n");
    assert!(lines.contains("listening"), "the lines before the loss are missing");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_setting_ends_the_manager_even_if_stderr_is_full() {
    let (_reader, writer) = full_pipe();
    let began = Instant::now();
    let mut manager = Manager::start_with_stderr(Stdio::from(writer), "", &[("PORT", "x")]);
    assert_eq!(manager.exit_code().await, 64);
    let took = began.elapsed();
    assert!(took < Duration::from_secs(8), "the manager exited only after {took:?}");
}
