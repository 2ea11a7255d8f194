//! Links as people paste them.

use serde_json::{Value, json};

use crate::support::{ApiResponse, Manager, RawCamera};

/// Starts a stream, and returns the response.
async fn start(manager: &Manager, id: &str, link: &str) -> ApiResponse {
    manager.post("/api/stream/start", &json!({ "indicator_id": id, "rtsp_link": link })).await
}

/// Tests a link, and returns the response.
async fn test(manager: &Manager, link: &str) -> ApiResponse {
    manager.post("/api/cameras/test", &json!({ "rtsp_link": link })).await
}

/// Returns the link with these credentials.
fn with(user_info: &str, camera: &RawCamera) -> String {
    camera.link().replacen("rtsp://", &format!("rtsp://{user_info}@"), 1)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pasted_link_plays_whatever_is_around_it_and_in_its_password() {
    let manager = Manager::start(&[]).await;
    let blank = RawCamera::start("--auth md5").await;
    let slash = RawCamera::start("--auth md5 --password pa/s@s%w:rd").await;
    let long = RawCamera::start(&format!("--auth md5 --password {}", "!".repeat(60))).await;
    let links = [
        format!(" \t{}\r\n", with("admin", &blank).replacen("rtsp", "RTSP", 1)),
        with("admin:", &blank),
        // An @ after a slash ends the password only once, because the text before is no host.
        with("admin:pa/s%40s%w:rd", &slash),
        with("admin:pa%2Fs@s%25w%3Ard", &slash),
        // FFmpeg would cut these credentials after 127 bytes.
        with(&format!("admin:{}", "%21".repeat(60)), &long),
    ];
    for (number, link) in links.iter().enumerate() {
        let response = start(&manager, &format!("cam-{number}"), link).await;
        assert_eq!(response.status, 200, "{link:?}: {response:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_spelling_of_a_link_does_not_reconnect() {
    let manager = Manager::start(&[]).await;
    let camera = RawCamera::start("--auth md5 --password a!b").await;
    let link = with("admin:a!b", &camera);
    for spelling in [link.clone(), format!("{link}?"), link.replace('!', "%21"), format!(" {link}")]
    {
        let response = start(&manager, "cam", &spelling).await;
        assert_eq!(response.status, 200, "{spelling}: {response:?}");
    }
    assert_eq!(camera.connections(), 1);
    let changed = start(&manager, "cam", &link.replace("/live", "/other")).await;
    assert_eq!((changed.status.as_u16(), camera.connections()), (200, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_cannot_be_used_is_refused_with_what_to_change() {
    let manager = Manager::start(&[]).await;
    let cases = [
        ("rtsp://admin:12/3@127.0.0.1:1/x".to_owned(), "%2F"),
        ("rtsp://127.0.0.1:0/x".to_owned(), "1 to 65535"),
        (format!("rtsp://a:{}@127.0.0.1:1/x", "x".repeat(126)), "127 characters"),
        (format!("rtsp://127.0.0.1:1/{}", "x".repeat(1023)), "1023 characters"),
    ];
    for (link, reason) in cases {
        let stored = json!({ "rtsp_link": link });
        let responses = [
            start(&manager, "cam", &link).await,
            test(&manager, &link).await,
            manager.put("/api/cameras/cam", &stored).await,
        ];
        for response in responses {
            let (status, code) = (response.status.as_u16(), &response.body["code"]);
            assert_eq!((status, code), (400, &Value::from("invalid_source")), "{response:?}");
            let detail = response.body["detail"].as_str().expect("a text");
            assert!(detail.contains(reason), "{link}: {detail}");
        }
    }
}
