//! Cameras that cannot be played: the error code, how fast the API returns the error, and that the
//! password stays hidden.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::support::{
    Camera, Manager, Nginx, SilentCamera, eventually, free_port, play, processes_that_show,
    send_signal, start_live, start_service,
};

/// Time limit of a failing start. With the default settings, FFmpeg gives up on a silent camera after
/// 5 s.
const MAX_DURATION: Duration = Duration::from_secs(10);

/// Starts a stream that is expected to fail. Returns the status code, the error code and the detail.
async fn failed_start(manager: &Manager, link: &str) -> (u16, String, String) {
    let start = Instant::now();
    let response = manager.start_stream("cam", link).await;
    assert!(start.elapsed() < MAX_DURATION, "{link} took {:?}", start.elapsed());
    let text = |name: &str| response.body[name].as_str().unwrap_or_default().to_owned();
    (response.status.as_u16(), text("code"), text("detail"))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_cause_of_a_failed_start_is_reported_with_its_error_code() {
    let camera = Camera::start().await;
    let manager = Manager::start(&[]).await;
    let silent = SilentCamera::start().await;
    let private = camera.link("private");
    let wrong_password = private.replace("rtsp://", "rtsp://viewer:wrong-password@");
    let table = [
        (camera.link("nothing-here"), 502, "source_not_found"),
        (private, 502, "source_unauthorized"),
        (wrong_password, 502, "source_unauthorized"),
        (format!("rtsp://127.0.0.1:{}/x", free_port()), 502, "source_unreachable"),
        ("rtsp://no-such-host.invalid/x".to_owned(), 502, "source_unreachable"),
        (format!("rtsp://{}/x", manager.address()), 502, "source_unsupported"),
        (format!("rtsps://{}/x", manager.address()), 502, "source_unsupported"),
        (camera.link("audio-only"), 502, "source_unsupported"),
        (silent.link(), 504, "source_timeout"),
    ];
    for (link, status, code) in table {
        let (actual_status, actual_code, detail) = failed_start(&manager, &link).await;
        assert_eq!((actual_status, actual_code.as_str()), (status, code), "{link}: {detail}");
        let names_the_camera =
            ["camera", "address", "host"].iter().any(|word| detail.contains(word));
        assert!(names_the_camera, "{link}: {detail}");
        let last_error = &manager.status("cam").await["last_error"];
        assert_eq!(last_error["code"], code, "{link}");
    }
    // A working link plays immediately after failed starts.
    manager.play("cam", &camera.link("h264")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn responses_logs_and_process_lists_never_show_a_cameras_password() {
    let mut camera = Camera::start().await;
    // RUST_LOG=trace logs as much as possible.
    let manager = Manager::start(&[("RUST_LOG", "trace"), ("STALE_TIMEOUT_SECONDS", "2")]).await;
    let nginx = Nginx::start(&manager).await;
    let password = camera.password().to_owned();
    let mut responses = Vec::new();
    for link in [
        camera.link_with_credentials("private"),
        camera.link_with_credentials("nothing-here"),
        camera.link_with_credentials("audio-only"),
        format!("rtsp://viewer:{password}@127.0.0.1:1/x"),
        format!("rtsp://viewer:{password}@no-such-host.invalid/x"),
        format!("rtsp://viewer:{password}@/x"),
        format!("http://viewer:{password}@host/x"),
        format!("rtsp://127.0.0.1:1/x?user=viewer&password={password}"),
    ] {
        let query = [("indicator_id", "cam"), ("rtsp_link", link.as_str())];
        let request = nginx.client().get(nginx.url("/api/stream/start")).query(&query);
        responses.push(format!("{:?}", manager.send(request).await));
    }
    manager.play("cam", &camera.link_with_credentials("private")).await;
    let shown: Vec<_> = processes_that_show(&password);
    assert_eq!(shown, [camera.pid()], "a process other than the camera shows the password");
    // When the camera disappears, FFmpeg writes error messages. They must not show the password either.
    camera.kill();
    manager.reaches("cam", "backoff").await;
    responses.push(format!("{:?}", manager.get("/api/streams").await));
    responses.push(format!("{:?}", manager.get("/api/stream/status?indicator_id=cam").await));
    responses.push(format!("{:?}", manager.get("/api/streams/cam/log").await));
    responses.push(format!("{:?}", manager.get("/metrics").await));
    assert!(!responses.join("\n").contains(&password), "a response shows the password");
    assert!(!manager.log().contains(&password), "the log shows the password");
    assert!(!nginx.log().contains(&password), "nginx's log shows the password");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_with_invalid_links_or_ids_start_no_stream() {
    let manager = Manager::start(&[]).await;
    for link in ["http://h/x", "file:///etc/passwd", "rtsp://", "rtsp://h/a'b", "rtsp://h/\nx", "x"]
    {
        let response = manager.start_stream("cam", link).await;
        assert_eq!(
            (response.status.as_u16(), &response.body["code"]),
            (400, &"invalid_source".into()),
            "{link:?}"
        );
    }
    let long = "x".repeat(10_000);
    for id in ["../x", "a/b", "", ".", "a b", long.as_str()] {
        let response = manager.start_stream(id, "rtsp://127.0.0.1:1/x").await;
        assert_eq!(
            (response.status.as_u16(), &response.body["code"]),
            (400, &"invalid_id".into()),
            "{id:.9}"
        );
    }
    assert_eq!(manager.get("/api/stream/start?indicator_id=new").await.status, 404);
    assert_eq!(manager.get("/api/streams").await.body["streams"], serde_json::json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn viewers_do_not_cause_retries_of_a_camera_that_rejects_the_login() {
    let (camera, manager, nginx) = start_service(&[]).await;
    let (status, ..) = failed_start(&manager, &camera.link("private")).await;
    assert_eq!(status, 502);
    let generation = manager.status("cam").await["generation"].clone();
    for _ in 0..5 {
        let response = nginx.get("/streams/cam/stream.m3u8").await;
        assert_eq!(response.status(), 502);
        assert!(response.headers().contains_key("retry-after"), "{response:?}");
        assert_eq!(response.headers()["access-control-allow-origin"], "*");
    }
    assert_eq!(manager.status("cam").await["generation"], generation, "a viewer caused a retry");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_link_does_not_end_a_live_stream_and_is_not_stored() {
    let (camera, manager, nginx) = start_live("h264", &[]).await;
    let before = manager.status("cam").await;
    for (link, code) in [
        (camera.link("nothing-here"), "source_not_found"),
        (format!("rtsp://127.0.0.1:{}/x", free_port()), "source_unreachable"),
        (format!("rtsp://{}/x", manager.address()), "source_unsupported"),
    ] {
        for wait in ["true", "false"] {
            let query = [("indicator_id", "cam"), ("rtsp_link", &link), ("wait", wait)];
            let request = manager.client().get(manager.url("/api/stream/start")).query(&query);
            let response = manager.send(request).await;
            assert_eq!(response.body["code"], code, "{link}: {response:?}");
            let detail = response.body["detail"].as_str().expect("a detail");
            assert!(detail.contains("previous link"), "{detail}");
        }
    }
    let after = manager.status("cam").await;
    for field in ["state", "generation", "source", "restarts"] {
        assert_eq!(after[field], before[field], "{field}");
    }
    play(&nginx.playlist("cam"), 2).await;
    // A later start without a link uses the link that works.
    manager.stop_stream("cam").await;
    let started = manager.get("/api/stream/start?indicator_id=cam").await;
    assert_eq!(started.status, 200, "{started:?}");
    // A link that works replaces the previous one.
    let link = camera.link("h264-pcma");
    manager.play("cam", &link).await;
    assert_eq!(manager.status("cam").await["source"], link);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_error_of_a_killed_ffmpeg_names_the_signal() {
    let (_camera, manager, _nginx) = start_live("h264", &[]).await;
    for ffmpeg in manager.ffmpegs() {
        send_signal(ffmpeg, Signal::SIGKILL);
    }
    let detail = eventually("the stream is interrupted", || async {
        let detail = manager.status("cam").await["last_error"]["detail"].as_str()?.to_owned();
        Some(detail)
    })
    .await;
    assert!(detail.contains("killed") && detail.contains("SIGKILL"), "{detail}");
}
