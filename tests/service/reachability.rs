//! The checks of cameras: the manager notices that a camera fails or returns, even while no client watches it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::support::{
    ApiResponse, Camera, Manager, Metrics, RawCamera, Receiver, free_port, self_signed,
    tls_acceptor, until,
};

const EACH_SECOND: (&str, &str) = ("CHECK_INTERVAL_SECONDS", "1");

async fn add(manager: &Manager, id: &str, link: &str) {
    let put = manager.put(&format!("/api/cameras/{id}"), &json!({ "rtsp_link": link })).await;
    assert_eq!(put.status, 201, "{put:?}");
}

async fn reachability(manager: &Manager, id: &str) -> Value {
    manager.get(&format!("/api/cameras/{id}")).await.body["reachability"].clone()
}

/// Waits until the API reports the camera as reachable or, if `is_reachable` is false, as unreachable. Returns
/// the object `reachability`.
async fn becomes(manager: &Manager, id: &str, is_reachable: bool) -> Value {
    until(&format!("camera {id} is reachable: {is_reachable}"), || async {
        reachability(manager, id).await["reachable"] == is_reachable
    })
    .await;
    reachability(manager, id).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_that_no_client_watches_is_reported_when_it_fails_and_when_it_returns() {
    let mut camera = Camera::start().await;
    let receiver = Receiver::start(&[]).await;
    let manager = Manager::start(&[EACH_SECOND, ("WEBHOOK_URL", &receiver.url("/"))]).await;
    add(&manager, "gate", &camera.link_with_credentials("h264")).await;
    let known = becomes(&manager, "gate", true).await;
    assert_eq!(known["last_error"], Value::Null, "{known}");
    let reachable_since = known["since"].as_str().expect("a time").to_owned();

    camera.kill();
    let known = becomes(&manager, "gate", false).await;
    assert!(known["since"].as_str() > Some(&reachable_since), "{known}");
    assert_eq!(known["last_error"]["code"], "source_unreachable", "{known}");
    assert!(known["last_error"]["at"].as_str() > known["since"].as_str(), "{known}");
    let metrics = Metrics::fetch(&manager).await;
    assert_eq!(metrics.value(r#"stream_manager_cameras{reachable="no"}"#), Some(1.0), "{metrics}");
    assert_eq!(metrics.value(r#"stream_manager_cameras{reachable="yes"}"#), Some(0.0));
    let failures = metrics.value(r#"stream_manager_camera_checks_total{result="failure"}"#);
    assert!(failures >= Some(3.0), "{metrics}");

    camera.restart().await;
    becomes(&manager, "gate", true).await;
    receiver.receives("gate", &["camera.offline source_unreachable", "camera.online"]).await;
    let offline = &receiver.webhooks()[0].body;
    let expected = json!({
        "id": offline["id"], "type": "camera.offline", "at": offline["at"], "camera": "gate",
        "profile": null, "generation": null, "reason": null,
        "error": { "code": "source_unreachable", "detail": "connection refused; check the port" },
    });
    assert_eq!(*offline, expected);
    let shown = format!("{:?} {offline}", manager.get("/api/cameras").await.body);
    for text in [manager.log(), shown] {
        assert!(!text.contains(camera.password()), "{text}");
    }
    assert_eq!(camera.plays(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_that_streams_is_reachable_without_a_check() {
    let camera = RawCamera::start("").await;
    let manager = Manager::start(&[EACH_SECOND]).await;
    manager.play("live", &camera.link()).await;
    let connections = camera.connections();
    becomes(&manager, "live", true).await;
    // The manager reports the camera "dead" as unreachable only after several checks. In this time, it would also
    // have checked "live" several times, if it checked cameras whose streams are live.
    add(&manager, "dead", &format!("rtsp://127.0.0.1:{}/x", free_port())).await;
    becomes(&manager, "dead", false).await;
    assert_eq!(camera.connections(), connections, "the camera was contacted");
    assert_eq!(reachability(&manager, "live").await["last_error"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_check_interval_no_camera_is_contacted() {
    let camera = RawCamera::start("").await;
    let manager = Manager::start(&[]).await;
    let checking = Manager::start(&[EACH_SECOND]).await;
    add(&manager, "gate", &camera.link()).await;
    let dead = format!("rtsp://127.0.0.1:{}/x", free_port());
    add(&checking, "dead", &dead).await;
    becomes(&checking, "dead", false).await;
    assert_eq!(camera.connections(), 0);
    assert_eq!(reachability(&manager, "gate").await, Value::Null);
    let metrics = Metrics::fetch(&manager).await;
    // The metrics of checks are `stream_manager_cameras` and `stream_manager_camera_checks_total`.
    assert!(metrics.names().all(|name| !name.starts_with("stream_manager_camera")), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_in_a_denied_network_is_not_contacted() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let link = format!("rtsp://{}/x", listener.local_addr().expect("an address"));
    let manager = Manager::start(&[EACH_SECOND, ("CAMERA_DENY_NETS", "127.0.0.0/8")]).await;
    add(&manager, "gate", &link).await;
    let known = tokio::select! {
        known = becomes(&manager, "gate", false) => known,
        _ = listener.accept() => panic!("the camera was contacted"),
    };
    assert_eq!(known["last_error"]["code"], "source_forbidden", "{known}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_with_an_rtsps_link_is_checked_over_tls_and_a_changed_address_is_checked_again() {
    let dir = TempDir::new().expect("a directory");
    let (key, certificate) = self_signed(dir.path());
    let acceptor = tls_acceptor(&key, &certificate);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let server = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            let mut stream = acceptor.accept(stream).await.expect("TLS");
            let mut request = vec![0; 4096];
            let length = stream.read(&mut request).await.expect("a request");
            let request = String::from_utf8_lossy(&request[..length]).into_owned();
            assert!(request.starts_with(&format!("OPTIONS rtsps://{address}/ ")), "{request}");
            assert!(!request.contains("pw-tls-1"), "{request}");
            stream.write_all(b"RTSP/1.0 401 Unauthorized\r\n\r\n").await.expect("a client");
        }
    });
    let manager = Manager::start(&[EACH_SECOND]).await;
    add(&manager, "gate", &format!("rtsps://admin:pw-tls-1@{address}/key=pw-tls-1")).await;
    becomes(&manager, "gate", true).await;

    let dead = json!({ "rtsp_link": format!("rtsp://127.0.0.1:{}/x", free_port()) });
    let put: ApiResponse = manager.put("/api/cameras/gate", &dead).await;
    assert_eq!(put.status, 200, "{put:?}");
    // The manager has not checked the new address yet, or the check has failed.
    assert_ne!(reachability(&manager, "gate").await["reachable"], true);
    let known = becomes(&manager, "gate", false).await;
    assert_eq!(known["last_error"]["code"], "source_unreachable", "{known}");
    assert_eq!(manager.delete("/api/cameras/gate").await.status, 204);
    assert!(!server.is_finished(), "the camera got an unexpected request");
    assert!(!manager.log().contains("pw-tls-1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_number_of_simultaneous_checks_is_limited() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let link = format!("rtsp://{}/x", listener.local_addr().expect("an address"));
    let (open, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counters = (Arc::clone(&open), Arc::clone(&most));
    // None of the cameras responds, so that each check lasts until its timeout.
    let server = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let (open, most) = (Arc::clone(&counters.0), Arc::clone(&counters.1));
            most.fetch_max(open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::spawn(async move {
                let mut request = vec![0; 4096];
                while stream.read(&mut request).await.is_ok_and(|length| length > 0) {}
                open.fetch_sub(1, Ordering::SeqCst);
            });
        }
    });
    let manager = Manager::start(&[EACH_SECOND]).await;
    for number in 0..30 {
        add(&manager, &format!("silent-{number}"), &link).await;
    }
    until("the first checks have ended", || async {
        let metrics = Metrics::fetch(&manager).await;
        let failures = metrics.value(r#"stream_manager_camera_checks_total{result="failure"}"#);
        failures >= Some(16.0)
    })
    .await;
    // The limit is 8. The test may count a new connection before it notices the end of the previous one.
    let most = most.load(Ordering::SeqCst);
    assert!((2..=16).contains(&most), "{most} checks at the same time");
    assert!(!server.is_finished());
}
