//! How long a stream lives: with viewers, without them, and with a camera that comes and goes.

use std::time::{Duration, Instant};

use tokio::net::TcpListener;

use crate::support::{
    Camera, Manager, Nginx, Playlist, eventually, is_running, on_air, play, until,
};

const IMPATIENT: &[(&str, &str)] =
    &[("CLEANUP_DELAY_SECONDS", "2"), ("CLEANUP_INTERVAL_SECONDS", "0.2")];

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_keeps_the_stream_and_without_one_it_goes() {
    let (_camera, manager, nginx) = on_air("h264", IMPATIENT).await;
    let ffmpegs = manager.ffmpegs();
    let watching = Instant::now();
    while watching.elapsed() < Duration::from_secs(6) {
        Playlist::fetch(&nginx, "cam").await.expect("a playlist");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert_eq!(manager.ffmpegs(), ffmpegs, "it was restarted, or ended under its viewer");
    let left = Instant::now();
    until("FFmpeg has gone", || async { !is_running(ffmpegs[0]) }).await;
    assert!(left.elapsed() > Duration::from_secs(1), "gone after {:?}", left.elapsed());
    until("the directory has gone", || async { !manager.stream_dir().join("cam").exists() }).await;
    assert_eq!(manager.status("cam").await["state"], "stopped");
    assert!(!manager.log().contains("WARN"), "{}", manager.log());

    // A viewer who paused for so long gets video again.
    play(&nginx.playlist("cam"), 2).await;
}

/// Cameras lock accounts that are tried too often.
#[tokio::test(flavor = "multi_thread")]
async fn a_camera_that_rejects_the_password_is_left_alone_however_soon_streams_end() {
    let camera = Camera::start().await;
    let manager = Manager::start(IMPATIENT).await;
    let nginx = Nginx::start(&manager).await;
    let wrong = camera.link("private").replace("rtsp://", "rtsp://viewer:wrong@");
    assert_eq!(manager.start_stream("cam", &wrong).await.status, 502);
    let generation = manager.status("cam").await["generation"].clone();
    let asking = Instant::now();
    while asking.elapsed() < Duration::from_secs(5) {
        let answer = nginx.get("/streams/cam/stream.m3u8").await;
        assert_eq!(answer.status(), 502);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let status = manager.status("cam").await;
    assert_eq!((&status["state"], &status["generation"]), (&"failed".into(), &generation));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_that_was_away_goes_on_in_the_same_playlist() {
    let (mut camera, manager, nginx) = on_air("h264", &[]).await;
    let before = Playlist::fetch(&nginx, "cam").await.expect("a playlist");
    camera.kill();
    manager.reaches("cam", "backoff").await;
    let during = Playlist::fetch(&nginx, "cam").await.expect("the playlist stays");
    assert!(!during.has_ended());
    camera.come_back().await;
    manager.reaches("cam", "live").await;
    let after = Playlist::fetch(&nginx, "cam").await.expect("a playlist");
    assert!(after.last() > during.last() && during.last() >= before.last());
    assert!(after.discontinuities() > before.discontinuities());
    assert_ne!(after.maps().last(), before.maps().last());
    assert!(!after.has_ended());
    assert!(manager.status("cam").await["restarts"].as_u64() >= Some(1));
    for file in after.files() {
        let found = nginx.get(&format!("/streams/cam/{file}")).await;
        assert_eq!(found.status(), 200, "{file} is named and missing");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_camera_is_noticed_and_comes_back() {
    let (camera, manager, nginx) = on_air("h264", &[("STALE_TIMEOUT_SECONDS", "2")]).await;
    let before = Playlist::fetch(&nginx, "cam").await.expect("a playlist");
    camera.freeze();
    eventually("the freeze is noticed", || async {
        let status = manager.status("cam").await;
        (status["state"] != "live").then_some(status)
    })
    .await;
    camera.thaw();
    let after = eventually("video comes again", || async {
        let playlist = Playlist::fetch(&nginx, "cam").await?;
        (playlist.discontinuities() > before.discontinuities()).then_some(playlist)
    })
    .await;
    assert!(after.last() > before.last());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_during_a_start_ends_both() {
    let manager = Manager::start(&[]).await;
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let link = format!("rtsp://{}/x", silent.local_addr().expect("an address"));
    let (start, ()) = tokio::join!(manager.start_stream("cam", &link), async {
        // Held, since FFmpeg would take its end for an answer.
        let _connection = silent.accept().await.expect("FFmpeg connects");
        assert_eq!(manager.stop_stream("cam").await.status, 200);
        assert!(manager.ffmpegs().is_empty(), "stop answered before FFmpeg had gone");
    });
    assert_eq!((start.status.as_u16(), &start.body["code"]), (409, &"stopped".into()));
    let again = manager.stop_stream("cam").await;
    assert_eq!((again.status.as_u16(), &again.body["status"]), (200, &"stopped".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_leaves_does_not_keep_the_start() {
    let settings = [IMPATIENT, &[("START_TIMEOUT_SECONDS", "60")]].concat();
    let manager = Manager::start(&settings).await;
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let link = format!("rtsp://{}/x", silent.local_addr().expect("an address"));
    {
        let start = manager.start_stream("cam", &link);
        tokio::pin!(start);
        tokio::select! {
            answer = &mut start => panic!("{answer:?}"),
            accepted = silent.accept() => drop(accepted.expect("FFmpeg connects")),
        }
    }
    until("the stream has gone", || async { manager.status("cam").await["state"] == "stopped" })
        .await;
    assert!(manager.ffmpegs().is_empty());
}
