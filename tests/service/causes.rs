//! Cameras that cannot be played: the named error, quickly, and nothing of the password.

use std::time::{Duration, Instant};

use tokio::net::TcpListener;

use crate::support::{Camera, Manager, Nginx, all_parts, processes_that_show};

/// FFmpeg's patience with a silent camera at the default settings is 5 s.
const QUICKLY: Duration = Duration::from_secs(10);

async fn refusal(manager: &Manager, link: &str) -> (u16, String, String) {
    let began = Instant::now();
    let answer = manager.start_stream("cam", link).await;
    assert!(began.elapsed() < QUICKLY, "{link} took {:?}", began.elapsed());
    let text = |name: &str| answer.body[name].as_str().unwrap_or_default().to_owned();
    (answer.status.as_u16(), text("code"), text("detail"))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_cause_has_its_name() {
    let camera = Camera::start().await;
    let manager = Manager::start(&[]).await;
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let silent_port = silent.local_addr().expect("an address").port();
    let closed = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let closed_port = closed.local_addr().expect("an address").port();
    drop(closed);
    let private = camera.link("private");
    let wrong_password = private.replace("rtsp://", "rtsp://viewer:wrong-password@");
    let table = [
        (camera.link("nothing-here"), 502, "source_not_found"),
        (private, 502, "source_unauthorized"),
        (wrong_password, 502, "source_unauthorized"),
        (format!("rtsp://127.0.0.1:{closed_port}/x"), 502, "source_unreachable"),
        ("rtsp://no-such-host.invalid/x".to_owned(), 502, "source_unreachable"),
        (format!("rtsp://{}/x", manager.address()), 502, "source_unsupported"),
        (camera.link("audio-only"), 502, "source_unsupported"),
        (format!("rtsp://127.0.0.1:{silent_port}/x"), 504, "source_timeout"),
    ];
    for (link, status, code) in table {
        let (got_status, got_code, detail) = refusal(&manager, &link).await;
        assert_eq!((got_status, got_code.as_str()), (status, code), "{link}: {detail}");
        assert!(detail.contains("camera") || detail.contains("address"), "{link}: {detail}");
        let last_error = &manager.status("cam").await["last_error"];
        assert_eq!(last_error["code"], code, "{link}");
    }
    // A good link right after a bad one plays.
    manager.play("cam", &camera.link("h264")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_password_shows_nowhere() {
    let mut camera = Camera::start().await;
    // The settings that make the most noise.
    let manager = Manager::start(&[("RUST_LOG", "trace"), ("STALE_TIMEOUT_SECONDS", "2")]).await;
    let nginx = Nginx::start(&manager).await;
    let password = camera.password().to_owned();
    let mut answers = Vec::new();
    for link in [
        camera.private_link("private"),
        camera.private_link("nothing-here"),
        camera.private_link("audio-only"),
        format!("rtsp://viewer:{password}@127.0.0.1:1/x"),
        format!("rtsp://viewer:{password}@no-such-host.invalid/x"),
        format!("rtsp://viewer:{password}@/x"),
        format!("http://viewer:{password}@host/x"),
        format!("rtsp://127.0.0.1:1/x?user=viewer&password={password}"),
    ] {
        let query = [("indicator_id", "cam"), ("rtsp_link", link.as_str())];
        let request = nginx.client().get(nginx.url("/api/stream/start")).query(&query);
        answers.push(format!("{:?}", manager.send(request).await));
    }
    manager.play("cam", &camera.private_link("private")).await;
    let shown: Vec<_> = processes_that_show(&password);
    assert_eq!(shown, [camera.id()], "only the camera itself may show its password");
    // A camera that goes makes FFmpeg talk.
    camera.kill();
    manager.reaches("cam", "backoff").await;
    answers.push(format!("{:?}", manager.get("/api/streams").await));
    answers.push(format!("{:?}", manager.get("/api/stream/status?indicator_id=cam").await));
    answers.push(format!("{:?}", manager.get("/api/streams/cam/log").await));
    answers.push(format!("{:?}", manager.get("/metrics").await));
    assert!(!answers.join("\n").contains(&password), "an answer shows the password");
    assert!(!manager.log().contains(&password), "the log shows the password");
    assert!(!nginx.log().contains(&password), "nginx's log shows the password");
}

#[tokio::test(flavor = "multi_thread")]
async fn links_and_ids_that_are_none_start_nothing() {
    let manager = Manager::start(&[]).await;
    for link in ["http://h/x", "file:///etc/passwd", "rtsp://", "rtsp://h/a'b", "rtsp://h/\nx", "x"]
    {
        let answer = manager.start_stream("cam", link).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.body["code"]),
            (400, &"invalid_source".into()),
            "{link:?}"
        );
    }
    let long = "x".repeat(10_000);
    for id in ["../x", "a/b", "", ".", "a b", long.as_str()] {
        let answer = manager.start_stream(id, "rtsp://127.0.0.1:1/x").await;
        assert_eq!(
            (answer.status.as_u16(), &answer.body["code"]),
            (400, &"invalid_id".into()),
            "{id:.9}"
        );
    }
    assert_eq!(manager.get("/api/stream/start?indicator_id=new").await.status, 404);
    assert_eq!(manager.get("/api/streams").await.body["streams"], serde_json::json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn viewers_do_not_hammer_a_camera_that_refuses() {
    let (camera, manager, nginx) = all_parts(&[]).await;
    let (status, ..) = refusal(&manager, &camera.link("private")).await;
    assert_eq!(status, 502);
    let generation = manager.status("cam").await["generation"].clone();
    for _ in 0..5 {
        let answer = nginx.get("/streams/cam/stream.m3u8").await;
        assert_eq!(answer.status(), 502);
        assert!(answer.headers().contains_key("retry-after"), "{answer:?}");
        assert_eq!(answer.headers()["access-control-allow-origin"], "*");
    }
    assert_eq!(manager.status("cam").await["generation"], generation, "a viewer made it try again");
}
