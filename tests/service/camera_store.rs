//! The camera store: its API, restarts of the manager, imports, exports, and the source key. Passwords
//! stay hidden.

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{ApiResponse, Camera, Manager, Nginx, play, until};

fn assert_problem(response: &ApiResponse, status: u16, code: &str) {
    assert_eq!(
        (response.status.as_u16(), &response.body["code"]),
        (status, &json!(code)),
        "{response:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_can_be_added_read_changed_and_deleted() {
    let manager = Manager::start(&[]).await;
    let parts = json!({
        "name": "Front door", "owner": "42", "vendor": "hikvision", "ip": "192.0.2.7",
        "username": "admin", "password": "p@ss/w:rd"
    });
    let response = manager.put("/api/cameras/front", &parts).await;
    assert_eq!(response.status, 201, "{response:?}");
    let read = manager.get("/api/cameras/front").await.body;
    assert_eq!(read, response.body);
    for (field, value) in [
        ("id", json!("front")),
        ("name", json!("Front door")),
        ("owner", json!("42")),
        ("source", json!("rtsp://***@192.0.2.7:554/Streaming/Channels/101")),
        ("source_sub", json!("rtsp://***@192.0.2.7:554/Streaming/Channels/102")),
        ("username", json!("admin")),
        ("has_password", json!(true)),
        ("video", json!("auto")),
    ] {
        assert_eq!(read[field], value, "{field}");
    }
    assert!(!read.to_string().contains("p@ss"), "{read}");

    // The same request changes nothing. A request without a password keeps the stored password.
    assert_eq!(manager.put("/api/cameras/front", &parts).await.body, read);
    let without = json!({
        "vendor": "hikvision", "ip": "192.0.2.7", "username": "admin", "port": null, "video": null
    });
    let response = manager.put("/api/cameras/front", &without).await;
    assert_eq!((response.status.as_u16(), &response.body["has_password"]), (200, &json!(true)));
    assert_eq!(response.body["name"], "front");
    // The manager deletes the password when the address changes.
    let elsewhere = json!({ "vendor": "hikvision", "ip": "192.0.2.8", "username": "admin" });
    let response = manager.put("/api/cameras/front", &elsewhere).await;
    assert_eq!(response.body["has_password"], false, "{response:?}");
    // A request with only a name keeps the source.
    let response = manager.put("/api/cameras/front", &json!({ "name": "Back" })).await;
    assert_eq!(response.body["ip"], "192.0.2.8", "{response:?}");

    let taken = json!({ "id": "front", "ip": "x", "path": "/" });
    assert_problem(&manager.post("/api/cameras", &taken).await, 409, "camera_exists");
    let without_id = json!({ "rtsp_link": "rtsp://192.0.2.9/x" });
    let created = manager.post("/api/cameras", &without_id).await;
    assert_eq!(created.status, 201, "{created:?}");
    let id = created.body["id"].as_str().expect("an ID");
    let list = manager.get("/api/cameras?search=192.0.2&limit=1").await.body;
    assert_eq!((&list["total"], list["cameras"].as_array().map(Vec::len)), (&json!(2), Some(1)));
    assert_eq!(manager.get("/api/cameras?owner=99").await.body["total"], 0);
    for limit in ["0", "1001", "x"] {
        let response = manager.get(&format!("/api/cameras?limit={limit}")).await;
        assert_problem(&response, 400, "invalid_request");
        assert!(response.body["detail"].as_str().is_some_and(|detail| detail.contains("limit")));
    }

    for id in ["front", id] {
        let path = format!("/api/cameras/{id}");
        assert_eq!(manager.delete(&path).await.status, 204);
        assert_problem(&manager.delete(&path).await, 404, "unknown_camera");
        assert_problem(&manager.get(&path).await, 404, "unknown_camera");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_input_is_rejected_and_changes_nothing() {
    let manager = Manager::start(&[]).await;
    let good = json!({ "rtsp_link": "rtsp://192.0.2.7/x" });
    assert_eq!(manager.put("/api/cameras/cam", &good).await.status, 201);
    let before = manager.get("/api/cameras/cam").await.body;
    let long = "x".repeat(201);
    let table = [
        (json!({ "rtsp_link": "http://192.0.2.7/x" }), "invalid_source"),
        (json!({ "rtsp_link": "rtsp://h/x\nfile 'y'" }), "invalid_source"),
        (json!({ "ip": "192.0.2.7" }), "invalid_source"),
        (json!({ "ip": "192.0.2.7", "vendor": "unknown" }), "invalid_source"),
        (json!({ "ip": "192.0.2.7/../etc", "path": "/x" }), "invalid_source"),
        (json!({ "ip": "a@b", "path": "/x" }), "invalid_source"),
        (json!({ "ip": "192.0.2.7", "path": "/x' y" }), "invalid_source"),
        // These values were copied from responses, which contain *** in place of secrets.
        (json!({ "ip": "192.0.2.7", "path": "/x?pass=***" }), "invalid_source"),
        (json!({ "rtsp_link": "rtsp://***@192.0.2.7/x" }), "invalid_source"),
        (json!({ "ip": "192.0.2.7", "path": "/x", "port": 70000 }), "invalid_request"),
        (json!({ "ip": "192.0.2.7", "path": "/x", "rtsp_link": "rtsp://h/x" }), "invalid_request"),
        (json!({ "password": "only" }), "invalid_request"),
        (json!({ "name": long }), "invalid_request"),
        (json!({ "name": "two\nlines" }), "invalid_request"),
        (json!({ "id": "other" }), "invalid_request"),
        (json!({ "video": "loud" }), "invalid_request"),
        (json!({ "sealed": "AAAA" }), "invalid_source"),
        (json!({ "colour": "red" }), "invalid_request"),
    ];
    for (body, code) in table {
        let response = manager.put("/api/cameras/cam", &body).await;
        assert_problem(&response, 400, code);
        assert!(!response.body.to_string().contains("only"), "{response:?}");
    }
    assert_problem(&manager.put("/api/cameras/new", &json!({})).await, 400, "invalid_source");
    assert_problem(&manager.put("/api/cameras/..%2f", &good).await, 400, "invalid_id");
    let import = json!([{ "id": "a", "rtsp_link": "rtsp://h/x" }, { "id": "b" }]);
    let response = manager.put("/api/cameras.json", &import).await;
    assert_problem(&response, 400, "invalid_source");
    assert!(response.body["detail"].as_str().is_some_and(|detail| detail.contains("entry 2")));
    assert_eq!(manager.get("/api/cameras").await.body["total"], 1);
    assert_eq!(manager.get("/api/cameras/cam").await.body, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn cameras_survive_a_killed_manager_and_start_with_their_first_viewer() {
    let camera = Camera::start().await;
    let mut manager = Manager::start(&[]).await;
    manager.play("started", &camera.link_with_credentials("private")).await;
    let parts = json!({
        "ip": "127.0.0.1", "port": camera.port(), "path": "/private", "sub_path": "/h264-aac",
        "username": "viewer", "password": camera.password(), "video": "h264"
    });
    assert_eq!(manager.put("/api/cameras/parts", &parts).await.status, 201);
    manager.signal(Signal::SIGKILL);
    manager.exit_code().await;

    let manager = manager.start_again(&[("TRANSCODE_PRESET", "ultrafast")]).await;
    let nginx = Nginx::start(&manager).await;
    for id in ["started", "parts", "parts~sub"] {
        play(&nginx.playlist(id), 2).await;
    }
    let path = "/api/cameras/parts/stream/status";
    let main = manager.get(path).await.body;
    assert_eq!((&main["profile"], &main["media"]["transcoded"]), (&json!("main"), &json!(true)));
    let sub = manager.get(&format!("{path}?profile=sub")).await.body;
    assert_eq!(sub["stream_path"], "/streams/parts~sub/stream.m3u8");
    assert_eq!(sub["media"]["audio_codec"], "mp4a.40.2");

    // The new link applies to the running sub stream. The main stream ends, because the camera no longer
    // has a link for it.
    let sub_only = json!({ "rtsp_link_sub": camera.link("h264") });
    assert_eq!(manager.put("/api/cameras/parts", &sub_only).await.status, 200);
    until("the main stream has ended and the sub stream has no audio", || async {
        let sub = manager.get(&format!("{path}?profile=sub")).await.body;
        let main = manager.get(path).await;
        main.status == 404 && sub["media"]["audio_codec"].is_null() && sub["state"] == "live"
    })
    .await;
    let start = "/api/cameras/parts/stream/start";
    let response = manager.post(start, &json!({})).await;
    assert_problem(&response, 404, "unknown_camera");
    let detail = response.body["detail"].as_str().unwrap_or_default();
    assert!(detail.contains("parts") && detail.contains("main"), "{detail}");
    let sub = json!({ "profile": "sub" });
    assert_eq!(manager.post(start, &sub).await.status, 200);
    manager.delete("/api/cameras/parts").await;
    until("the camera's streams have ended", || async { manager.ffmpegs().len() == 1 }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_can_be_imported_only_with_the_same_source_key() {
    let manager = Manager::start(&[]).await;
    let cameras = json!([
        { "id": "a", "name": "A", "rtsp_link": "rtsp://u:topsecret@192.0.2.1/x" },
        { "id": "b", "vendor": "axis", "ip": "192.0.2.2", "username": "u", "password": "topsecret" },
    ]);
    let counts = |created, updated, unchanged| json!({ "created": created, "updated": updated, "unchanged": unchanged });
    let import = |cameras: Value| {
        let manager = &manager;
        async move { manager.put("/api/cameras.json", &cameras).await.body }
    };
    assert_eq!(import(cameras.clone()).await, counts(2, 0, 0));
    assert_eq!(import(cameras).await, counts(0, 0, 2));
    let export = manager.get("/api/cameras.json").await.body;
    assert!(!export.to_string().contains("topsecret"), "{export}");
    assert_eq!(import(export.clone()).await, counts(0, 0, 2));
    let before = manager.get("/api/cameras/b").await.body;
    manager.delete("/api/cameras/b").await;
    assert_eq!(import(export.clone()).await, counts(1, 0, 1));
    assert_eq!(manager.get("/api/cameras/b").await.body["source"], before["source"]);

    let mut renamed = export.clone();
    renamed[0]["id"] = json!("c");
    assert_problem(&manager.put("/api/cameras.json", &renamed).await, 400, "invalid_source");
    let other = Manager::start(&[]).await;
    assert_problem(&other.put("/api/cameras.json", &export).await, 400, "invalid_source");
    assert_eq!(other.get("/api/cameras").await.body["total"], 0);
}

#[test]
fn the_manager_reports_the_reason_and_exits_if_the_database_or_source_key_is_unusable() {
    let dir = TempDir::new().expect("a directory");
    let missing = "sqlite:/no/such/directory/cameras.db";
    for (name, value, reason, expected) in [
        ("DATABASE_URL", missing, "/no/such/directory/cameras.db", 74),
        ("DATABASE_URL", "mysql://u:but-secret@h/x", "DATABASE_URL", 64),
        ("SOURCE_KEY", "not-a-key-but-secret", "SOURCE_KEY", 64),
    ] {
        let (code, stderr) = Manager::run_to_exit(&dir, &[(name, value)]);
        assert_eq!(code, Some(expected), "{stderr}");
        assert!(stderr.contains(reason) && !stderr.contains("but-secret"), "{stderr}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_source_key_can_be_rotated_only_while_the_manager_is_stopped() {
    let mut manager = Manager::start(&[]).await;
    let link = json!({ "rtsp_link": "rtsp://u:topsecret@192.0.2.1/x" });
    assert_eq!(manager.put("/api/cameras/cam", &link).await.status, 201);
    let rotate = |manager: &Manager| Manager::run_to_exit_with(manager.dir(), &["rotate-key"], &[]);
    let (code, stderr) = rotate(&manager);
    assert_eq!(code, Some(74), "{stderr}");
    assert!(stderr.contains("streams.db") && stderr.contains("another stream-manager"), "{stderr}");
    manager.signal(Signal::SIGTERM);
    manager.exit_code().await;
    let key = manager.dir().path().join("streams.db.key");
    let before = std::fs::read(&key).expect("a key");
    assert_eq!(rotate(&manager), (Some(0), String::new()));
    assert_ne!(std::fs::read(&key).expect("a key"), before);
    let manager = manager.start_again(&[]).await;
    let read = manager.get("/api/cameras/cam").await.body;
    assert_eq!(read["source"], "rtsp://***@192.0.2.1/x");
}
