//! Locked recordings, and recordings of cameras that were deleted.

use serde_json::{Value, json};

use crate::support::recordings::{
    RECORDINGS, closed_files, grows_to, put_recorded, recorded_files,
};
use crate::support::{Camera, Manager, until};

/// Locks all recordings of the camera `cam`, or unlocks them.
async fn lock(manager: &Manager, is_locked: bool) {
    let span = json!({ "from": "2020-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z", "locked": is_locked });
    let locked = manager.put("/api/cameras/cam/recordings/lock", &span).await;
    assert!(locked.body["files"].as_u64().is_some_and(|files| files > 0), "{locked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_with_locked_recordings_only_is_full() {
    let camera = Camera::start().await;
    let settings = [("RECORDINGS_DIRS", "disk")];
    let (manager, disk) = Manager::start_with_disk("8m", &settings).await;
    let recording = |mode: &str| json!({ "mode": mode });
    put_recorded("cam", &manager, &camera.link("h264"), recording("continuous")).await;
    grows_to(&disk.root(), 800_000).await;
    put_recorded("cam", &manager, &camera.link("h264"), recording("off")).await;
    let locked = closed_files(&disk.root(), 1).await;
    lock(&manager, true).await;
    // Of the disk, a twentieth is kept free. With less than half of that, the disk is full.
    disk.fill_bytes(disk.free_bytes() - 150_000);
    put_recorded("cam", &manager, &camera.link("h264"), recording("continuous")).await;
    until("the recording stops", || async {
        let events = manager.get("/api/events").await.body.to_string();
        events.contains("recording.interrupted") && events.contains("storage.full")
    })
    .await;
    until("the full disk is reported", || async {
        let ready = manager.get("/readyz").await;
        ready.status == 503 && ready.body.to_string().contains("unlock")
    })
    .await;
    assert_eq!(manager.status("cam").await["state"], "live");
    assert!(locked[0].exists(), "a locked recording was deleted");
    lock(&manager, false).await;
    until("the oldest recording is deleted", || async { !locked[0].exists() }).await;
    until("the recording continues", || async {
        let events = manager.get("/api/events").await.body.to_string();
        events.contains("recording.resumed") && events.contains("storage.recovered")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_camera_does_not_show_the_recordings_of_an_earlier_one() {
    let camera = Camera::start().await;
    let manager = Manager::start(&[RECORDINGS]).await;
    let dir = manager.dir().path().join("recordings");
    let continuous = json!({ "mode": "continuous" });
    let add = async |owner: &str, recording: Value| {
        let body =
            json!({ "rtsp_link": camera.link("h264"), "owner": owner, "recording": recording });
        let response = manager.put("/api/cameras/cam", &body).await;
        assert!(response.status.is_success(), "{response:?}");
    };
    let listed = async || manager.get("/api/recordings").await.body["streams"].clone();
    add("1", continuous.clone()).await;
    grows_to(&dir, 300_000).await;
    let first = recorded_files(&dir);
    until("the recording is listed", || async { listed().await != json!([]) }).await;
    let from = listed().await[0]["from"].as_str().expect("a time").to_owned();
    let playlist = format!("/recordings/cam/stream.m3u8?from={from}");
    assert_eq!(manager.get(&playlist).await.status, 200);

    assert_eq!(manager.delete("/api/cameras/cam?keep=true").await.status, 204);
    closed_files(&dir, 1).await;
    // The same camera, with the same owner; then with another owner.
    for owner in ["1", "2"] {
        add(owner, json!({ "mode": "off" })).await;
        assert_eq!(listed().await, json!([]), "{owner}");
        let response = manager.get(&playlist).await;
        assert_eq!(response.body["code"], "no_recordings", "{response:?}");
        let snapshot = manager.get(&format!("/recordings/cam/snapshot.jpg?at={from}")).await;
        assert_eq!(snapshot.body["code"], "no_recordings", "{snapshot:?}");
    }
    add("2", continuous).await;
    until("the new camera is recorded", || async { recorded_files(&dir).len() > 1 }).await;
    until("its recording is listed", || async { listed().await != json!([]) }).await;
    let begin = listed().await[0]["from"].as_str().expect("a time").to_owned();
    assert!(begin > from, "{begin}");
    // The recordings that were kept are still there.
    assert!(first.iter().all(|path| path.exists()));
}
