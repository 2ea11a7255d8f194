//! The effects of a manager's restart on players and clients. After a restart or a stop, the manager continues a
//! playlist from the file `continuation.json`, which is in the directory of the stream.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;

use crate::support::{
    Camera, FAKETIME, Manager, Nginx, Playlist, assert_continuous, start_live, start_service, until,
};

/// Everything that a player has got of a stream so far.
#[derive(Default)]
struct Viewer {
    /// The bytes of the segments, also of segments that are not finished.
    segments: BTreeMap<u64, Vec<u8>>,
    /// The lines of each finished segment in the playlists, without the lines of its parts and its date.
    entries: BTreeMap<u64, String>,
    /// The dates of the segments. While a playlist contains an interruption, it lists no dates.
    dates: BTreeMap<u64, String>,
    init_files: Vec<String>,
    discontinuities: Option<u64>,
}

impl Viewer {
    /// Loads the playlist and all its segments, and checks that nothing that is known has changed. Returns the
    /// playlist.
    async fn load(&mut self, nginx: &Nginx) -> Playlist {
        let playlist = Playlist::fetch(nginx, "cam").await.expect("a playlist");
        let text = nginx.get("/streams/cam/stream.m3u8").await.text().await.expect("a playlist");
        for (number, entry, date) in entries(&text) {
            let known = self.entries.entry(number).or_insert_with(|| entry.clone());
            assert_eq!(*known, entry, "segment {number} has changed");
            if let Some(date) = date {
                let known = self.dates.entry(number).or_insert_with(|| date.clone());
                assert_eq!(*known, date, "the date of segment {number} has changed");
            }
        }
        if let Some(last) = self.segments.keys().last() {
            assert!(
                playlist.first() <= *last,
                "the playlist lists none of the known segments; the last one is {last}"
            );
        }
        let discontinuities = *self.discontinuities.get_or_insert(playlist.discontinuities());
        assert_eq!(playlist.discontinuities(), discontinuities);
        for init in playlist.init_files() {
            if !self.init_files.contains(&init) {
                self.init_files.push(init);
            }
        }
        for number in playlist.first()..=playlist.last() + 1 {
            let response = nginx.get(&format!("/streams/cam/{number}.m4s")).await;
            if response.status() == 404 {
                assert!(number > playlist.last(), "segment {number} is missing");
                continue;
            }
            assert_eq!(response.status(), 200);
            let bytes = response.bytes().await.expect("a complete response");
            let known = self.segments.insert(number, bytes.to_vec()).unwrap_or_default();
            assert!(bytes.starts_with(&known), "segment {number} has other content than before");
        }
        playlist
    }

    /// Checks that the media of all loaded segments can be decoded and has no gap.
    async fn assert_continuous(&self, nginx: &Nginx) {
        let [init] = self.init_files.as_slice() else { panic!("{:?}", self.init_files) };
        let response = nginx.get(&format!("/streams/cam/{init}")).await;
        assert_eq!(response.status(), 200);
        let media = tempfile::NamedTempFile::new().expect("a file");
        let write = |bytes: &[u8]| media.as_file().write_all(bytes).expect("a write");
        write(&response.bytes().await.expect("a complete response"));
        let numbers: Vec<_> = self.segments.keys().copied().collect();
        assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{numbers:?}");
        self.segments.values().for_each(|bytes| write(bytes));
        assert_continuous(media.path().to_str().expect("a path")).await;
    }
}

/// Returns for each finished segment of a playlist: its number, its lines without those of its parts and its date, and
/// its date.
fn entries(playlist: &str) -> Vec<(u64, String, Option<String>)> {
    let mut entries = Vec::new();
    let (mut entry, mut date) = (String::new(), None);
    for line in playlist.lines().skip_while(|line| !line.starts_with("#EXT-X-DISCONTINUITY-")) {
        let is_part = line.starts_with("#EXT-X-PART:") || line.starts_with("#EXT-X-MAP:");
        if let Some(number) = line.strip_suffix(".m4s") {
            entries.push((
                number.parse().expect("a number"),
                std::mem::take(&mut entry),
                date.take(),
            ));
        } else if line.starts_with("#EXT-X-PROGRAM-DATE-TIME:") {
            date = Some(line.to_owned());
        } else if !is_part && !line.starts_with("#EXT-X-DISCONTINUITY-") {
            entry.push_str(line);
        }
    }
    entries
}

/// Waits until the camera's playlist has `count` segments.
async fn has_segments(nginx: &Nginx, count: u64) {
    until("the playlist has enough segments", || async {
        let playlist = Playlist::fetch(nginx, "cam").await.expect("a playlist");
        playlist.last() >= playlist.first() + count - 1
    })
    .await;
}

/// Waits until a segment is finished that had not begun when `before` was loaded.
async fn has_later_segment(nginx: &Nginx, before: &Playlist) {
    until("the playlist continues", || async {
        let now = Playlist::fetch(nginx, "cam").await.expect("a playlist");
        now.last() > before.last() + 1
    })
    .await;
}

async fn restart(manager: &mut Manager, signal: Signal, settings: &[(&str, &str)]) {
    manager.signal(signal);
    manager.exit_code().await;
    *manager = manager.start_again(settings).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_playlist_continues_after_a_restart() {
    for mount in ["h264", "h264-pcmu", "h264-aac"] {
        let (camera, mut manager, nginx) = start_live(mount, &[]).await;
        let mut viewer = Viewer::default();
        has_segments(&nginx, 6).await;
        for signal in [Signal::SIGTERM, Signal::SIGKILL] {
            let before = viewer.load(&nginx).await;
            restart(&mut manager, signal, &[]).await;
            manager.play("cam", &camera.link(mount)).await;
            viewer.load(&nginx).await;
            has_later_segment(&nginx, &before).await;
            viewer.load(&nginx).await;
        }
        viewer.assert_continuous(&nginx).await;
        assert!(!manager.log().contains("begins a new playlist"), "{}", manager.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_playlist_continues_after_a_stop() {
    let (camera, manager, nginx) = start_live("h264-pcmu", &[]).await;
    let mut viewer = Viewer::default();
    has_segments(&nginx, 6).await;
    for _ in 0..2 {
        let before = viewer.load(&nginx).await;
        assert_eq!(manager.stop_stream("cam").await.status, 200);
        manager.play("cam", &camera.link("h264-pcmu")).await;
        viewer.load(&nginx).await;
        has_later_segment(&nginx, &before).await;
    }
    viewer.load(&nginx).await;
    viewer.assert_continuous(&nginx).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_playlist_continues_after_a_restart_whatever_the_clock_is() {
    assert!(Path::new(FAKETIME).exists(), "install libfaketime with: apt-get install libfaketime");
    let an_hour_ago =
        [("LD_PRELOAD", FAKETIME), ("FAKETIME", "-1h"), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")];
    let (camera, mut manager, nginx) = start_live("h264", &[]).await;
    let mut viewer = Viewer::default();
    for (signal, settings) in [
        (Signal::SIGTERM, an_hour_ago.as_slice()),
        (Signal::SIGKILL, an_hour_ago.as_slice()),
        (Signal::SIGTERM, &[]),
    ] {
        has_segments(&nginx, 3).await;
        let before = viewer.load(&nginx).await;
        restart(&mut manager, signal, settings).await;
        manager.play("cam", &camera.link("h264")).await;
        viewer.load(&nginx).await;
        has_later_segment(&nginx, &before).await;
        let after = viewer.load(&nginx).await;
        assert!(after.discontinuities() < 20, "the discontinuity number is too large");
    }
    until("the playlist lists dates", || async {
        let text = nginx.get("/streams/cam/stream.m3u8").await.text().await.expect("a playlist");
        let dates = text.lines().filter_map(|line| line.strip_prefix("#EXT-X-PROGRAM-DATE-TIME:"));
        let dates: Vec<_> = dates.collect();
        assert!(dates.is_sorted(), "{dates:?}");
        !dates.is_empty()
    })
    .await;
    viewer.load(&nginx).await;
    viewer.assert_continuous(&nginx).await;
}

/// Starts a stream of `mount`, and calls `change`. Returns the playlists before and after the call, and the log.
async fn first_after(
    mount: &str,
    change: impl AsyncFnOnce(&Camera, &mut Manager, &Nginx),
) -> (Playlist, Playlist, String) {
    let (camera, mut manager, nginx) = start_live(mount, &[]).await;
    has_segments(&nginx, 4).await;
    let before = Playlist::fetch(&nginx, "cam").await.expect("a playlist");
    change(&camera, &mut manager, &nginx).await;
    let after = Playlist::fetch(&nginx, "cam").await.expect("a playlist");
    (before, after, manager.log())
}

/// A camera must never show the media of another one, and no number of a segment is used twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_playlist_begins_after_a_change_of_the_camera() {
    let other = "h264-aac-16k";
    let source_changed = first_after("h264", async |camera, manager, nginx| {
        let before = Playlist::fetch(nginx, "cam").await.expect("a playlist");
        manager.stop_stream("cam").await;
        let input = json!({ "rtsp_link": camera.link(other) });
        assert!(manager.put("/api/cameras/cam", &input).await.status.is_success());
        for file in before.files() {
            let response = nginx.get(&format!("/streams/cam/{file}")).await;
            assert_eq!(response.status(), 404, "{file} is still there");
        }
        manager.play("cam", &camera.link(other)).await;
    });
    let source_changed_by_start = first_after("h264", async |camera, manager, _| {
        restart(manager, Signal::SIGKILL, &[]).await;
        manager.play("cam", &camera.link(other)).await;
    });
    let owner_changed = first_after("h264", async |camera, manager, _| {
        let input = json!({ "rtsp_link": camera.link("h264"), "owner": "another" });
        assert!(manager.put("/api/cameras/cam", &input).await.status.is_success());
        restart(manager, Signal::SIGTERM, &[]).await;
        manager.play("cam", &camera.link("h264")).await;
    });
    let made_again = first_after("h264", async |camera, manager, nginx| {
        let before = Playlist::fetch(nginx, "cam").await.expect("a playlist");
        assert!(manager.delete("/api/cameras/cam").await.status.is_success());
        assert!(!manager.stream_dir().join("cam").exists());
        manager.play("cam", &camera.link("h264")).await;
        for file in before.files() {
            let response = nginx.get(&format!("/streams/cam/{file}")).await;
            assert_eq!(response.status(), 404, "{file} is still there");
        }
    });
    let cases = [
        ("another source", source_changed.await),
        ("another source after a restart", source_changed_by_start.await),
        ("another owner", owner_changed.await),
        ("a camera that was deleted and added again", made_again.await),
    ];
    for (case, (before, after, log)) in cases {
        assert!(after.first() > before.last(), "{case}: {} {}", before.last(), after.first());
        assert!(after.discontinuities() > before.discontinuities(), "{case}");
        assert_eq!(log.matches("WARN").count(), 0, "{case}: {log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_continuation_is_ignored_with_one_line() {
    for (signal, damage) in
        [(Signal::SIGTERM, "garbage"), (Signal::SIGKILL, "{\"version\":2}"), (Signal::SIGKILL, "")]
    {
        let (before, after, log) = first_after("h264", async |camera, manager, _| {
            manager.signal(signal);
            manager.exit_code().await;
            let file = manager.stream_dir().join("cam/continuation.json");
            std::fs::write(file, damage).expect("a write");
            *manager = manager.start_again(&[]).await;
            manager.play("cam", &camera.link("h264")).await;
        })
        .await;
        assert!(after.first() > before.last(), "{} {}", before.last(), after.first());
        let lines = log.matches("the playlist of an earlier stream does not continue").count();
        assert_eq!((lines, log.matches("WARN").count()), (1, 0), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_does_not_serve_the_continuation() {
    let (camera, manager, nginx) = start_service(&[]).await;
    manager.play("cam", &camera.link_with_credentials("private")).await;
    has_segments(&nginx, 2).await;
    let file = manager.stream_dir().join("cam/continuation.json");
    let text = std::fs::read_to_string(file).expect("a file");
    assert!(!text.contains(camera.password()) && !text.contains("rtsp"), "{text}");
    for name in ["continuation.json", "continuation.json.next"] {
        assert_eq!(nginx.get(&format!("/streams/cam/{name}")).await.status(), 404, "{name}");
    }
}

/// The manager writes `continuation.json` when a segment begins. Writing it for every part would cost too much.
#[tokio::test(flavor = "multi_thread")]
async fn the_continuation_is_written_once_per_segment() {
    let (_camera, manager, nginx) = start_live("h264", &[]).await;
    has_segments(&nginx, 6).await;
    let file = manager.stream_dir().join("cam/continuation.json");
    let inode = || {
        use std::os::unix::fs::MetadataExt as _;
        std::fs::metadata(&file).map(|it| (it.ino(), it.mtime(), it.mtime_nsec())).expect("a file")
    };
    let first = Playlist::fetch(&nginx, "cam").await.expect("a playlist").last();
    let (mut versions, mut last, began) = (0, inode(), Instant::now());
    while began.elapsed() < Duration::from_secs(6) {
        let now = inode();
        versions += u64::from(now != last);
        last = now;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let segments = Playlist::fetch(&nginx, "cam").await.expect("a playlist").last() - first;
    assert!(versions.abs_diff(segments) <= 1, "{versions} files for {segments} segments");
    assert!(std::fs::metadata(&file).expect("a file").len() < 20_000);
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
async fn without_keys_the_manager_does_not_start_with_a_socket_that_other_machines_can_reach() {
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
