//! From a start to a picture, through nginx.

use futures_util::future::join_all;
use serde_json::json;

use crate::support::{Camera, Manager, Nginx, Playlist, eventually, on_air, play, probe};

#[tokio::test(flavor = "multi_thread")]
async fn a_started_camera_plays_through_nginx_without_an_error() {
    let camera = Camera::start().await;
    let manager = Manager::start(&[]).await;
    let nginx = Nginx::start(&manager).await;
    let input = json!({ "indicator_id": "123", "rtsp_link": camera.link("h264") });
    let request = nginx.client().post(nginx.url("/api/stream/start")).json(&input);
    let answer = manager.send(request).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let expected = json!({
        "indicator_id": "123", "stream_path": "/streams/123/stream.m3u8", "status": "started"
    });
    assert_eq!(answer.body, expected);
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
async fn audio_is_copied_or_turned_into_aac() {
    let camera = Camera::start().await;
    let manager = Manager::start(&[]).await;
    let nginx = Nginx::start(&manager).await;
    for mount in ["h264-aac", "h264-pcma", "h264-pcmu"] {
        manager.play(mount, &camera.link(mount)).await;
        let streams = probe(&nginx.playlist(mount)).await;
        let codecs: Vec<_> = streams.iter().filter_map(|s| s["codec_name"].as_str()).collect();
        assert_eq!(codecs, ["h264", "aac"], "{mount}");
        assert_eq!(manager.status(mount).await["media"]["audio_codec"], "mp4a.40.2");
        play(&nginx.playlist(mount), 3).await;
    }
    // 48 kHz is what the camera sends; FFmpeg's AAC out of G.711 has 8 kHz.
    let copied = probe(&nginx.playlist("h264-aac")).await;
    assert_eq!(copied[1]["sample_rate"], "48000");

    // What was learned is used for the next start: one connection to the camera, not two.
    manager.stop_stream("h264-pcma").await;
    let plays = camera.plays();
    manager.play("h264-pcma", &camera.link("h264-pcma")).await;
    assert_eq!(camera.plays(), plays + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn video_that_browsers_do_not_play_becomes_h264() {
    let camera = Camera::start().await;
    let manager = Manager::start(&[("TRANSCODE_PRESET", "ultrafast")]).await;
    let nginx = Nginx::start(&manager).await;
    for mount in ["hevc", "mjpeg"] {
        manager.play(mount, &camera.link(mount)).await;
        let media = &manager.status(mount).await["media"];
        assert_eq!(media["transcoded"], true, "{mount}: {media}");
        assert_eq!((media["width"].as_u64(), media["height"].as_u64()), (Some(640), Some(360)));
        let streams = probe(&nginx.playlist(mount)).await;
        assert_eq!(streams[0]["codec_name"], "h264", "{mount}");
        play(&nginx.playlist(mount), 3).await;
        manager.stop_stream(mount).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_starts_and_ten_viewers_share_one_ffmpeg() {
    let camera = Camera::start().await;
    let manager = Manager::start(&[]).await;
    let nginx = Nginx::start(&manager).await;
    let link = camera.link("h264");
    let starts = (0..50).map(|_| manager.start_stream("cam", &link));
    for answer in join_all(starts).await {
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let url = nginx.playlist("cam");
    join_all((0..10).map(|_| play(&url, 2))).await;
    assert_eq!(manager.ffmpegs().len(), 1);
    assert_eq!(camera.plays(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_back_end_may_ask_by_get_and_need_not_wait() {
    let camera = Camera::start().await;
    let manager = Manager::start(&[]).await;
    let link = camera.private_link("private");
    let query = [("indicator_id", "7"), ("rtsp_link", link.as_str()), ("wait", "false")];
    let request = manager.client().get(manager.url("/api/stream/start")).query(&query);
    let answer = manager.send(request).await;
    assert_eq!((answer.status.as_u16(), &answer.body["status"]), (200, &json!("starting")));
    manager.reaches("7", "live").await;
    let health = manager.get("/api/health").await.body;
    assert_eq!((&health["status"], &health["active_streams"]), (&json!("healthy"), &json!(1)));
    let streams = manager.get("/api/streams").await.body;
    let source = streams["streams"][0]["source"].as_str().expect("a source");
    assert!(source.starts_with("rtsp://***@127.0.0.1:"), "{source}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_of_a_known_camera_starts_it() {
    let (_camera, manager, nginx) = on_air("h264", &[]).await;
    let before = Playlist::fetch(&nginx, "cam").await.expect("a playlist").last();
    manager.stop_stream("cam").await;
    assert!(manager.ffmpegs().is_empty());
    assert_eq!(manager.status("cam").await["state"], "stopped");

    let after = Playlist::fetch(&nginx, "cam").await.expect("a playlist").last();
    assert!(after > before, "numbers go back: {before}, then {after}");
    play(&nginx.playlist("cam"), 2).await;
    assert!(Playlist::fetch(&nginx, "unknown").await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_link_replaces_the_source_of_a_running_stream() {
    let (camera, manager, nginx) = on_air("h264", &[]).await;
    let before = Playlist::fetch(&nginx, "cam").await.expect("a playlist");
    manager.play("cam", &camera.link("h264-aac")).await;
    assert_eq!(manager.ffmpegs().len(), 1);
    assert_eq!(manager.status("cam").await["source"], camera.link("h264-aac"));
    let after = eventually("the playlist goes on", || async {
        let playlist = Playlist::fetch(&nginx, "cam").await?;
        (playlist.discontinuities() > before.discontinuities()).then_some(playlist)
    })
    .await;
    assert!(after.last() > before.last());
    assert!(!after.has_ended());
}
