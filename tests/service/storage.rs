//! Disks that are full, read-only or gone: under the database, and under the streams.

use serde_json::json;

use crate::support::{Answer, Camera, Manager, on_air, play, until};

const DATABASE: (&str, &str) = ("DATABASE_URL", "sqlite:disk/streams.db");

async fn known(manager: &Manager) -> Vec<String> {
    let answer = manager.get("/api/cameras?limit=1000").await;
    let cameras = answer.body["cameras"].as_array().expect("a list").clone();
    cameras.iter().filter_map(|one| one["id"].as_str().map(str::to_owned)).collect()
}

fn assert_is_storage_problem(answer: &Answer) {
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(answer.body["code"], "storage_unavailable", "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_under_the_database_loses_nothing() {
    let (manager, disk) = Manager::start_with_disk("4m", &[DATABASE]).await;
    let camera = json!({ "name": "x".repeat(200), "rtsp_link": "rtsp://127.0.0.1:1/x" });
    assert_eq!(manager.put("/api/cameras/before", &camera).await.status, 201);
    disk.fill();
    // What is in the log of the database already may still take a page or two.
    let mut accepted = vec!["before".to_owned()];
    let refused = loop {
        let id = format!("during-{}", accepted.len());
        let answer = manager.put(&format!("/api/cameras/{id}"), &camera).await;
        if answer.status != 201 {
            break answer;
        }
        accepted.push(id);
        assert!(accepted.len() < 1000, "the disk does not matter");
    };
    assert_is_storage_problem(&refused);
    let session = json!({ "user": "anna", "camera": "before" });
    assert_is_storage_problem(&manager.post("/api/playback/sessions", &session).await);
    accepted.sort();
    assert_eq!(known(&manager).await, accepted);

    disk.drain();
    let answer = manager.put("/api/cameras/after", &camera).await;
    assert_eq!(answer.status, 201, "{answer:?}\n{}", manager.log());
    accepted.insert(0, "after".to_owned());
    assert_eq!(known(&manager).await, accepted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_database_stops_the_start_with_the_reason() {
    let dir = tempfile::tempdir().expect("a directory");
    let disk = dir.path().join("disk");
    std::fs::create_dir(&disk).expect("a directory");
    // The database is made by a manager that then finds its port unusable.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port().to_string();
    let (code, told) = Manager::run_to_end(&dir, &[DATABASE, ("PORT", &port)]);
    assert!(code != Some(0) && told.contains("BIND_ADDR and PORT"), "{code:?} {told}");
    let before = std::fs::read(disk.join("streams.db")).expect("a database");

    let (code, told) = Manager::run_to_end_without_writing(&dir, &disk, &[DATABASE]);
    assert_eq!(code, Some(64), "{told}");
    let line = told.lines().find(|line| line.starts_with("stream-manager:")).expect("a line");
    assert!(line.contains("disk/streams.db") && line.contains("writable"), "{told}");
    assert_eq!(std::fs::read(disk.join("streams.db")).expect("a database"), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_under_the_streams_is_told_and_passes() {
    let camera = Camera::start().await;
    let (manager, disk) = Manager::start_with_disk("64m", &[("STREAM_DIR", "disk")]).await;
    manager.play("cam", &camera.link("h264")).await;
    disk.fill();
    until("the full disk is noticed", || async {
        manager.status("cam").await["last_error"]["code"] == "storage_unavailable"
    })
    .await;
    until("it is not ready", || async { manager.get("/readyz").await.status == 503 }).await;
    assert_is_storage_problem(&manager.get("/readyz").await);
    let other = manager.start_stream("other", &camera.link("h264")).await;
    assert_eq!((other.status.as_u16(), &other.body["code"]), (503, &json!("storage_full")));

    disk.drain();
    manager.play("cam", &camera.link("h264")).await;
    until("there is room for another", || async {
        manager.start_stream("other", &camera.link("h264")).await.status == 200
    })
    .await;
    until("it is ready again", || async { manager.get("/readyz").await.status == 200 }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_take_as_much_of_the_disk_as_they_may() {
    let camera = Camera::start().await;
    let manager = Manager::start(&[("STREAM_DIR_MAX_BYTES", "30m")]).await;
    manager.play("cam", &camera.link("h264")).await;
    manager.play("second", &camera.link("h264")).await;
    let refused = manager.start_stream("other", &camera.link("h264")).await;
    assert_eq!((refused.status.as_u16(), &refused.body["code"]), (503, &json!("storage_full")));
    assert_eq!(manager.status("cam").await["state"], "live", "what runs goes on");
    manager.stop_stream("cam").await;
    manager.play("other", &camera.link("h264")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_dir_that_goes_away_is_made_again() {
    let (_camera, manager, nginx) = on_air("h264", &[]).await;
    std::fs::remove_dir_all(manager.stream_dir()).expect("a directory");
    until("the stream is taken up anew", || async {
        let status = manager.status("cam").await;
        status["state"] == "live" && manager.stream_dir().join("cam").exists()
    })
    .await;
    play(&nginx.playlist("cam"), 2).await;
}
