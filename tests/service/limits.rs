//! Limits on the resources of each FFmpeg, and on the numbers of starts and viewers.

use std::fs;

use serde_json::json;

use crate::support::{Camera, Manager, is_running, start_live, until};

#[tokio::test(flavor = "multi_thread")]
async fn the_configured_limits_apply_to_each_ffmpeg() {
    let settings =
        [("FFMPEG_NICE", "7"), ("FFMPEG_MAX_MEMORY_MB", "300"), ("FFMPEG_MAX_OPEN_FILES", "40")];
    let camera = Camera::start().await;
    let manager = Manager::start(&settings).await;
    manager.play("cam", &camera.link("h264")).await;
    let [ffmpeg] = manager.ffmpegs()[..] else { panic!("expected exactly one FFmpeg") };
    let limits = fs::read_to_string(format!("/proc/{ffmpeg}/limits")).expect("limits");
    let limit = |name: &str| -> Option<u64> {
        let line = limits.lines().find(|line| line.starts_with(name))?;
        line[name.len()..].split_whitespace().next()?.parse().ok()
    };
    assert_eq!(limit("Max data size"), Some(300 << 20));
    assert_eq!(limit("Max open files"), Some(40));
    assert_eq!(limit("Max core file size"), Some(0));
    let stat = fs::read_to_string(format!("/proc/{ffmpeg}/stat")).expect("stat");
    let fields = stat.rsplit_once(')').expect("a name").1;
    assert_eq!(fields.split_whitespace().nth(16), Some("7"), "wrong nice value: {stat}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ffmpeg_that_exceeds_its_memory_limit_fails_without_affecting_others() {
    let camera = Camera::start_with(&["--width", "1920", "--height", "1080"]).await;
    // This is enough memory to copy the video, but too little to encode such a large picture.
    let manager = Manager::start(&[("FFMPEG_MAX_MEMORY_MB", "64")]).await;
    manager.play("cam", &camera.link("h264")).await;
    let ffmpegs = manager.ffmpegs();
    let start = json!({
        "indicator_id": "greedy", "rtsp_link": camera.link("hevc"), "video": "h264"
    });
    let response = manager.post("/api/stream/start", &start).await;
    assert!(response.status.is_server_error(), "{response:?}");
    let detail = response.body["detail"].as_str().unwrap_or_default();
    assert!(detail.contains("FFMPEG_MAX_MEMORY_MB"), "{response:?}");
    assert_eq!(manager.status("cam").await["restarts"], 0);
    assert!(is_running(ffmpegs[0]));
}

#[tokio::test(flavor = "multi_thread")]
async fn simultaneous_starts_beyond_the_limit_are_queued_and_succeed() {
    let camera = Camera::start().await;
    let manager = Manager::start(&[("MAX_CONCURRENT_STARTS", "2")]).await;
    let ids: Vec<_> = (0..12).map(|number| format!("cam-{number}")).collect();
    let link = camera.link("h264");
    let starts = ids.iter().map(|id| manager.start_stream(id, &link));
    for response in futures_util::future::join_all(starts).await {
        assert_eq!(response.status, 200, "{response:?}");
    }
    assert_eq!(manager.ffmpegs().len(), ids.len());
    for id in &ids {
        assert_eq!(manager.status(id).await["restarts"], 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_has_no_more_viewers_than_allowed() {
    let (_camera, manager, nginx) = start_live("h264", &[("MAX_VIEWERS_PER_STREAM", "2")]).await;
    let fetch = |player: &'static str, query: &'static str| {
        let url = format!("{}{query}", nginx.playlist("cam"));
        let request = nginx.client().get(url).header("user-agent", player);
        async move { request.send().await.expect("a response") }
    };
    for player in ["one", "two", "one"] {
        assert_eq!(fetch(player, "").await.status(), 200, "{player}");
    }
    // The limit applies to plain requests and to blocking reloads.
    for query in ["", "?_HLS_msn=1"] {
        let response = fetch("three", query).await;
        assert_eq!(response.status(), 503, "{query}");
        assert!(response.headers().contains_key("retry-after"), "{query}");
        assert_eq!(response.headers()["access-control-allow-origin"], "*", "{query}");
        let problem: serde_json::Value = response.json().await.expect("JSON");
        assert_eq!(problem["code"], "too_many_viewers", "{query}");
    }
    assert_eq!(manager.status("cam").await["viewers"], 2);
    until("the other viewers have expired", || async { fetch("three", "").await.status() == 200 })
        .await;
}
