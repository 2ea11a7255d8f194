//! Cameras with the habits of real cameras: what a camera announces, sends and refuses, and when.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{
    ApiResponse, Manager, Nginx, RawCamera, eventually, has_sound, merged, play, probe,
    start_service, until,
};

/// Requests the start of a stream of a raw camera, with these options.
async fn start(manager: &Manager, id: &str, camera: &RawCamera, options: Value) -> ApiResponse {
    let request = json!({ "indicator_id": id, "rtsp_link": camera.link() });
    manager.post("/api/stream/start", &merged(request, options)).await
}

/// Plays `seconds` of a stream, and returns its codecs. Panics if this takes more than 10 s longer than
/// `seconds`, because then the stream does not advance.
async fn plays(nginx: &Nginx, id: &str, seconds: u32) -> Vec<Value> {
    let playlist = nginx.playlist(id);
    let within = Duration::from_secs(u64::from(seconds) + 10);
    let played = tokio::time::timeout(within, play(&playlist, seconds)).await;
    assert!(played.is_ok(), "{id} does not advance");
    probe(&playlist).await.iter().map(codec).collect()
}

/// Returns the name of the codec in a description by ffprobe.
fn codec(stream: &Value) -> Value {
    stream["codec_name"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn video_does_not_wait_for_sound() {
    let (_camera, manager, nginx) = start_service(&[]).await;
    let both = vec!["h264", "aac"];
    let cases = [
        ("never-pcmu", "--audio pcmu --audio-from inf", &both),
        ("never-aac", "--audio aac --audio-from inf", &both),
        ("never-first", "--audio aac --audio-first --audio-from inf", &both),
        ("late-pcmu", "--audio pcmu --audio-from 3", &both),
        ("late-aac", "--audio aac --audio-from 3", &both),
        ("ends-pcmu", "--audio pcmu --audio-until 2", &both),
        ("ends-aac", "--audio aac --audio-until 2", &both),
        ("pauses", "--audio aac --audio-gap 3@2", &both),
        ("never-opus", "--audio opus --audio-from inf", &both),
        ("backchannel-last", "--audio pcma --backchannel last", &both),
        ("metadata", "--metadata --audio pcmu", &both),
    ];
    join_all(cases.map(async |(id, habits, codecs)| {
        let camera = RawCamera::start(habits).await;
        let response = start(&manager, id, &camera, json!({})).await;
        assert_eq!(response.status, 200, "{id}: {response:?}");
        assert_eq!(plays(&nginx, id, 6).await, *codecs, "{id}");
        let status = manager.status(id).await;
        assert_eq!((&status["state"], &status["restarts"]), (&"live".into(), &0.into()), "{id}");
        // A change of the plan requires a second connection.
        assert!(camera.connections() <= 2, "{id}");
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_start_does_not_wait_for_sound() {
    let (_camera, manager, _nginx) = start_service(&[]).await;
    for audio in ["aac", "opus"] {
        let camera = RawCamera::start(&format!("--audio {audio} --audio-from inf")).await;
        let began = Instant::now();
        assert_eq!(start(&manager, audio, &camera, json!({})).await.status, 200);
        assert!(began.elapsed() < Duration::from_secs(4), "{audio}: {:?}", began.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_manager_uses_the_tracks_on_which_the_camera_sends() {
    let (_camera, manager, nginx) = start_service(&[]).await;
    let cases = [
        ("backchannel", "--audio pcmu --backchannel first"),
        ("backchannel-aac", "--audio aac --backchannel first"),
        ("video", "--audio aac --silent-video-first"),
        ("video-hevc", "--audio aac --video hevc --silent-video-first"),
    ];
    join_all(cases.map(async |(id, habits)| {
        let camera = RawCamera::start(habits).await;
        let response = start(&manager, id, &camera, json!({})).await;
        assert_eq!(response.status, 200, "{id}: {response:?}");
        let playlist = nginx.playlist(id);
        until(&format!("{id} has sound"), || has_sound(&playlist)).await;
        let codecs: Vec<_> = probe(&playlist).await.iter().map(codec).collect();
        assert_eq!(codecs, ["h264", "aac"], "{id}");
    }))
    .await;
    let camera = RawCamera::start("--silent-video-first").await;
    let tested = manager.post("/api/cameras/test", &json!({ "rtsp_link": camera.link() })).await;
    assert_eq!(tested.status, 200, "{tested:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn audio_that_the_camera_refuses_is_left_out() {
    let (_camera, manager, nginx) = start_service(&[]).await;
    join_all([400, 401, 404, 459, 461, 500].map(async |code| {
        let id = format!("refuses-{code}");
        let camera = RawCamera::start(&format!("--audio pcmu --answer SETUP/audio:{code}")).await;
        let response = start(&manager, &id, &camera, json!({})).await;
        assert_eq!(response.status, 200, "{id}: {response:?}");
        assert_eq!(plays(&nginx, &id, 2).await, ["h264"], "{id}");
    }))
    .await;
    // If a camera refuses the backchannel, only the lean FFmpeg plays the camera's audio. So only the video
    // is checked.
    let camera =
        RawCamera::start("--audio aac --backchannel last --answer SETUP/backchannel:404").await;
    assert_eq!(start(&manager, "refuses-back", &camera, json!({})).await.status, 200);
    assert_eq!(plays(&nginx, "refuses-back", 2).await[0], "h264");
    let camera = RawCamera::start("--audio pcmu --answer SETUP/audio:404").await;
    let response = start(&manager, "wanted", &camera, json!({ "audio": "aac" })).await;
    assert_eq!(
        (response.status.as_u16(), &response.body["code"]),
        (502, &"source_unsupported".into())
    );
    let detail = response.body["detail"].as_str().expect("a string");
    assert!(detail.contains("audio"), "{detail}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_that_is_too_busy_for_audio_plays_without_audio() {
    let (_camera, manager, nginx) = start_service(&[]).await;
    let camera = RawCamera::start("--audio pcmu --answer SETUP/audio:453").await;
    let (response, tested) = tokio::join!(start(&manager, "cam", &camera, json!({})), async {
        let test = json!({ "rtsp_link": camera.link() });
        manager.post("/api/cameras/test", &test).await
    });
    assert_eq!(response.status, 200, "{response:?}");
    assert_eq!(tested.status, 200, "{tested:?}");
    assert_eq!(plays(&nginx, "cam", 2).await, ["h264"]);
    assert_eq!(manager.status("cam").await["last_error"]["code"], "audio_unsupported");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_that_was_busy_for_a_while_has_audio_at_the_next_start() {
    let (_camera, manager, nginx) = start_service(&[]).await;
    // The camera refuses three attempts with audio. The attempt without audio succeeds, but only because the
    // camera is free again. So the next start must try with audio.
    let camera = RawCamera::start("--audio pcmu --answer SETUP/video:453:3").await;
    for expected in [&["h264"][..], &["h264", "aac"]] {
        let response = start(&manager, "cam", &camera, json!({})).await;
        assert_eq!(response.status, 200, "{response:?}");
        assert_eq!(plays(&nginx, "cam", 2).await, expected);
        manager.stop_stream("cam").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_ended_before_the_next_one_begins() {
    let (_camera, manager, _nginx) = start_service(&[]).await;
    // G.711 leads to another plan, and thus to another session.
    let camera = RawCamera::start("--audio pcmu --dead-session 60").await;
    let response = start(&manager, "cam", &camera, json!({})).await;
    assert_eq!(response.status, 200, "{response:?}");
    let response = start(&manager, "cam", &camera, json!({ "audio": "off" })).await;
    assert_eq!(response.status, 200, "{response:?}");
    let connections = camera.connections();
    assert!(connections > 1, "there was only one session");
    assert_eq!(camera.requests("TEARDOWN").len(), connections - 1);
    assert!(camera.requests("SETUP").iter().all(|it| it["status"] == 200), "a session was refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_and_disabled_audio_are_not_set_up() {
    let (_camera, manager, _nginx) = start_service(&[]).await;
    let camera = RawCamera::start("--audio pcmu --metadata").await;
    let response = start(&manager, "cam", &camera, json!({ "audio": "off" })).await;
    assert_eq!(response.status, 200, "{response:?}");
    let urls: Vec<_> = camera.requests("SETUP").iter().map(|it| it["url"].to_string()).collect();
    assert!(urls.len() == 1 && urls[0].contains("/video"), "{urls:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_with_too_many_connections_is_retried_until_it_is_free() {
    let (_camera, manager, _nginx) = start_service(&[]).await;
    let camera = RawCamera::start("--one-session 3").await;
    let test = json!({ "rtsp_link": camera.link() });
    let tested = manager.post("/api/cameras/test", &test).await;
    assert_eq!(tested.status, 200, "{tested:?}");
    let began = Instant::now();
    let response = start(&manager, "cam", &camera, json!({})).await;
    assert_eq!(response.status, 200, "{response:?}");
    assert!(began.elapsed() > Duration::from_secs(2), "the camera was not busy");
    let refused = manager.post("/api/cameras/test", &test).await;
    let (status, code) = (refused.status.as_u16(), &refused.body["code"]);
    assert_eq!((status, code), (503, &"source_busy".into()), "{refused:?}");
    // A change of the options needs another connection, which the camera refuses at first.
    let response = start(&manager, "cam", &camera, json!({ "audio": "off" })).await;
    assert_eq!(response.status, 200, "{response:?}");
    for code in [453, 503] {
        let camera = RawCamera::start(&format!("--answer SETUP:{code}:1")).await;
        let id = format!("busy-{code}");
        assert_eq!(start(&manager, &id, &camera, json!({})).await.status, 200);
        assert_eq!(camera.requests("SETUP").len(), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_was_live_is_restored_within_seconds() {
    let (_camera, manager, nginx) = start_service(&[]).await;
    let mut camera = RawCamera::start("--answer DESCRIBE:404:1").await;
    until("the stream is live", || async {
        start(&manager, "cam", &camera, json!({})).await.status == 200
    })
    .await;
    // After an interruption, the manager reconnects soon, because the stream was live for at least 5 s.
    plays(&nginx, "cam", 6).await;
    let before = manager.status("cam").await["generation"].as_u64().expect("a number");
    // The camera behaves like a relay that restarts: it is unreachable at first, and then responds with 404
    // once, because it does not know the path yet.
    camera.kill();
    until("the stream is interrupted", || async {
        manager.status("cam").await["state"] == "backoff"
    })
    .await;
    camera.restart().await;
    until("the camera responds", || async { !camera.requests("DESCRIBE").is_empty() }).await;
    let began = Instant::now();
    eventually("the stream is live again", || async {
        let status = manager.status("cam").await;
        let is_new = status["generation"].as_u64() > Some(before);
        (is_new && status["state"] == "live").then_some(())
    })
    .await;
    assert_eq!(camera.requests("DESCRIBE")[0]["status"], 404);
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
}
