//! Disks that are full, slow, hanging, read-only or away while cameras are recorded.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::recordings::{
    RECORDINGS, assert_decodes, assert_plays, clocks, grows_to, is_closed, put_recorded,
    recorded_files,
};
use crate::support::{Camera, Disk, Manager, Metrics, Nginx, Playlist, project_dir, until};

/// Waits until an event of each of these types is in the log of events.
async fn has_events(manager: &Manager, types: &[&str]) {
    until(&format!("there are the events {types:?}"), || async {
        let events = manager.get("/api/events").await.body.to_string();
        types.iter().all(|name| events.contains(name))
    })
    .await;
}

/// Waits until `/readyz` and the metrics show a problem of the recordings whose text contains `part`.
async fn is_reported(manager: &Manager, part: &str) {
    until(&format!("{part:?} is reported"), || async {
        let ready = manager.get("/readyz").await;
        let metrics = Metrics::fetch(manager).await;
        ready.status == 503
            && ready.body.to_string().contains(part)
            && metrics.value("stream_manager_ready{check=\"recordings\"}") == Some(0.0)
    })
    .await;
}

async fn is_ready(manager: &Manager) {
    until("the manager is ready", || async { manager.get("/readyz").await.status == 200 }).await;
}

/// Asserts that viewers get further segments.
async fn assert_live(manager: &Manager, nginx: &Nginx) {
    let before = Playlist::fetch(nginx, "cam").await.expect("a playlist").last();
    until("live video continues", || async {
        Playlist::fetch(nginx, "cam").await.is_some_and(|now| now.last() > before)
    })
    .await;
    assert_eq!(manager.status("cam").await["restarts"], 0);
}

/// Runs a command in the mount namespace of the manager.
fn in_namespace(manager: &Manager, arguments: &[&str]) {
    let target = manager.pid().to_string();
    let is_root = nix::unistd::geteuid().is_root();
    let user: &[&str] = if is_root { &[] } else { &["--user", "--preserve-credentials"] };
    let mut command = Command::new("nsenter");
    command.args(["--target", &target, "--mount"]).args(user).arg("--").args(arguments);
    assert!(command.status().expect("nsenter").success(), "{arguments:?}");
}

/// A camera that is recorded onto a small disk, and watched live.
struct Setup {
    camera: Camera,
    manager: Manager,
    nginx: Nginx,
    disk: Disk,
}

impl Setup {
    async fn new() -> Self {
        let camera = Camera::start().await;
        let settings = [("RECORDINGS_DIRS", "disk")];
        let (manager, disk) = Manager::start_with_disk("64m", &settings).await;
        put_recorded("cam", &manager, &camera.link("h264"), json!({ "mode": "continuous" })).await;
        let nginx = Nginx::start(&manager).await;
        manager.play("cam", &camera.link("h264")).await;
        grows_to(&disk.root(), 100_000).await;
        Self { camera, manager, nginx, disk }
    }

    /// Waits until the recording continues in a file after the first `count` ones, and everything is well.
    async fn recovers(&self, count: usize) {
        until("the recording continues", || async {
            recorded_files(&self.disk.root()).len() > count
        })
        .await;
        is_ready(&self.manager).await;
        has_events(&self.manager, &["recording.resumed", "storage.recovered"]).await;
        let last = recorded_files(&self.disk.root()).pop().expect("a file");
        grows_to(&last, 200_000).await;
    }

    /// Ends the recording. Asserts that all files play.
    async fn assert_files_play(&self) {
        let off = json!({ "mode": "off" });
        put_recorded("cam", &self.manager, &self.camera.link("h264"), off).await;
        until("all files are closed", || async {
            recorded_files(&self.disk.root()).iter().all(|path| is_closed(path))
        })
        .await;
        for path in recorded_files(&self.disk.root()) {
            assert_plays(&clocks(&path));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_interrupts_the_recording_and_nothing_else() {
    let setup = Setup::new().await;
    setup.disk.fill();
    has_events(&setup.manager, &["recording.interrupted", "storage.full"]).await;
    is_reported(&setup.manager, "full").await;
    assert_live(&setup.manager, &setup.nginx).await;
    let count = recorded_files(&setup.disk.root()).len();
    setup.disk.free();
    let began = Instant::now();
    setup.recovers(count).await;
    assert!(began.elapsed() < Duration::from_secs(30));
    // The disk had no space for the table of the first file. The table is added later.
    setup.assert_files_play().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_becomes_read_only_interrupts_the_recording_and_nothing_else() {
    let setup = Setup::new().await;
    let path = setup.disk.path.to_str().expect("a path");
    // Files that are open for writing keep a disk from becoming read-only, unless the system does that after an error.
    in_namespace(&setup.manager, &["mount", "--bind", path, path]);
    in_namespace(&setup.manager, &["mount", "-o", "remount,bind,ro", path]);
    has_events(&setup.manager, &["recording.interrupted", "storage.failed"]).await;
    is_reported(&setup.manager, "read-only").await;
    assert_live(&setup.manager, &setup.nginx).await;
    let count = recorded_files(&setup.disk.root()).len();
    in_namespace(&setup.manager, &["mount", "-o", "remount,bind,rw", path]);
    setup.recovers(count).await;
    setup.assert_files_play().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_vanishes_interrupts_the_recording_and_nothing_else() {
    let setup = Setup::new().await;
    let path = setup.disk.path.to_str().expect("a path");
    let other = setup.disk.path.with_extension("other");
    fs::create_dir(&other).expect("a directory");
    let other = other.to_str().expect("a path");
    in_namespace(&setup.manager, &["mount", "--bind", path, other]);
    in_namespace(&setup.manager, &["umount", "--lazy", path]);
    has_events(&setup.manager, &["recording.interrupted", "storage.failed"]).await;
    is_reported(&setup.manager, "marker").await;
    assert_live(&setup.manager, &setup.nginx).await;
    let left = fs::read_dir(setup.disk.root()).expect("the place of the disk").count();
    assert_eq!(left, 0, "something was stored in the empty place of the disk");
    in_namespace(&setup.manager, &["mount", "--bind", other, path]);
    let count = recorded_files(&setup.disk.root()).len();
    setup.recovers(count).await;
    setup.assert_files_play().await;
}

/// Compiles the library that makes a disk slow. Returns its path.
fn slow_disk(dir: &Path) -> PathBuf {
    let source = project_dir().join("tests/service/children/slow_disk.c");
    let library = dir.join("slow_disk.so");
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).arg("-ldl");
    assert!(compiler.status().expect("a C compiler").success());
    library
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_hangs_delays_the_recording_and_nothing_else() {
    let files = tempfile::tempdir().expect("a directory");
    let (library, control) = (slow_disk(files.path()), files.path().join("milliseconds"));
    let slow = [
        RECORDINGS,
        ("LD_PRELOAD", library.to_str().expect("a path")),
        ("SLOW_DISK", control.to_str().expect("a path")),
    ];
    let camera = Camera::start().await;
    let manager = Manager::start(&slow).await;
    let (dir, nginx) = (manager.dir().path().join("recordings"), Nginx::start(&manager).await);
    put_recorded("cam", &manager, &camera.link("h264"), json!({ "mode": "continuous" })).await;
    manager.play("cam", &camera.link("h264")).await;
    grows_to(&dir, 100_000).await;
    // Each write takes three seconds. Then nothing is written at all.
    for delay in ["3000", "600000"] {
        fs::write(&control, delay).expect("a file");
        is_reported(&manager, "more slowly").await;
        has_events(&manager, &["storage.slow"]).await;
        assert_live(&manager, &nginx).await;
    }
    fs::remove_file(&control).expect("a file");
    // The finding stays for a minute.
    let size = fs::metadata(&recorded_files(&dir)[0]).expect("a file").len();
    grows_to(&dir, size + 200_000).await;
    put_recorded("cam", &manager, &camera.link("h264"), json!({ "mode": "off" })).await;
    until("the file is closed", || async {
        recorded_files(&dir).iter().all(|path| is_closed(path))
    })
    .await;
    // No frame is missing, because the frames waited in memory.
    let found = recorded_files(&dir);
    let [path] = found.as_slice() else { panic!("{found:?}") };
    assert_decodes(path);
    assert_plays(&clocks(path));
    let metrics = Metrics::fetch(&manager).await;
    assert_eq!(metrics.value("stream_manager_recording_missed_frames_total"), Some(0.0));
}
