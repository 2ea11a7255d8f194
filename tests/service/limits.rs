//! What streams, viewers and each FFmpeg may take, and how many of them there may be.

use std::fs;

use serde_json::json;

use crate::support::{Camera, Manager, is_running, on_air, until};

#[tokio::test(flavor = "multi_thread")]
async fn each_ffmpeg_lives_within_its_bounds() {
    let bounds =
        [("FFMPEG_NICE", "7"), ("FFMPEG_MAX_MEMORY_MB", "300"), ("FFMPEG_MAX_OPEN_FILES", "40")];
    let camera = Camera::start().await;
    let manager = Manager::start(&bounds).await;
    manager.play("cam", &camera.link("h264")).await;
    let [ffmpeg] = manager.ffmpegs()[..] else { panic!("one FFmpeg") };
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
    assert_eq!(fields.split_whitespace().nth(16), Some("7"), "nice of {stat}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ffmpeg_that_wants_too_much_memory_is_told_and_hurts_no_other() {
    let camera = Camera::start_with(&["--width", "1920", "--height", "1080"]).await;
    // Enough to copy, and not to encode so large a picture.
    let manager = Manager::start(&[("FFMPEG_MAX_MEMORY_MB", "64")]).await;
    manager.play("cam", &camera.link("h264")).await;
    let ffmpegs = manager.ffmpegs();
    let start = json!({
        "indicator_id": "greedy", "rtsp_link": camera.link("hevc"), "video": "h264"
    });
    let answer = manager.post("/api/stream/start", &start).await;
    assert!(answer.status.is_server_error(), "{answer:?}");
    let detail = answer.body["detail"].as_str().unwrap_or_default();
    assert!(detail.contains("FFMPEG_MAX_MEMORY_MB"), "{answer:?}");
    assert_eq!(manager.status("cam").await["restarts"], 0);
    assert!(is_running(ffmpegs[0]));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_starts_at_once_are_served_in_turn() {
    let camera = Camera::start().await;
    let manager = Manager::start(&[("MAX_CONCURRENT_STARTS", "2")]).await;
    let ids: Vec<_> = (0..12).map(|number| format!("cam-{number}")).collect();
    let link = camera.link("h264");
    let starts = ids.iter().map(|id| manager.start_stream(id, &link));
    for answer in futures_util::future::join_all(starts).await {
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    assert_eq!(manager.ffmpegs().len(), ids.len());
    for id in &ids {
        assert_eq!(manager.status(id).await["restarts"], 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_has_as_many_viewers_as_it_may() {
    let (_camera, manager, nginx) = on_air("h264", &[("MAX_VIEWERS_PER_STREAM", "2")]).await;
    let ask = |player: &'static str, query: &'static str| {
        let url = format!("{}{query}", nginx.playlist("cam"));
        let request = nginx.client().get(url).header("user-agent", player);
        async move { request.send().await.expect("an answer") }
    };
    for player in ["one", "two", "one"] {
        assert_eq!(ask(player, "").await.status(), 200, "{player}");
    }
    // By nginx, which asks, and by the manager itself.
    for query in ["", "?_HLS_msn=1"] {
        let refused = ask("three", query).await;
        assert_eq!(refused.status(), 503, "{query}");
        assert!(refused.headers().contains_key("retry-after"), "{query}");
        assert_eq!(refused.headers()["access-control-allow-origin"], "*", "{query}");
        let problem: serde_json::Value = refused.json().await.expect("JSON");
        assert_eq!(problem["code"], "too_many_viewers", "{query}");
    }
    assert_eq!(manager.status("cam").await["viewers"], 2);
    until("the others have left", || async { ask("three", "").await.status() == 200 }).await;
}
