//! Disks that are full, read-only or missing, for the database and for the streams.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{ApiResponse, Camera, Manager, eventually, play, start_live, until};

const DATABASE: (&str, &str) = ("DATABASE_URL", "sqlite:disk/streams.db");

/// Returns the IDs of all cameras.
async fn camera_ids(manager: &Manager) -> Vec<String> {
    let response = manager.get("/api/cameras?limit=1000").await;
    let cameras = response.body["cameras"].as_array().expect("a list").clone();
    cameras.iter().filter_map(|camera| camera["id"].as_str().map(str::to_owned)).collect()
}

fn assert_is_storage_problem(response: &ApiResponse) {
    assert_eq!(response.status, 503, "{response:?}");
    assert_eq!(response.body["code"], "storage_unavailable", "{response:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_camera_is_lost_when_the_disk_of_the_database_is_full() {
    let (manager, disk) = Manager::start_with_disk("4m", &[DATABASE]).await;
    let camera = json!({ "name": "x".repeat(200), "rtsp_link": "rtsp://127.0.0.1:1/x" });
    assert_eq!(manager.put("/api/cameras/before", &camera).await.status, 201);
    disk.fill();
    // The database's write-ahead log already has space for a few more cameras.
    let mut accepted = vec!["before".to_owned()];
    let refused = loop {
        let id = format!("during-{}", accepted.len());
        let response = manager.put(&format!("/api/cameras/{id}"), &camera).await;
        if response.status != 201 {
            break response;
        }
        accepted.push(id);
        assert!(accepted.len() < 1000, "the full disk has no effect");
    };
    assert_is_storage_problem(&refused);
    let session = json!({ "user": "anna", "camera": "before" });
    assert_is_storage_problem(&manager.post("/api/playback/sessions", &session).await);
    accepted.sort();
    assert_eq!(camera_ids(&manager).await, accepted);

    disk.free();
    let response = manager.put("/api/cameras/after", &camera).await;
    assert_eq!(response.status, 201, "{response:?}\n{}", manager.log());
    accepted.insert(0, "after".to_owned());
    assert_eq!(camera_ids(&manager).await, accepted);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_manager_reports_the_reason_and_exits_if_the_database_is_read_only() {
    let dir = tempfile::tempdir().expect("a directory");
    let disk = dir.path().join("disk");
    std::fs::create_dir(&disk).expect("a directory");
    // The first manager creates the database, and then exits because its port is in use.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port().to_string();
    let (code, stderr) = Manager::run_to_exit(&dir, &[DATABASE, ("PORT", &port)]);
    let names_settings = stderr.contains("BIND_ADDR") && stderr.contains("PORT");
    assert!(code != Some(0) && names_settings, "{code:?} {stderr}");
    let before = std::fs::read(disk.join("streams.db")).expect("a database");

    let (code, stderr) = Manager::run_to_exit_with_read_only(&dir, &disk, &[DATABASE]);
    assert_eq!(code, Some(74), "{stderr}");
    let line = stderr.lines().find(|line| line.starts_with("stream-manager:")).expect("a line");
    assert!(line.contains("disk/streams.db") && line.contains("writable"), "{stderr}");
    assert_eq!(std::fs::read(disk.join("streams.db")).expect("a database"), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_first_starts_at_once_create_one_database() {
    // The port is in use. So a manager that can use the database also exits, with an error about the port.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port().to_string();
    for round in 0..10 {
        let dir = tempfile::tempdir().expect("a directory");
        let start =
            |streams: &str| Manager::run_to_exit(&dir, &[("PORT", &port), ("STREAM_DIR", streams)]);
        let results = std::thread::scope(|scope| {
            let starts = ["a", "b", "c"].map(|streams| scope.spawn(move || start(streams)));
            starts.map(|start| start.join().expect("a result"))
        });
        for (code, stderr) in &results {
            let expected = [
                "streams.db is in use by another stream-manager; stop that process first",
                "(BIND_ADDR, PORT)",
            ];
            assert_ne!(*code, Some(0));
            assert!(expected.iter().any(|text| stderr.contains(text)), "{round}: {stderr}");
        }
        let created = results.iter().filter(|(_, stderr)| stderr.contains("(BIND_ADDR, PORT)"));
        assert!(created.count() > 0, "{round}: {results:?}");
    }
}

/// Calls `plant`, which creates `file` next to the database. Runs a manager, and expects that its start fails.
/// Returns the line with the error.
fn error_with(file: &str, plant: impl FnOnce(&Path)) -> String {
    let dir = tempfile::tempdir().expect("a directory");
    plant(&dir.path().join(file));
    let (code, stderr) = Manager::run_to_exit(&dir, &[("ALLOW_ANONYMOUS", "")]);
    assert_ne!(code, Some(0), "{stderr}");
    let line = stderr.lines().find(|line| line.starts_with("stream-manager:"));
    line.unwrap_or_else(|| panic!("{stderr}")).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_manager_does_not_start_with_a_key_file_that_it_cannot_have_created() {
    let key = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\n";
    let other = tempfile::tempdir().expect("a directory");
    let target = other.path().join("target");
    std::fs::write(&target, key).expect("a key");
    std::fs::set_permissions(&target, Permissions::from_mode(0o600)).expect("a mode");
    for file in ["streams.db.key", "streams.db.admin-key", "streams.db.playback-key"] {
        let line = error_with(file, |path| symlink(&target, path).expect("a link"));
        assert!(line.contains(file) && line.contains("not a regular file"), "{line}");
        let line = error_with(file, |path| {
            let status = std::process::Command::new("mkfifo").arg(path).status();
            assert!(status.expect("mkfifo").success());
        });
        assert!(line.contains(file) && line.contains("not a regular file"), "{line}");
        if nix::unistd::geteuid().is_root() {
            let line = error_with(file, |path| {
                std::fs::copy(&target, path).expect("a key");
                chown(path, Some(4711), None).expect("another owner");
            });
            assert!(line.contains(file) && line.contains("id 4711"), "{line}");
        }
    }
}

/// Returns the seconds since HLS last failed.
async fn seconds_since_failure(manager: &Manager) -> f64 {
    manager.get("/streams/cam/stream.m3u8").await;
    let status = manager.status("cam").await;
    status["outputs"]["hls"]["error"]["seconds_ago"].as_f64().expect("a failure")
}

/// Returns the number of lines of the log whose message begins with `text`.
fn messages(manager: &Manager, text: &str) -> usize {
    let begins = |line: &Value| line["message"].as_str().is_some_and(|it| it.starts_with(text));
    manager.log_fields().iter().filter(|line| begins(line)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_stream_disk_is_reported_and_streams_recover() {
    let camera = Camera::start().await;
    let (manager, disk) = Manager::start_with_disk("64m", &[("STREAM_DIR", "disk")]).await;
    manager.play("cam", &camera.link("h264")).await;
    // The manager caches successful checks for 10 s, unless the disk becomes full.
    assert_eq!(manager.get("/readyz").await.status, 200);
    disk.fill();
    let filled = Instant::now();
    let error = eventually("HLS reports the full disk", || async {
        manager.get("/streams/cam/stream.m3u8").await;
        let hls = manager.status("cam").await["outputs"]["hls"].take();
        (hls["state"] == "failed").then(|| hls["error"].clone())
    })
    .await;
    assert_eq!(error["code"], "storage_full", "{error}");
    let detail = error["detail"].as_str().expect("a string");
    let names = ["STREAM_DIR disk ", "0 of 64 MiB are free"];
    assert!(names.iter().all(|name| detail.contains(name)), "{detail}");
    let not_ready = eventually("the manager is not ready", || async {
        let response = manager.get("/readyz").await;
        (response.status == 503).then_some(response)
    })
    .await;
    assert!(filled.elapsed() < Duration::from_secs(4), "{:?}", filled.elapsed());
    assert_is_storage_problem(&not_ready);
    let detail = not_ready.body["detail"].as_str().expect("a string");
    assert!(names.iter().all(|name| detail.contains(name)), "{detail}");
    // With each keyframe, writing fails again.
    for _ in 0..2 {
        let before = seconds_since_failure(&manager).await;
        until("writing fails again", || async { seconds_since_failure(&manager).await < before })
            .await;
    }
    assert_eq!(messages(&manager, "HLS failed"), 1, "{}", manager.log());
    assert_eq!(messages(&manager, "HLS works again"), 0, "{}", manager.log());
    assert_eq!(manager.get("/streams/cam/snapshot.jpg?max_age=0").await.status, 200);
    let other = manager.start_stream("other", &camera.link("h264")).await;
    assert_eq!((other.status.as_u16(), &other.body["code"]), (503, &json!("storage_full")));

    disk.free();
    until("HLS is live again", || async {
        manager.get("/streams/cam/stream.m3u8").await;
        manager.status("cam").await["outputs"]["hls"]["state"] == "live"
    })
    .await;
    assert_eq!(messages(&manager, "HLS failed"), 1, "{}", manager.log());
    assert_eq!(messages(&manager, "HLS works again"), 1, "{}", manager.log());
    manager.play("cam", &camera.link("h264")).await;
    until("another stream can start", || async {
        manager.start_stream("other", &camera.link("h264")).await.status == 200
    })
    .await;
    until("the manager is ready again", || async { manager.get("/readyz").await.status == 200 })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_use_no_more_disk_space_than_allowed() {
    let camera = Camera::start().await;
    let manager = Manager::start(&[("STREAM_DIR_MAX_BYTES", "30m")]).await;
    manager.play("cam", &camera.link("h264")).await;
    manager.play("second", &camera.link("h264")).await;
    let refused = manager.start_stream("other", &camera.link("h264")).await;
    assert_eq!((refused.status.as_u16(), &refused.body["code"]), (503, &json!("storage_full")));
    assert_eq!(manager.status("cam").await["state"], "live", "the running stream was affected");
    manager.stop_stream("cam").await;
    manager.play("other", &camera.link("h264")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_stream_directory_is_created_again() {
    let (_camera, manager, nginx) = start_live("h264", &[]).await;
    std::fs::remove_dir_all(manager.stream_dir()).expect("a directory");
    until("the stream is live again", || async {
        let status = manager.status("cam").await;
        status["state"] == "live" && manager.stream_dir().join("cam").exists()
    })
    .await;
    play(&nginx.playlist("cam"), 2).await;
}
