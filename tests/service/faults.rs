//! Faults that pass: what a viewer sees meanwhile, what the API says, and that the stream comes back by
//! itself when the cause is gone, while other streams notice nothing.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{
    Camera, Manager, Nginx, Playlist, eventually, is_running, on_air, play, until,
};

const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

fn send(process: u32, signal: Signal) {
    kill(Pid::from_raw(process.try_into().expect("an id")), signal).expect("a process");
}

/// The FFmpeg of a stream, as the log tells it.
fn ffmpeg_of(manager: &Manager, id: &str) -> u32 {
    let started = |line: &serde_json::Value| {
        let spans = line["spans"].as_array().cloned().unwrap_or_default();
        let is_its = spans.iter().any(|span| span["camera"] == id);
        (is_its && line["fields"]["message"] == "FFmpeg started")
            .then(|| line["fields"]["pid"].as_u64())?
    };
    let id = manager.log_lines().iter().rev().find_map(started).expect("an FFmpeg");
    id.try_into().expect("a process id")
}

/// A stream has another fault than before, comes back, and the other one has noticed nothing.
async fn comes_back_alone(manager: &Manager, nginx: &Nginx, generation: u64) {
    until("the stream is back", || async {
        let status = manager.status("cam").await;
        status["state"] == "live" && status["generation"].as_u64() > Some(generation)
    })
    .await;
    play(&nginx.playlist("cam"), 2).await;
    let other = manager.status("other").await;
    assert_eq!((&other["state"], &other["restarts"]), (&"live".into(), &0.into()), "{other}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ffmpeg_that_crashes_or_hangs_is_replaced_and_others_go_on() {
    let (camera, manager, nginx) =
        on_air("h264", &[("STALE_TIMEOUT_SECONDS", "2"), ("STOP_GRACE_SECONDS", "1")]).await;
    manager.play("other", &camera.link("h264")).await;
    for (signal, code) in
        [(Signal::SIGSEGV, "source_unreachable"), (Signal::SIGSTOP, "source_timeout")]
    {
        let before = Playlist::fetch(&nginx, "cam").await.expect("a playlist");
        let generation = manager.status("cam").await["generation"].as_u64().expect("a number");
        let ffmpeg = ffmpeg_of(&manager, "cam");
        send(ffmpeg, signal);
        until("the fault is told", || async {
            manager.status("cam").await["last_error"]["code"] == code
        })
        .await;
        Playlist::fetch(&nginx, "cam").await.expect("the playlist stays");
        comes_back_alone(&manager, &nginx, generation).await;
        assert!(!is_running(ffmpeg), "it was left behind");
        let after = Playlist::fetch(&nginx, "cam").await.expect("a playlist");
        assert!(after.last() > before.last() && after.discontinuities() > before.discontinuities());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_that_changes_its_codec_while_it_is_watched_comes_back() {
    let mut camera = Camera::start_with(&["--alias", "live=h264"]).await;
    let manager = Manager::start(&[]).await;
    let nginx = Nginx::start(&manager).await;
    manager.play("cam", &camera.link("live")).await;
    manager.play("other", &camera.link("h264")).await;
    for (mount, transcoded) in [("mjpeg", true), ("h264", false)] {
        let generation = manager.status("cam").await["generation"].as_u64();
        camera.kill();
        camera.come_back_with(&["--alias", &format!("live={mount}")]).await;
        let status = eventually("the stream is back", || async {
            Playlist::fetch(&nginx, "cam").await;
            let status = manager.status("cam").await;
            let is_back = status["state"] == "live" && status["generation"].as_u64() > generation;
            is_back.then_some(status)
        })
        .await;
        assert_eq!(status["media"]["transcoded"], transcoded, "{mount}: {status}");
        // FFmpeg as a viewer does not take over other parameters in mid-play, as browsers do.
        until("the old pictures have left the playlist", || async {
            Playlist::fetch(&nginx, "cam").await.is_some_and(|now| now.maps().len() == 1)
        })
        .await;
        play(&nginx.playlist("cam"), 2).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_packets_cost_pictures_and_not_the_stream() {
    let (_camera, manager, nginx) = on_air("h264-lossy", &[]).await;
    let first = Playlist::fetch(&nginx, "cam").await.expect("a playlist");
    until("some segments have come", || async {
        Playlist::fetch(&nginx, "cam").await.is_some_and(|now| now.last() > first.last() + 3)
    })
    .await;
    let status = manager.status("cam").await;
    assert_eq!((&status["state"], &status["restarts"]), (&"live".into(), &0.into()), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_file_descriptors_starts_are_refused_with_the_reason_and_what_runs_goes_on() {
    let (camera, manager, nginx) = on_air("h264", &[]).await;
    let limit = |files: &str| {
        let mut command = Command::new("prlimit");
        command.args(["--pid", &manager.id().to_string(), &format!("--nofile={files}")]);
        assert!(command.status().expect("prlimit").success());
    };
    let open = fs::read_dir(format!("/proc/{}/fd", manager.id())).expect("descriptors").count();
    // Room for requests and for the segment that is written, and none for another FFmpeg.
    limit(&format!("{}:4096", open + 4));
    let refused = manager.start_stream("other", &camera.link("h264")).await;
    assert_eq!(refused.status, 503, "{refused:?}");
    let detail = refused.body["detail"].as_str().unwrap_or_default();
    assert!(detail.contains("Too many open files"), "{refused:?}");
    limit("4096:4096");
    manager.play("other", &camera.link("h264")).await;
    play(&nginx.playlist("cam"), 2).await;
    let status = manager.status("cam").await;
    assert_eq!((&status["state"], &status["restarts"]), (&"live".into(), &0.into()), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_processes_starts_are_refused_with_the_reason_and_what_runs_goes_on() {
    let camera = Camera::start().await;
    let manager = Manager::start_as_nobody(&[("FFMPEG_BIN", "ffmpeg")]).await;
    let nginx = Nginx::start(&manager).await;
    manager.play("cam", &camera.link("h264")).await;
    manager.limit_processes(1);
    let refused = manager.start_stream("other", &camera.link("h264")).await;
    assert_eq!(refused.status, 503, "{refused:?}");
    assert_eq!(refused.body["code"], "ffmpeg_unavailable", "{refused:?}");
    let detail = refused.body["detail"].as_str().unwrap_or_default();
    assert!(detail.contains("Resource temporarily unavailable"), "{refused:?}");
    manager.limit_processes(4096);
    manager.play("other", &camera.link("h264")).await;
    play(&nginx.playlist("cam"), 2).await;
    let status = manager.status("cam").await;
    assert_eq!((&status["state"], &status["restarts"]), (&"live".into(), &0.into()), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_disturbs_nobody() {
    assert!(Path::new(FAKETIME).exists(), "apt-get install libfaketime");
    let dir = tempfile::tempdir().expect("a directory");
    let offset = dir.path().join("offset");
    // Only what the time of day is, not what passes.
    let fake = [
        ("LD_PRELOAD", FAKETIME),
        ("FAKETIME_TIMESTAMP_FILE", offset.to_str().expect("a path")),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ("FAKETIME_NO_CACHE", "1"),
    ];
    fs::write(&offset, "+0\n").expect("a file");
    let (_camera, manager, nginx) = on_air("h264", &fake).await;
    for jump in ["+3600\n", "-86400\n", "+0\n"] {
        let before = Playlist::fetch(&nginx, "cam").await.expect("a playlist");
        // In one step, so that nobody reads half of it.
        let next = dir.path().join("next");
        fs::write(&next, jump).expect("a file");
        fs::rename(&next, &offset).expect("a file");
        until("the stream goes on", || async {
            Playlist::fetch(&nginx, "cam").await.is_some_and(|now| now.last() > before.last() + 1)
        })
        .await;
        let status = manager.status("cam").await;
        assert_eq!(
            (&status["state"], &status["restarts"]),
            (&"live".into(), &0.into()),
            "{status}"
        );
        let started = status["started_at"].as_str().expect("a time").to_owned();
        let started = humantime::parse_rfc3339(&started).expect("a time");
        let age = SystemTime::now().duration_since(started).unwrap_or_default();
        assert!(age < Duration::from_mins(2), "the clock of the test itself: {age:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_nginx_that_is_restarted_finds_the_streams_as_they_were() {
    let (_camera, manager, nginx) = on_air("h264", &[]).await;
    let before = Playlist::fetch(&nginx, "cam").await.expect("a playlist");
    drop(nginx);
    let nginx = Nginx::start(&manager).await;
    play(&nginx.playlist("cam"), 2).await;
    let after = Playlist::fetch(&nginx, "cam").await.expect("a playlist");
    assert!(after.last() > before.last());
    assert_eq!(after.discontinuities(), before.discontinuities());
    assert_eq!(manager.status("cam").await["restarts"], 0);
}
