//! Starting a stream and playing it through nginx.

use futures_util::future::join_all;
use serde_json::json;

use crate::support::{Camera, Manager, Playlist, eventually, play, start_live, start_service};

#[tokio::test(flavor = "multi_thread")]
async fn a_started_camera_plays_through_nginx_without_errors() {
    let (camera, manager, nginx) = start_service(&[]).await;
    let input = json!({ "indicator_id": "123", "rtsp_link": camera.link("h264") });
    let request = nginx.client().post(nginx.url("/api/stream/start")).json(&input);
    let response = manager.send(request).await;
    assert_eq!(response.status, 200, "{response:?}");
    let expected = json!({
        "indicator_id": "123", "stream_path": "/streams/123/stream.m3u8", "status": "started"
    });
    assert_eq!(response.body, expected);
    play(&nginx.playlist("123"), 5).await;

    let again = manager.get("/api/stream/start?indicator_id=123").await;
    assert_eq!(again.body["status"], "active");
    let status = manager.status("123").await;
    assert_eq!(status["state"], "live");
    assert_eq!(status["viewers"], 1);
    assert_eq!(status["restarts"], 0);
    let media = &status["media"];
    assert_eq!((media["width"].as_u64(), media["height"].as_u64()), (Some(640), Some(360)));
    let frame_rate = media["frame_rate"].as_f64().expect("a frame rate");
    assert!((24.0..=26.0).contains(&frame_rate), "{frame_rate} frames per second");
    assert!(media["bit_rate"].as_f64() > Some(10_000.0), "{media}");
    assert!(media["video_codec"].as_str().is_some_and(|codec| codec.starts_with("avc1.")));
    assert_eq!(camera.plays(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_starts_and_ten_viewers_share_one_ffmpeg() {
    let (camera, manager, nginx) = start_service(&[]).await;
    let link = camera.link("h264");
    let starts = (0..50).map(|_| manager.start_stream("cam", &link));
    for response in join_all(starts).await {
        assert_eq!(response.status, 200, "{response:?}");
    }
    let url = nginx.playlist("cam");
    join_all((0..10).map(|_| play(&url, 2))).await;
    assert_eq!(manager.ffmpegs().len(), 1);
    assert_eq!(camera.plays(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_can_be_started_with_get_and_without_waiting() {
    let camera = Camera::start().await;
    let manager = Manager::start(&[]).await;
    let link = camera.link_with_credentials("private");
    let query = [("indicator_id", "7"), ("rtsp_link", link.as_str()), ("wait", "false")];
    let request = manager.client().get(manager.url("/api/stream/start")).query(&query);
    let response = manager.send(request).await;
    assert_eq!((response.status.as_u16(), &response.body["status"]), (200, &json!("starting")));
    manager.reaches("7", "live").await;
    let health = manager.get("/api/health").await.body;
    assert_eq!((&health["status"], &health["active_streams"]), (&json!("healthy"), &json!(1)));
    let streams = manager.get("/api/streams").await.body;
    let source = streams["streams"][0]["source"].as_str().expect("a source");
    assert!(source.starts_with("rtsp://***@127.0.0.1:"), "{source}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewers_request_starts_the_stream_of_a_known_camera() {
    let (_camera, manager, nginx) = start_live("h264", &[]).await;
    let before = Playlist::fetch(&nginx, "cam").await.expect("a playlist").last();
    manager.stop_stream("cam").await;
    assert!(manager.ffmpegs().is_empty());
    assert_eq!(manager.status("cam").await["state"], "stopped");

    let after = Playlist::fetch(&nginx, "cam").await.expect("a playlist").last();
    assert!(after > before, "sequence numbers went back from {before} to {after}");
    play(&nginx.playlist("cam"), 2).await;
    assert!(Playlist::fetch(&nginx, "unknown").await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_with_another_link_replaces_the_source_of_a_running_stream() {
    let (camera, manager, nginx) = start_live("h264", &[]).await;
    let before = Playlist::fetch(&nginx, "cam").await.expect("a playlist");
    manager.play("cam", &camera.link("h264-aac")).await;
    assert_eq!(manager.ffmpegs().len(), 1);
    assert_eq!(manager.status("cam").await["source"], camera.link("h264-aac"));
    let after = eventually("the playlist continues", || async {
        let playlist = Playlist::fetch(&nginx, "cam").await?;
        (playlist.discontinuities() > before.discontinuities()).then_some(playlist)
    })
    .await;
    assert!(after.last() > before.last());
    assert!(!after.has_ended());
}
