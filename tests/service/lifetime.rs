//! When streams end and when they recover: viewers that leave, cameras that fail, and callers that
//! stop a stream or disconnect.

use std::io::Write as _;
use std::time::{Duration, Instant};

use crate::support::{
    Camera, Manager, Nginx, Playlist, SilentCamera, assert_continuous, eventually, is_running,
    play, start_live, until,
};

const SHORT_CLEANUP: &[(&str, &str)] =
    &[("CLEANUP_DELAY_SECONDS", "2"), ("CLEANUP_INTERVAL_SECONDS", "0.2")];

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_runs_while_it_is_watched_and_ends_after_the_last_viewer() {
    let (_camera, manager, nginx) = start_live("h264", SHORT_CLEANUP).await;
    let ffmpegs = manager.ffmpegs();
    let watch_start = Instant::now();
    while watch_start.elapsed() < Duration::from_secs(6) {
        Playlist::fetch(&nginx, "cam").await.expect("a playlist");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert_eq!(
        manager.ffmpegs(),
        ffmpegs,
        "FFmpeg ended or restarted while the stream was watched"
    );
    let watch_end = Instant::now();
    until("FFmpeg has exited", || async { !is_running(ffmpegs[0]) }).await;
    let delay = watch_end.elapsed();
    assert!(delay > Duration::from_secs(1), "FFmpeg exited only {delay:?} after the last viewer");
    until("the stream is stopped", || async { manager.status("cam").await["state"] == "stopped" })
        .await;
    assert!(!manager.log().contains("WARN"), "{}", manager.log());

    // A viewer who returns after the cleanup starts the stream again.
    play(&nginx.playlist("cam"), 2).await;
}

/// Many cameras lock an account after repeated failed logins, so the manager must not retry at every request.
#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_password_is_not_retried_even_with_a_short_cleanup_delay() {
    let camera = Camera::start().await;
    let manager = Manager::start(SHORT_CLEANUP).await;
    let nginx = Nginx::start(&manager).await;
    let wrong = camera.link("private").replace("rtsp://", "rtsp://viewer:wrong@");
    assert_eq!(manager.start_stream("cam", &wrong).await.status, 502);
    let generation = manager.status("cam").await["generation"].clone();
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(5) {
        let response = nginx.get("/streams/cam/stream.m3u8").await;
        assert_eq!(response.status(), 502);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let status = manager.status("cam").await;
    assert_eq!((&status["state"], &status["generation"]), (&"failed".into(), &generation));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_playlist_continues_when_its_camera_returns() {
    let (mut camera, manager, nginx) = start_live("h264-aac", &[]).await;
    let before = Playlist::fetch(&nginx, "cam").await.expect("a playlist");
    camera.kill();
    manager.reaches("cam", "backoff").await;
    let during = Playlist::fetch(&nginx, "cam").await.expect("a playlist during the outage");
    assert!(!during.has_ended());
    camera.restart().await;
    manager.reaches("cam", "live").await;
    let after = Playlist::fetch(&nginx, "cam").await.expect("a playlist");
    assert!(after.last() > during.last() && during.last() >= before.last());
    assert_eq!(
        after.discontinuities(),
        before.discontinuities(),
        "a discontinuity although the format is the same"
    );
    assert_eq!(after.init_files(), before.init_files());
    assert!(!after.has_ended());
    assert!(manager.status("cam").await["restarts"].as_u64() >= Some(1));
    let media = tempfile::NamedTempFile::new().expect("a file");
    for file in after.files() {
        let response = nginx.get(&format!("/streams/cam/{file}")).await;
        assert_eq!(response.status(), 200, "the playlist lists {file}, which does not exist");
        let bytes = response.bytes().await.expect("a complete response");
        media.as_file().write_all(&bytes).expect("write");
    }
    assert_continuous(media.path().to_str().expect("a path")).await;
    play(&nginx.playlist("cam"), 8).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_camera_is_detected_and_the_stream_recovers() {
    let (camera, manager, nginx) = start_live("h264", &[("STALE_TIMEOUT_SECONDS", "2")]).await;
    camera.freeze();
    eventually("the stream is no longer live", || async {
        let status = manager.status("cam").await;
        (status["state"] != "live").then_some(status)
    })
    .await;
    let frozen = Playlist::fetch(&nginx, "cam").await.expect("a playlist");
    camera.thaw();
    let after = eventually("the playlist continues", || async {
        let playlist = Playlist::fetch(&nginx, "cam").await?;
        (playlist.last() > frozen.last() + 1).then_some(playlist)
    })
    .await;
    assert_eq!(after.discontinuities(), frozen.discontinuities());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_cancels_a_start_in_progress() {
    let manager = Manager::start(&[]).await;
    let silent = SilentCamera::start().await;
    let link = silent.link();
    let (start, ()) = tokio::join!(manager.start_stream("cam", &link), async {
        // The test keeps the connection open, because the start would fail if the camera closed it.
        let _connection = silent.accept().await;
        assert_eq!(manager.stop_stream("cam").await.status, 200);
        assert!(manager.ffmpegs().is_empty(), "the stop request returned before FFmpeg exited");
    });
    assert_eq!((start.status.as_u16(), &start.body["code"]), (409, &"stopped".into()));
    let again = manager.stop_stream("cam").await;
    assert_eq!((again.status.as_u16(), &again.body["status"]), (200, &"stopped".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_ends_when_its_caller_disconnects() {
    let settings = [SHORT_CLEANUP, &[("START_TIMEOUT_SECONDS", "60")]].concat();
    let manager = Manager::start(&settings).await;
    let silent = SilentCamera::start().await;
    let link = silent.link();
    {
        let start = manager.start_stream("cam", &link);
        tokio::pin!(start);
        tokio::select! {
            response = &mut start => panic!("unexpected response: {response:?}"),
            connection = silent.accept() => drop(connection),
        }
    }
    until("the stream is stopped", || async { manager.status("cam").await["state"] == "stopped" })
        .await;
    assert!(manager.ffmpegs().is_empty());
}
