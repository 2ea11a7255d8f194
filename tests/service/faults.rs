//! Temporary faults: what viewers receive during a fault, what the API reports, and that streams
//! recover automatically without affecting other streams.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::{
    Camera, FAKETIME, Manager, Nginx, Playlist, eventually, is_running, play, send_signal,
    start_live, until,
};

/// Returns the process ID of a stream's FFmpeg, according to the log.
fn ffmpeg_of(manager: &Manager, id: &str) -> u32 {
    let pid = |line: &Value| {
        let spans = line["spans"].as_array()?;
        let is_of_stream = spans.iter().any(|span| span["camera"] == id);
        line["fields"]["pid"].as_u64().filter(|_| is_of_stream)
    };
    let pid = manager.log_lines().iter().rev().find_map(pid).expect("an FFmpeg");
    pid.try_into().expect("a process ID")
}

/// Checks that a stream is live and has never been restarted.
async fn assert_undisturbed(manager: &Manager, id: &str) {
    let status = manager.status(id).await;
    assert_eq!((&status["state"], &status["restarts"]), (&"live".into(), &0.into()), "{status}");
}

/// Waits until stream "cam" is live in a newer epoch, and checks that stream "other" was not
/// disturbed.
async fn assert_recovers_alone(manager: &Manager, nginx: &Nginx, generation: u64) {
    until("the stream has recovered", || async {
        let status = manager.status("cam").await;
        status["state"] == "live" && status["generation"].as_u64() > Some(generation)
    })
    .await;
    play(&nginx.playlist("cam"), 2).await;
    assert_undisturbed(manager, "other").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ffmpeg_that_crashes_or_hangs_is_replaced_and_other_streams_continue() {
    let (camera, manager, nginx) =
        start_live("h264", &[("STALE_TIMEOUT_SECONDS", "2"), ("STOP_GRACE_SECONDS", "1")]).await;
    manager.play("other", &camera.link("h264")).await;
    for (signal, code) in
        [(Signal::SIGSEGV, "source_unreachable"), (Signal::SIGSTOP, "source_timeout")]
    {
        let before = Playlist::fetch(&nginx, "cam").await.expect("a playlist");
        let generation = manager.status("cam").await["generation"].as_u64().expect("a number");
        let ffmpeg = ffmpeg_of(&manager, "cam");
        send_signal(ffmpeg, signal);
        until("the status has the error", || async {
            manager.status("cam").await["last_error"]["code"] == code
        })
        .await;
        Playlist::fetch(&nginx, "cam").await.expect("a playlist during the fault");
        assert_recovers_alone(&manager, &nginx, generation).await;
        assert!(!is_running(ffmpeg), "the old FFmpeg is still running");
        let after = Playlist::fetch(&nginx, "cam").await.expect("a playlist");
        assert!(after.last() > before.last());
        assert_eq!(
            after.discontinuities(),
            before.discontinuities(),
            "a discontinuity although the format is the same"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_recovers_when_its_camera_changes_the_codec() {
    let mut camera = Camera::start_with(&["--alias", "live=h264"]).await;
    let manager = Manager::start(&[]).await;
    let nginx = Nginx::start(&manager).await;
    manager.play("cam", &camera.link("live")).await;
    manager.play("other", &camera.link("h264")).await;
    for (mount, transcoded) in [("mjpeg", true), ("h264", false)] {
        let generation = manager.status("cam").await["generation"].as_u64();
        camera.kill();
        camera.restart_with(&["--alias", &format!("live={mount}")]).await;
        let status = eventually("the stream has recovered", || async {
            Playlist::fetch(&nginx, "cam").await;
            let status = manager.status("cam").await;
            let is_live = status["state"] == "live" && status["generation"].as_u64() > generation;
            is_live.then_some(status)
        })
        .await;
        assert_eq!(status["media"]["transcoded"], transcoded, "{mount}: {status}");
        // FFmpeg is the player here. Unlike browsers, it does not support codec parameters that change.
        until("the old segments have left the playlist", || async {
            Playlist::fetch(&nginx, "cam").await.is_some_and(|now| now.init_files().len() == 1)
        })
        .await;
        play(&nginx.playlist("cam"), 2).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_packets_do_not_interrupt_the_stream() {
    let (_camera, manager, nginx) = start_live("h264-lossy", &[]).await;
    let first = Playlist::fetch(&nginx, "cam").await.expect("a playlist");
    until("the playlist has new segments", || async {
        Playlist::fetch(&nginx, "cam").await.is_some_and(|now| now.last() > first.last() + 3)
    })
    .await;
    assert_undisturbed(&manager, "cam").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn starts_without_free_file_descriptors_fail_with_the_reason_and_running_streams_continue() {
    let (camera, manager, nginx) = start_live("h264", &[]).await;
    let limit = |files: &str| {
        let mut command = Command::new("prlimit");
        command.args(["--pid", &manager.pid().to_string(), &format!("--nofile={files}")]);
        assert!(command.status().expect("prlimit").success());
    };
    let open = fs::read_dir(format!("/proc/{}/fd", manager.pid())).expect("descriptors").count();
    // Four more files are enough for requests and for the current segment, but not for another stream.
    limit(&format!("{}:4096", open + 4));
    let response = manager.start_stream("other", &camera.link("h264")).await;
    assert_eq!(response.status, 503, "{response:?}");
    assert_eq!(response.body["code"], "too_many_streams", "{response:?}");
    let detail = response.body["detail"].as_str().unwrap_or_default();
    assert!(detail.contains("LimitNOFILE"), "{response:?}");
    limit("4096:4096");
    manager.play("other", &camera.link("h264")).await;
    play(&nginx.playlist("cam"), 2).await;
    assert_undisturbed(&manager, "cam").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn starts_at_the_process_limit_fail_with_the_reason_and_running_streams_continue() {
    let camera = Camera::start().await;
    let manager = Manager::start_as_nobody(&[("FFMPEG_BIN", "ffmpeg")]).await;
    let nginx = Nginx::start(&manager).await;
    manager.play("cam", &camera.link("h264")).await;
    manager.limit_processes(1);
    let response = manager.start_stream("other", &camera.link("h264")).await;
    assert_eq!(response.status, 503, "{response:?}");
    assert_eq!(response.body["code"], "ffmpeg_unavailable", "{response:?}");
    let detail = response.body["detail"].as_str().unwrap_or_default();
    assert!(detail.contains("Resource temporarily unavailable"), "{response:?}");
    manager.limit_processes(4096);
    manager.play("other", &camera.link("h264")).await;
    play(&nginx.playlist("cam"), 2).await;
    assert_undisturbed(&manager, "cam").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jumping_system_clock_does_not_disturb_streams() {
    assert!(Path::new(FAKETIME).exists(), "install libfaketime with: apt-get install libfaketime");
    let dir = tempfile::tempdir().expect("a directory");
    let offset = dir.path().join("offset");
    // Only the time of day jumps. The monotonic clock does not.
    let fake = [
        ("LD_PRELOAD", FAKETIME),
        ("FAKETIME_TIMESTAMP_FILE", offset.to_str().expect("a path")),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ("FAKETIME_NO_CACHE", "1"),
    ];
    fs::write(&offset, "+0\n").expect("a file");
    let (_camera, manager, nginx) = start_live("h264", &fake).await;
    for jump in ["+3600\n", "-86400\n", "+0\n"] {
        let before = Playlist::fetch(&nginx, "cam").await.expect("a playlist");
        // Renaming is atomic, so the manager never reads an incomplete file.
        let next = dir.path().join("next");
        fs::write(&next, jump).expect("a file");
        fs::rename(&next, &offset).expect("a file");
        until("the stream continues", || async {
            Playlist::fetch(&nginx, "cam").await.is_some_and(|now| now.last() > before.last() + 1)
        })
        .await;
        assert_undisturbed(&manager, "cam").await;
        let status = manager.status("cam").await;
        let started = status["started_at"].as_str().expect("a time").to_owned();
        let started = humantime::parse_rfc3339(&started).expect("a time");
        let age = SystemTime::now().duration_since(started).unwrap_or_default();
        assert!(age < Duration::from_mins(2), "the stream started {age:?} ago");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_continue_when_nginx_is_restarted() {
    let (_camera, manager, nginx) = start_live("h264", &[]).await;
    let before = Playlist::fetch(&nginx, "cam").await.expect("a playlist");
    drop(nginx);
    let nginx = Nginx::start(&manager).await;
    play(&nginx.playlist("cam"), 2).await;
    let after = Playlist::fetch(&nginx, "cam").await.expect("a playlist");
    assert!(after.last() > before.last());
    assert_eq!(after.discontinuities(), before.discontinuities());
    assert_eq!(manager.status("cam").await["restarts"], 0);
}

/// Returns the names of the files in the directory of camera "cam".
fn segments(manager: &Manager) -> HashSet<OsString> {
    let entries = std::fs::read_dir(manager.stream_dir().join("cam")).expect("a directory");
    entries.map(|entry| entry.expect("an entry").file_name()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn starts_are_refused_early_enough_that_running_streams_can_still_open_files() {
    let camera = Camera::start().await;
    let manager = Manager::start_with_open_files(80, &[]).await;
    let warned = "only 80 are allowed, so at most 2 streams and 20 connections are accepted";
    assert!(manager.log().contains(warned), "{}", manager.log());
    for (id, mount) in [("cam", "h264-pcma"), ("other", "hevc-aac")] {
        manager.play(id, &camera.link(mount)).await;
    }
    let refused = manager.start_stream("third", &camera.link("h264")).await;
    assert_eq!(refused.status, 503, "{refused:?}");
    assert_eq!(refused.body["code"], "too_many_streams");
    let detail = refused.body["detail"].as_str().expect("a string");
    assert!(detail.contains("80 files") && detail.contains("LimitNOFILE"), "{detail}");

    // Open more connections than the manager can have open files.
    let connect = || std::net::TcpStream::connect(manager.address()).expect("a connection");
    let connections: Vec<_> = (0..100).map(|_| connect()).collect();
    let before = segments(&manager);
    until("the stream has new segments", || async {
        segments(&manager).difference(&before).count() >= 2
    })
    .await;
    drop(connections);
    assert!(!manager.log().contains("Too many open files"), "{}", manager.log());
}
