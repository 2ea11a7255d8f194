//! The effects of a manager's restart on players and clients.

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::support::{Camera, Manager, Nginx, Playlist, start_live, until};

/// A library that makes a program see another time.
const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

/// Waits until the camera's playlist has `count` segments, and returns it.
async fn playlist_of(nginx: &Nginx, count: u64) -> Playlist {
    let fetch = || async { Playlist::fetch(nginx, "cam").await.expect("a playlist") };
    until("the playlist has enough segments", || async {
        let playlist = fetch().await;
        playlist.last() >= playlist.first() + count - 1
    })
    .await;
    fetch().await
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_continue_after_a_restart_whatever_time_the_clock_shows() {
    assert!(Path::new(FAKETIME).exists(), "install libfaketime with: apt-get install libfaketime");
    let an_hour_ago =
        [("LD_PRELOAD", FAKETIME), ("FAKETIME", "-1h"), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")];
    let (camera, mut manager, mut nginx) = start_live("h264", &[]).await;
    for (signal, settings) in [
        (Signal::SIGTERM, an_hour_ago.as_slice()),
        (Signal::SIGKILL, an_hour_ago.as_slice()),
        (Signal::SIGTERM, &[]),
    ] {
        let before = playlist_of(&nginx, 3).await;
        drop(nginx);
        manager.signal(signal);
        manager.exit_code().await;
        manager = manager.start_again(settings).await;
        nginx = Nginx::start(&manager).await;
        manager.play("cam", &camera.link("h264")).await;
        let after = playlist_of(&nginx, 1).await;
        // The playlist also announced the segment after the last finished segment. Another segment can have
        // begun before the signal arrived.
        let next = before.last() + 2..=before.last() + 4;
        assert!(next.contains(&after.first()), "{signal}: {} {}", before.last(), after.first());
        let discontinuity = after.discontinuities() - before.discontinuities();
        assert!((1..=4).contains(&discontinuity), "{signal}: {discontinuity}");
        assert!(after.discontinuities() < 20, "the discontinuity number is too large");
    }
}

/// systemd keeps the listening socket open while the manager restarts.
#[tokio::test(flavor = "multi_thread")]
async fn requests_wait_during_a_restart_if_systemd_holds_the_socket() {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let mut manager = Manager::start_with_socket(&socket).await;
    let address = socket.local_addr().expect("an address");
    assert_eq!(manager.address(), address.to_string());
    manager.signal(Signal::SIGTERM);
    assert_eq!(manager.exit_code().await, 0);
    let client =
        reqwest::Client::builder().timeout(Duration::from_mins(1)).build().expect("a client");
    let waiting = tokio::spawn(client.get(format!("http://{address}/livez")).send());
    let next = manager.start_again_with_socket(&socket).await;
    assert_eq!(waiting.await.expect("a task").expect("a response").status(), 200);
    let camera = Camera::start().await;
    next.play("cam", &camera.link("h264")).await;
    for ffmpeg in next.ffmpegs() {
        assert!(!has_descriptor(ffmpeg, &name_of(&socket)), "FFmpeg has inherited the socket");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_of_systemd_that_other_machines_can_reach_fails_the_start_if_no_key_is_needed() {
    for address in ["0.0.0.0:0", "[::]:0"] {
        let Ok(socket) = TcpListener::bind(address) else { continue };
        let dir = tempfile::tempdir().expect("a directory");
        let (code, stderr) = Manager::run_to_exit_with_socket(&dir, &socket, &[]);
        assert_eq!(code, Some(64), "{stderr}");
        let address = socket.local_addr().expect("an address").to_string();
        for text in [address.as_str(), "ListenStream", "ALLOW_ANONYMOUS=false"] {
            assert!(stderr.contains(text), "{text}: {stderr}");
        }
        let files = std::fs::read_dir(dir.path()).expect("a directory").count();
        assert_eq!(files, 0, "the manager has created files");
    }
}

/// Returns the name of the socket in `/proc`.
fn name_of(socket: &TcpListener) -> String {
    use std::os::fd::AsRawFd as _;
    let link = std::fs::read_link(format!("/proc/self/fd/{}", socket.as_raw_fd())).expect("a link");
    link.to_string_lossy().into_owned()
}

/// Returns whether a process has a descriptor of the file with this name in `/proc`.
fn has_descriptor(pid: u32, name: &str) -> bool {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("descriptors");
    entries.flatten().any(|entry| {
        std::fs::read_link(entry.path()).is_ok_and(|link| link.to_string_lossy() == name)
    })
}
