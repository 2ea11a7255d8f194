//! Streams whose HLS runs only while clients use it.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{
    ApiResponse, Camera, Manager, Nginx, Playlist, eventually, play, start_service, until,
};

/// Settings with which HLS ends soon after its last use.
const SHORT_CLEANUP: &[(&str, &str)] =
    &[("CLEANUP_DELAY_SECONDS", "2"), ("CLEANUP_INTERVAL_SECONDS", "0.2")];

async fn start(manager: &Manager, link: &str, output: &str) -> ApiResponse {
    let input = json!({ "indicator_id": "cam", "rtsp_link": link, "output": output });
    manager.post("/api/stream/start", &input).await
}

/// Adds camera "cam", whose main stream runs without viewers.
async fn keep(manager: &Manager, link: &str) {
    let camera = json!({ "rtsp_link": link, "keep": "always" });
    let response = manager.put("/api/cameras/cam", &camera).await;
    assert_eq!(response.status, 201, "{response:?}");
    manager.reaches("cam", "live").await;
}

async fn hls(manager: &Manager) -> Value {
    manager.status("cam").await["outputs"]["hls"].clone()
}

async fn hls_is(manager: &Manager, state: &str) {
    until(&format!("HLS is {state}"), || async { hls(manager).await["state"] == state }).await;
}

/// Returns whether `STREAM_DIR` has a directory of the camera's stream.
fn has_files(stream_dir: &Path) -> bool {
    stream_dir.join("cam").exists()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_without_an_output_writes_no_files_until_a_player_requests_hls() {
    let (camera, manager, nginx) = start_service(&[]).await;
    let link = camera.link("h264");
    let started = start(&manager, &link, "none").await;
    assert_eq!((started.status.as_u16(), &started.body["status"]), (200, &json!("started")));
    let status = manager.status("cam").await;
    assert_eq!(status["state"], "live");
    assert_eq!(status["outputs"], json!({ "hls": { "state": "off", "error": null } }));
    assert_eq!(start(&manager, &link, "none").await.body["status"], "active");
    until("the second keyframe has arrived", || async {
        manager.status("cam").await["media"]["gop_seconds"].is_number()
    })
    .await;
    assert!(!has_files(&manager.stream_dir()));

    // The hub has the frames since the last keyframe, so HLS does not have to wait for the next
    // keyframe.
    let requested = Instant::now();
    Playlist::fetch(&nginx, "cam").await.expect("a playlist");
    assert!(requested.elapsed() < Duration::from_secs(2), "{:?}", requested.elapsed());
    assert_eq!(hls(&manager).await, json!({ "state": "live", "error": null }));
    play(&nginx.playlist("cam"), 2).await;
    assert_eq!(start(&manager, &link, "hls").await.body["status"], "active");
    assert_eq!(camera.plays(), 1, "the camera was connected to more than once");
    let wrong = start(&manager, &link, "mjpeg").await;
    assert_eq!(wrong.status, 400, "{wrong:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn hls_ends_without_viewers_and_continues_when_they_return() {
    let camera = Camera::start().await;
    let manager = Manager::start(SHORT_CLEANUP).await;
    let nginx = Nginx::start(&manager).await;
    keep(&manager, &camera.link("h264")).await;
    assert_eq!(hls(&manager).await["state"], "off");
    let mut before: Option<Playlist> = None;
    for _ in 0..3 {
        let watching = Instant::now();
        let mut last = None;
        while watching.elapsed() < Duration::from_secs(4) {
            let playlist = Playlist::fetch(&nginx, "cam").await.expect("a playlist");
            if let Some(before) = before.take() {
                let next = before.last() + 1;
                assert!(playlist.first() <= next && playlist.last() > before.last());
                assert_eq!(playlist.discontinuities(), before.discontinuities());
                assert_eq!(playlist.init_files(), before.init_files());
            }
            last = Some(playlist);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        before = last;
        hls_is(&manager, "off").await;
        assert_eq!(manager.status("cam").await["state"], "live");
    }
    play(&nginx.playlist("cam"), 2).await;
    assert_eq!(camera.plays(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_hls_but_not_the_stream() {
    let camera = Camera::start().await;
    let settings = [SHORT_CLEANUP, &[("STREAM_DIR", "disk")]].concat();
    let (manager, disk) = Manager::start_with_disk("64m", &settings).await;
    let link = camera.link("h264");
    keep(&manager, &link).await;
    disk.fill();
    let refused = eventually("HLS cannot start", || async {
        let response = start(&manager, &link, "hls").await;
        (response.status == 503).then_some(response)
    })
    .await;
    let code = refused.body["code"].as_str().expect("a code");
    assert!(["storage_full", "storage_unavailable"].contains(&code), "{refused:?}");
    let status = manager.status("cam").await;
    assert_eq!(
        (&status["state"], &status["outputs"]["hls"]["state"]),
        (&json!("live"), &json!("failed"))
    );
    assert_eq!(status["outputs"]["hls"]["error"]["code"], refused.body["code"]);
    assert_eq!(start(&manager, &link, "none").await.body["status"], "active");

    disk.free();
    until("HLS can start", || async { start(&manager, &link, "hls").await.status == 200 }).await;
    let playing = hls(&manager).await;
    assert_eq!(playing, json!({ "state": "live", "error": null }));
    // The disk fills up while HLS runs.
    disk.fill();
    until("HLS reports the full disk", || async {
        manager.get("/streams/cam/stream.m3u8").await;
        hls(&manager).await["error"]["code"] == "storage_full"
    })
    .await;
    assert_eq!(manager.status("cam").await["state"], "live");
    // HLS that has failed also ends when it has no viewers. The manager then deletes the files of HLS.
    hls_is(&manager, "off").await;
    disk.free();
    until("the files are deleted", || async { !has_files(&disk.root()) }).await;
    assert_eq!(manager.status("cam").await["state"], "live");
    assert_eq!(camera.plays(), 1, "the stream was interrupted");
}
