//! Authorization: which requests and which files of a stream each role can use, for a camera of the caller
//! and for a camera of another user. Also the settings that restrict the addresses of cameras.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{ApiResponse, Camera, Manager, Nginx};

const ADMIN: &str = "admin-secret-000001";
const USER: &str = "user-secret-0000001";
const VIEWER: &str = "viewer-secret-00001";
const KEYS: &str =
    "boss:admin:admin-secret-000001,42:user:user-secret-0000001,wall:viewer:viewer-secret-00001";

/// Sends a request with an API key. If the path is `/internal/viewer?ID`, also sends the ID of the camera in
/// a header, as nginx does. A response with pictures or events never ends, so its body is not read.
async fn call(
    manager: &Manager,
    key: &str,
    method: Method,
    path: &str,
    body: &Value,
) -> ApiResponse {
    let mut request = manager.request(method.clone(), path, body).bearer_auth(key);
    if let Some(id) = path.strip_prefix("/internal/viewer?") {
        request = request.header("x-camera-id", id);
    }
    let is_endless = ["/mjpeg", "/events/stream", "/own/events", "/foreign/events"];
    if method == Method::GET && is_endless.iter().any(|end| path.ends_with(end)) {
        let response = request.send().await.expect("a response");
        let status = response.status();
        let body =
            if status == 200 { Value::Null } else { response.json().await.expect("a problem") };
        return ApiResponse { status, body };
    }
    manager.send(request).await
}

/// Returns whether a path matches a pattern such as `/api/cameras/{id}`.
fn matches(path: &str, pattern: &str) -> bool {
    let path = path.split('?').next().unwrap_or_default();
    let mut pairs = path.split('/').zip(pattern.split('/'));
    path.split('/').count() == pattern.split('/').count()
        && pairs.all(|(part, expected)| part == expected || expected.starts_with('{'))
}

/// Starts a manager with API keys and two cameras: "own" of user 42, and "foreign" of user 43.
async fn start_with_keys(camera: &Camera) -> Manager {
    let settings = [("RECORDINGS_DIRS", "recordings"), ("PUSH_ALLOW_NETS", "127.0.0.1")];
    let manager = Manager::start(&[&settings[..], &[("API_KEYS", KEYS)]].concat()).await;
    add_cameras(&manager, camera).await;
    manager
}

async fn add_cameras(manager: &Manager, camera: &Camera) {
    for (id, owner) in [("own", "42"), ("foreign", "43")] {
        let body = json!({ "owner": owner, "rtsp_link": camera.link("h264") });
        let path = format!("/api/cameras/{id}");
        let response = call(manager, ADMIN, Method::PUT, &path, &body).await;
        assert!(response.status.is_success(), "{response:?}");
    }
}

/// Checks that these are all endpoints of the OpenAPI document.
fn assert_are_all(endpoints: &[(&Method, &str)], document: &Value) {
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for method in methods.as_object().expect("methods").keys() {
            let is_listed = endpoints
                .iter()
                .any(|(m, p)| m.as_str().eq_ignore_ascii_case(method) && matches(p, path));
            assert!(is_listed, "{method} {path} is missing from the table");
        }
    }
}

/// Returns requests about events: method, path, body, and the expected status codes for admin, user and viewer.
fn event_requests() -> Vec<(Method, &'static str, Value, [u16; 3])> {
    let door = || json!({ "type": "door" });
    vec![
        (Method::GET, "/api/events", Value::Null, [200, 200, 200]),
        (Method::GET, "/api/events?camera=own", Value::Null, [200, 200, 200]),
        (Method::GET, "/api/events?camera=foreign", Value::Null, [200, 403, 200]),
        (Method::GET, "/api/events/counts", Value::Null, [200, 200, 200]),
        (Method::GET, "/api/events/counts?camera=foreign", Value::Null, [200, 403, 200]),
        (Method::GET, "/api/events/stream", Value::Null, [200, 200, 200]),
        (Method::POST, "/api/events/seen", json!({ "up_to": 0 }), [200, 200, 403]),
        (Method::POST, "/api/events/seen", json!({ "id": 1, "camera": "own" }), [200, 200, 403]),
        (
            Method::POST,
            "/api/events/seen",
            json!({ "id": 1, "camera": "foreign" }),
            [200, 403, 403],
        ),
        (Method::POST, "/api/cameras/own/events", door(), [201, 201, 403]),
        (Method::POST, "/api/cameras/foreign/events", door(), [201, 403, 403]),
        (Method::GET, "/streams/own/events", Value::Null, [200, 200, 200]),
        (Method::GET, "/streams/foreign/events", Value::Null, [200, 403, 200]),
    ]
}

/// Returns requests about recordings, as `event_requests` does.
fn recording_requests() -> Vec<(Method, &'static str, Value, [u16; 3])> {
    let now = || json!({ "seconds": 60 });
    let span = ("2026-11-30T14:00:00Z", "2026-11-30T15:00:00Z");
    let locked = || json!({ "from": span.0, "to": span.1, "locked": true });
    vec![
        (Method::GET, "/api/storage", Value::Null, [200, 403, 403]),
        (Method::GET, "/api/cameras/own/recording", Value::Null, [200, 200, 403]),
        (Method::GET, "/api/cameras/foreign/recording", Value::Null, [200, 403, 403]),
        (Method::POST, "/api/cameras/own/recording", now(), [200, 200, 403]),
        (Method::POST, "/api/cameras/foreign/recording", now(), [200, 403, 403]),
        (Method::DELETE, "/api/cameras/own/recording", Value::Null, [204, 204, 403]),
        (Method::DELETE, "/api/cameras/foreign/recording", Value::Null, [204, 403, 403]),
        (Method::PUT, "/api/cameras/own/recordings/lock", locked(), [200, 200, 403]),
        (Method::PUT, "/api/cameras/foreign/recordings/lock", locked(), [200, 403, 403]),
        (Method::DELETE, "/api/cameras/own/recordings", Value::Null, [200, 200, 403]),
        (Method::DELETE, "/api/cameras/foreign/recordings", Value::Null, [200, 403, 403]),
    ]
}

/// Returns requests for what was recorded, as `event_requests` does. Nothing was recorded in the requested time.
fn replay_requests() -> Vec<(Method, &'static str, Value, [u16; 3])> {
    // Only admins have the right to watch recordings without a further right of the key.
    let found = |path| (Method::GET, path, Value::Null, [200, 403, 403]);
    let missing = |path| (Method::GET, path, Value::Null, [404, 403, 403]);
    let share = json!({ "from": "2026-02-03T04:00:00Z", "to": "2026-02-03T04:10:00Z" });
    vec![
        found("/api/recordings"),
        found("/api/recordings/own?from=2026-02-03T04:00:00Z"),
        found("/api/recordings/own/days?limits=2026-02-03T04:00:00Z,2026-02-04T04:00:00Z"),
        found("/api/recordings/own/activity?from=2026-02-03T04:00:00Z"),
        missing("/api/recordings/own/export?from=2026-02-03T04:00:00Z"),
        found("/api/recordings/own/shares"),
        (Method::POST, "/api/recordings/own/shares", share, [201, 403, 403]),
        (Method::DELETE, "/api/recordings/own/shares/none", Value::Null, [404, 403, 403]),
        missing("/recordings/own/index.m3u8?from=2026-02-03T04:00:00Z"),
        missing("/recordings/own/stream.m3u8?from=2026-02-03T04:00:00Z"),
        missing("/recordings/own/iframes.m3u8?from=2026-02-03T04:00:00Z"),
        found("/recordings/own/timeline.json?from=2026-02-03T04:00:00Z"),
        found("/recordings/own/days.json?limits=2026-02-03T04:00:00Z,2026-02-04T04:00:00Z"),
        found("/recordings/own/activity.json?from=2026-02-03T04:00:00Z"),
        missing("/recordings/own/snapshot.jpg?at=2026-02-03T04:00:00Z"),
        missing("/recordings/own/thumbnail.jpg?at=2026-02-03T04:00:00Z"),
        missing("/recordings/own/export.mp4?from=2026-02-03T04:00:00Z"),
        missing("/recordings/own/1-1.mp4"),
        missing("/recordings/own/h264/1-1.mp4"),
        missing("/recordings/own/h264/1-1-900-450.m4s"),
    ]
}

/// Returns requests about push notifications, as `event_requests` does. Nothing listens at the push server.
fn push_requests() -> Vec<(Method, &'static str, Value, [u16; 3])> {
    let keys = json!({
        "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
        "auth": "BTBZMqHH6r4Tts7J_aSIgg",
    });
    let of = |camera: &str| {
        let endpoint = "https://127.0.0.1:1/x";
        json!({ "endpoint": endpoint, "keys": keys, "types": ["storage"], "cameras": [camera] })
    };
    let path = "/api/push/subscriptions";
    let one = "/api/push/subscriptions/none";
    vec![
        (Method::GET, "/api/push/key", Value::Null, [200, 200, 200]),
        (Method::GET, path, Value::Null, [200, 200, 200]),
        (Method::POST, path, of("own"), [201, 200, 200]),
        (Method::POST, path, of("foreign"), [200, 403, 200]),
        (Method::GET, one, Value::Null, [404, 404, 404]),
        (Method::DELETE, one, Value::Null, [404, 404, 404]),
        (Method::POST, "/api/push/subscriptions/none/test", Value::Null, [404, 404, 404]),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_endpoint_enforces_the_permissions_of_every_role() {
    let camera = Camera::start().await;
    let manager = start_with_keys(&camera).await;
    let link = camera.link("h264");
    let id = |camera: &str| json!({ "indicator_id": camera, "wait": false });
    let with_link =
        |camera: &str| json!({ "indicator_id": camera, "wait": false, "rtsp_link": link });
    let stop = |camera: &str| json!({ "indicator_id": camera });
    let empty = json!({});
    let new_link = json!({ "rtsp_link": link });
    let session = |camera: &str| json!({ "user": "anna", "cameras": [camera] });
    // Method, path, body, and the expected status codes for admin, user and viewer.
    let table = [
        (Method::GET, "/api/streams", empty.clone(), [200, 200, 200]),
        (Method::GET, "/api/cameras", empty.clone(), [200, 200, 200]),
        (Method::GET, "/api/vendors", empty.clone(), [200, 200, 200]),
        (Method::GET, "/api/caller", empty.clone(), [200, 200, 200]),
        (Method::GET, "/api/cameras.json", empty.clone(), [200, 403, 403]),
        (Method::PUT, "/api/cameras.json", json!([]), [200, 403, 403]),
        (Method::GET, "/api/cameras/own", empty.clone(), [200, 200, 200]),
        (Method::GET, "/api/cameras/foreign", empty.clone(), [200, 403, 200]),
        (Method::GET, "/api/cameras/own/motion", empty.clone(), [200, 200, 200]),
        (Method::GET, "/api/cameras/foreign/motion", empty.clone(), [200, 403, 200]),
        (Method::POST, "/api/stream/start", id("own"), [200, 200, 200]),
        (Method::POST, "/api/stream/start", id("foreign"), [200, 403, 200]),
        (Method::POST, "/api/stream/start", with_link("own"), [200, 200, 403]),
        (Method::POST, "/api/stream/start", with_link("foreign"), [200, 403, 403]),
        (Method::GET, "/api/stream/start?indicator_id=own", empty.clone(), [200, 200, 200]),
        (Method::GET, "/api/stream/start?indicator_id=foreign", empty.clone(), [200, 403, 200]),
        (Method::GET, "/api/stream/status?indicator_id=own", empty.clone(), [200, 200, 200]),
        (Method::GET, "/api/stream/status?indicator_id=foreign", empty.clone(), [200, 403, 200]),
        (Method::POST, "/api/cameras/own/stream/start", empty.clone(), [200, 200, 200]),
        (Method::POST, "/api/cameras/foreign/stream/start", empty.clone(), [200, 403, 200]),
        (Method::GET, "/api/cameras/own/stream/status", empty.clone(), [200, 200, 200]),
        (Method::GET, "/api/cameras/foreign/stream/status", empty.clone(), [200, 403, 200]),
        (Method::GET, "/api/streams/own/log", empty.clone(), [200, 200, 200]),
        (Method::GET, "/api/streams/foreign/log", empty.clone(), [200, 403, 200]),
        (Method::GET, "/metrics", empty.clone(), [200, 403, 200]),
        (Method::GET, "/streams/own/stream.m3u8", empty.clone(), [200, 200, 200]),
        (Method::GET, "/streams/foreign/stream.m3u8", empty.clone(), [200, 403, 200]),
        (Method::GET, "/streams/own/index.m3u8", empty.clone(), [200, 200, 200]),
        (Method::GET, "/streams/foreign/index.m3u8", empty.clone(), [200, 403, 200]),
        (Method::GET, "/streams/own/snapshot.jpg", empty.clone(), [200, 200, 200]),
        (Method::GET, "/streams/foreign/snapshot.jpg", empty.clone(), [200, 403, 200]),
        (Method::GET, "/streams/own/mjpeg", empty.clone(), [200, 200, 200]),
        (Method::GET, "/streams/foreign/mjpeg", empty.clone(), [200, 403, 200]),
        // WebRTC is off, and a session does not exist; but first, the permission is checked.
        (Method::POST, "/streams/own/whep", empty.clone(), [400, 400, 400]),
        (Method::POST, "/streams/foreign/whep", empty.clone(), [400, 403, 400]),
        (Method::DELETE, "/streams/own/whep/none", empty.clone(), [404, 404, 404]),
        (Method::DELETE, "/streams/foreign/whep/none", empty.clone(), [404, 403, 404]),
        (Method::PATCH, "/streams/own/whep/none", empty.clone(), [400, 400, 400]),
        (Method::PATCH, "/streams/foreign/whep/none", empty.clone(), [400, 403, 400]),
        (Method::POST, "/api/stream/stop", stop("own"), [200, 200, 403]),
        (Method::POST, "/api/stream/stop", stop("foreign"), [200, 403, 403]),
        (Method::POST, "/api/cameras/own/stream/stop", empty.clone(), [200, 200, 403]),
        (Method::POST, "/api/cameras/foreign/stream/stop", empty.clone(), [200, 403, 403]),
        (Method::PUT, "/api/cameras/own", new_link.clone(), [200, 200, 403]),
        (Method::PUT, "/api/cameras/foreign", new_link.clone(), [200, 403, 403]),
        (Method::POST, "/api/cameras", new_link.clone(), [201, 201, 403]),
        (Method::POST, "/api/cameras/test", new_link.clone(), [200, 200, 403]),
        (Method::POST, "/api/cameras/test", json!({ "id": "own" }), [200, 200, 403]),
        (Method::POST, "/api/cameras/test", json!({ "id": "foreign" }), [200, 403, 403]),
        (Method::POST, "/api/discovery", json!({ "address": "127.0.0.1:1" }), [200, 200, 403]),
        (Method::DELETE, "/api/cameras/own", empty.clone(), [204, 204, 403]),
        (Method::DELETE, "/api/cameras/foreign", empty.clone(), [204, 403, 403]),
        (Method::GET, "/api/playback/sessions", empty.clone(), [200, 200, 200]),
        (Method::POST, "/api/playback/sessions", session("own"), [201, 201, 201]),
        (Method::POST, "/api/playback/sessions", session("foreign"), [201, 403, 201]),
        (Method::POST, "/api/playback/sessions", session("*"), [201, 403, 201]),
        // Admins can also end the session of a token that the manager has never seen, because a back end can
        // sign tokens itself.
        (Method::DELETE, "/api/playback/sessions/unseen", empty.clone(), [204, 403, 403]),
        (Method::GET, "/internal/viewer?own", empty.clone(), [204, 204, 204]),
        (Method::GET, "/internal/viewer?foreign", empty.clone(), [204, 403, 204]),
        (Method::GET, "/api/health", empty.clone(), [200, 200, 200]),
        (Method::GET, "/api/openapi.json", empty.clone(), [200, 200, 200]),
        (Method::GET, "/livez", empty.clone(), [200, 200, 200]),
        (Method::GET, "/readyz", empty.clone(), [200, 200, 200]),
    ];
    let further =
        [event_requests(), recording_requests(), replay_requests(), push_requests()].concat();
    let table = [further.as_slice(), table.as_slice()].concat();
    let endpoints: Vec<_> = table.iter().map(|(method, path, ..)| (method, *path)).collect();
    assert_are_all(&endpoints, &manager.get("/api/openapi.json").await.body);
    for (method, path, body, expected) in table {
        for (key, status) in [ADMIN, USER, VIEWER].into_iter().zip(expected) {
            let response = call(&manager, key, method.clone(), path, &body).await;
            assert_eq!(response.status, status, "{method} {path} as {key}: {response:?}");
            if status == 403 {
                assert_eq!(response.body["code"], "forbidden");
            }
            // Restore both cameras, so that the changes of one role do not affect the next role.
            if method == Method::PUT || method == Method::DELETE {
                add_cameras(&manager, &camera).await;
            }
        }
        for key in ["", "wrong-secret-000001"] {
            let needs_no_key =
                ["/api/health", "/api/openapi.json", "/livez", "/readyz"].contains(&path);
            let response = call(&manager, key, method.clone(), path, &body).await;
            let is_rejected = [401, 429].contains(&response.status.as_u16());
            assert_eq!(is_rejected, !needs_no_key, "{method} {path}: {response:?}");
        }
    }
    assert!(!manager.log().contains("secret-0"), "the log contains an API key");
}

#[tokio::test(flavor = "multi_thread")]
async fn users_see_and_create_only_their_own_cameras() {
    let camera = Camera::start().await;
    let manager = start_with_keys(&camera).await;
    let ids = |response: ApiResponse, list: &str, field: &str| -> Vec<String> {
        let list = response.body[list].as_array().expect("a list").clone();
        list.iter().filter_map(|entry| entry[field].as_str().map(str::to_owned)).collect()
    };
    for id in ["own", "foreign"] {
        let start = json!({ "indicator_id": id });
        let response = call(&manager, ADMIN, Method::POST, "/api/stream/start", &start).await;
        assert_eq!(response.status, 200, "{response:?}");
    }
    for (key, expected) in [(ADMIN, vec!["foreign", "own"]), (USER, vec!["own"])] {
        let cameras = call(&manager, key, Method::GET, "/api/cameras?owner=43", &Value::Null).await;
        let by_owner = if key == ADMIN { vec!["foreign"] } else { vec!["own"] };
        assert_eq!(ids(cameras, "cameras", "id"), by_owner, "{key}");
        let streams = call(&manager, key, Method::GET, "/api/streams", &Value::Null).await;
        assert_eq!(ids(streams, "streams", "indicator_id"), expected, "{key}");
    }
    let start = json!({ "indicator_id": "new", "rtsp_link": camera.link("h264") });
    let response = call(&manager, USER, Method::POST, "/api/stream/start", &start).await;
    assert_eq!(response.status, 200, "{response:?}");
    let created = call(&manager, ADMIN, Method::GET, "/api/cameras/new", &Value::Null).await;
    assert_eq!(created.body["owner"], "42");
    let other_owner = json!({ "owner": "43", "rtsp_link": camera.link("h264") });
    let response = call(&manager, USER, Method::PUT, "/api/cameras/new", &other_owner).await;
    assert_eq!(response.status, 403, "{response:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_requires_an_api_key_for_every_file_of_a_stream() {
    let camera = Camera::start().await;
    let manager = start_with_keys(&camera).await;
    let nginx = Nginx::start(&manager).await;
    let get = |path: String, key: &'static str| {
        let request = nginx.client().get(nginx.url(&path)).header("x-api-key", key);
        async move { request.send().await.expect("a response") }
    };
    let playlist = |id: &str| format!("/streams/{id}/stream.m3u8");
    for id in ["own", "foreign"] {
        let text = get(playlist(id), ADMIN).await.text().await.expect("a playlist");
        let segment = text.lines().find(|line| !line.starts_with('#')).expect("a segment");
        let files = [
            playlist(id),
            format!("/streams/{id}/index.m3u8"),
            format!("/streams/{id}/{segment}"),
            format!("/streams/{id}/snapshot.jpg"),
            format!("/streams/{id}/mjpeg"),
            format!("{}?_HLS_msn=1", playlist(id)),
        ];
        for file in files {
            let user_status = if id == "own" { 200 } else { 403 };
            for (key, status) in [(ADMIN, 200), (VIEWER, 200), (USER, user_status), ("no", 401)] {
                let response = get(file.clone(), key).await;
                assert_eq!(response.status(), status, "{file} as {key}");
                if status > 400 {
                    assert_eq!(response.headers()["content-type"], "application/problem+json");
                    assert_eq!(response.headers()["access-control-allow-origin"], "*");
                }
            }
        }
    }
    assert_eq!(nginx.get("/streams/own/1.m4s").await.status(), 401);
    assert_eq!(nginx.get("/").await.status(), 200, "the page must load without an API key");
}

#[tokio::test(flavor = "multi_thread")]
async fn camera_addresses_can_be_restricted_to_networks() {
    let camera = Camera::start().await;
    let outside = Manager::start(&[("CAMERA_ALLOW_NETS", "192.0.2.0/24")]).await;
    let denied = Manager::start(&[("CAMERA_DENY_NETS", "127.0.0.0/8, ::1")]).await;
    let port =
        camera.link("h264").rsplit_once(':').map(|(_, port)| port.to_owned()).expect("a port");
    for manager in [&outside, &denied] {
        for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "[::1]", "0.0.0.0"] {
            let response = manager.start_stream("cam", &format!("rtsp://{host}:{port}")).await;
            assert_eq!(response.status, 403, "{host}: {response:?}");
            assert_eq!(response.body["code"], "source_forbidden", "{host}");
        }
        for host in ["2130706433", "0177.0.0.1", "0x7f.1", "127.1"] {
            let response = manager.start_stream("cam", &format!("rtsp://{host}:{port}")).await;
            assert_eq!(response.body["code"], "invalid_source", "{host}: {response:?}");
        }
        assert!(manager.ffmpegs().is_empty());
    }
    assert_eq!(camera.plays(), 0);
    let inside = Manager::start(&[("CAMERA_ALLOW_NETS", "127.0.0.1")]).await;
    inside.play("cam", &format!("rtsp://localhost:{port}")).await;
}
