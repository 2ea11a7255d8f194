//! Who may do what: every role at every endpoint, with a camera of its own and a foreign one.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Camera, Manager, Nginx};

const ADMIN: &str = "admin-secret-000001";
const USER: &str = "user-secret-0000001";
const VIEWER: &str = "viewer-secret-00001";
const KEYS: &str =
    "boss:admin:admin-secret-000001,42:user:user-secret-0000001,wall:viewer:viewer-secret-00001";

async fn ask(manager: &Manager, key: &str, method: Method, path: &str, body: &Value) -> Answer {
    let mut request = manager.request(method, path, body).bearer_auth(key);
    // nginx names the camera in a header.
    if let Some(id) = path.strip_prefix("/internal/viewer?") {
        request = request.header("x-camera-id", id);
    }
    manager.send(request).await
}

/// Whether a path of the table is one of the document's, such as `/api/cameras/{id}`.
fn is_at(path: &str, pattern: &str) -> bool {
    let path = path.split('?').next().unwrap_or_default();
    let mut pairs = path.split('/').zip(pattern.split('/'));
    path.split('/').count() == pattern.split('/').count()
        && pairs.all(|(part, wanted)| part == wanted || wanted.starts_with('{'))
}

/// A manager with keys, and the cameras "own" and "foreign" of user 42 and user 43.
async fn with_keys(camera: &Camera) -> Manager {
    let manager = Manager::start(&[("API_KEYS", KEYS)]).await;
    add_cameras(&manager, camera).await;
    manager
}

async fn add_cameras(manager: &Manager, camera: &Camera) {
    for (id, owner) in [("own", "42"), ("foreign", "43")] {
        let body = json!({ "owner": owner, "rtsp_link": camera.link("h264") });
        let path = format!("/api/cameras/{id}");
        let answer = ask(manager, ADMIN, Method::PUT, &path, &body).await;
        assert!(answer.status.is_success(), "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_role_at_every_endpoint() {
    let camera = Camera::start().await;
    let manager = with_keys(&camera).await;
    let link = camera.link("h264");
    let id = |camera: &str| json!({ "indicator_id": camera, "wait": false });
    let with_link =
        |camera: &str| json!({ "indicator_id": camera, "wait": false, "rtsp_link": link });
    let stop = |camera: &str| json!({ "indicator_id": camera });
    let none = json!({});
    let given = json!({ "rtsp_link": link });
    let session = |camera: &str| json!({ "user": "anna", "cameras": [camera] });
    // Method, path and body; then the status for admin, user and viewer.
    let table = [
        (Method::GET, "/api/streams", none.clone(), [200, 200, 200]),
        (Method::GET, "/api/cameras", none.clone(), [200, 200, 200]),
        (Method::GET, "/api/vendors", none.clone(), [200, 200, 200]),
        (Method::GET, "/api/caller", none.clone(), [200, 200, 200]),
        (Method::GET, "/api/cameras.json", none.clone(), [200, 403, 403]),
        (Method::PUT, "/api/cameras.json", json!([]), [200, 403, 403]),
        (Method::GET, "/api/cameras/own", none.clone(), [200, 200, 200]),
        (Method::GET, "/api/cameras/foreign", none.clone(), [200, 403, 200]),
        (Method::POST, "/api/stream/start", id("own"), [200, 200, 200]),
        (Method::POST, "/api/stream/start", id("foreign"), [200, 403, 200]),
        (Method::POST, "/api/stream/start", with_link("own"), [200, 200, 403]),
        (Method::POST, "/api/stream/start", with_link("foreign"), [200, 403, 403]),
        (Method::GET, "/api/stream/start?indicator_id=own", none.clone(), [200, 200, 200]),
        (Method::GET, "/api/stream/start?indicator_id=foreign", none.clone(), [200, 403, 200]),
        (Method::GET, "/api/stream/status?indicator_id=own", none.clone(), [200, 200, 200]),
        (Method::GET, "/api/stream/status?indicator_id=foreign", none.clone(), [200, 403, 200]),
        (Method::POST, "/api/cameras/own/stream/start", none.clone(), [200, 200, 200]),
        (Method::POST, "/api/cameras/foreign/stream/start", none.clone(), [200, 403, 200]),
        (Method::GET, "/api/cameras/own/stream/status", none.clone(), [200, 200, 200]),
        (Method::GET, "/api/cameras/foreign/stream/status", none.clone(), [200, 403, 200]),
        (Method::GET, "/api/streams/own/log", none.clone(), [200, 200, 200]),
        (Method::GET, "/api/streams/foreign/log", none.clone(), [200, 403, 200]),
        (Method::GET, "/metrics", none.clone(), [200, 403, 200]),
        (Method::GET, "/streams/own/stream.m3u8", none.clone(), [200, 200, 200]),
        (Method::GET, "/streams/foreign/stream.m3u8", none.clone(), [200, 403, 200]),
        (Method::GET, "/streams/own/index.m3u8", none.clone(), [200, 200, 200]),
        (Method::GET, "/streams/foreign/index.m3u8", none.clone(), [200, 403, 200]),
        (Method::POST, "/api/stream/stop", stop("own"), [200, 200, 403]),
        (Method::POST, "/api/stream/stop", stop("foreign"), [200, 403, 403]),
        (Method::POST, "/api/cameras/own/stream/stop", none.clone(), [200, 200, 403]),
        (Method::POST, "/api/cameras/foreign/stream/stop", none.clone(), [200, 403, 403]),
        (Method::PUT, "/api/cameras/own", given.clone(), [200, 200, 403]),
        (Method::PUT, "/api/cameras/foreign", given.clone(), [200, 403, 403]),
        (Method::POST, "/api/cameras", given.clone(), [201, 201, 403]),
        (Method::POST, "/api/cameras/test", given.clone(), [200, 200, 403]),
        (Method::POST, "/api/cameras/test", json!({ "id": "own" }), [200, 200, 403]),
        (Method::POST, "/api/cameras/test", json!({ "id": "foreign" }), [200, 403, 403]),
        (Method::POST, "/api/discovery", json!({ "address": "127.0.0.1:1" }), [200, 200, 403]),
        (Method::DELETE, "/api/cameras/own", none.clone(), [204, 204, 403]),
        (Method::DELETE, "/api/cameras/foreign", none.clone(), [204, 403, 403]),
        (Method::GET, "/api/playback/sessions", none.clone(), [200, 200, 200]),
        (Method::POST, "/api/playback/sessions", session("own"), [201, 201, 201]),
        (Method::POST, "/api/playback/sessions", session("foreign"), [201, 403, 201]),
        (Method::POST, "/api/playback/sessions", session("*"), [201, 403, 201]),
        // A back end's token that was not shown yet can be ended, by admins; then it is known.
        (Method::DELETE, "/api/playback/sessions/unseen", none.clone(), [204, 403, 403]),
        (Method::GET, "/internal/viewer?own", none.clone(), [204, 204, 204]),
        (Method::GET, "/internal/viewer?foreign", none.clone(), [204, 403, 204]),
        (Method::GET, "/api/health", none.clone(), [200, 200, 200]),
        (Method::GET, "/api/openapi.json", none.clone(), [200, 200, 200]),
        (Method::GET, "/livez", none.clone(), [200, 200, 200]),
        (Method::GET, "/readyz", none.clone(), [200, 200, 200]),
    ];
    let document = manager.get("/api/openapi.json").await.body;
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for method in methods.as_object().expect("methods").keys() {
            let is_in_table = table
                .iter()
                .any(|(of, at, _, _)| of.as_str().eq_ignore_ascii_case(method) && is_at(at, path));
            assert!(is_in_table, "{method} {path} is missing in the table");
        }
    }
    for (method, path, body, expected) in table {
        for (key, status) in [ADMIN, USER, VIEWER].into_iter().zip(expected) {
            let answer = ask(&manager, key, method.clone(), path, &body).await;
            assert_eq!(answer.status, status, "{method} {path} as {key}: {answer:?}");
            if status == 403 {
                assert_eq!(answer.body["code"], "forbidden");
            }
            // A change by one role must not decide about the next.
            if method == Method::PUT || method == Method::DELETE {
                add_cameras(&manager, &camera).await;
            }
        }
        for key in ["", "wrong-secret-000001"] {
            let is_open = ["/api/health", "/api/openapi.json", "/livez", "/readyz"].contains(&path);
            let answer = ask(&manager, key, method.clone(), path, &body).await;
            let refused = [401, 429].contains(&answer.status.as_u16());
            assert_eq!(refused, !is_open, "{method} {path}: {answer:?}");
        }
    }
    assert!(!manager.log().contains("secret-0"), "a key is in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_sees_and_makes_cameras_of_its_own_only() {
    let camera = Camera::start().await;
    let manager = with_keys(&camera).await;
    let ids = |answer: Answer, list: &str, field: &str| -> Vec<String> {
        let list = answer.body[list].as_array().expect("a list").clone();
        list.iter().filter_map(|one| one[field].as_str().map(str::to_owned)).collect()
    };
    for id in ["own", "foreign"] {
        let start = json!({ "indicator_id": id });
        let answer = ask(&manager, ADMIN, Method::POST, "/api/stream/start", &start).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    for (key, expected) in [(ADMIN, vec!["foreign", "own"]), (USER, vec!["own"])] {
        let cameras = ask(&manager, key, Method::GET, "/api/cameras?owner=43", &Value::Null).await;
        let by_owner = if key == ADMIN { vec!["foreign"] } else { vec!["own"] };
        assert_eq!(ids(cameras, "cameras", "id"), by_owner, "{key}");
        let streams = ask(&manager, key, Method::GET, "/api/streams", &Value::Null).await;
        assert_eq!(ids(streams, "streams", "indicator_id"), expected, "{key}");
    }
    let start = json!({ "indicator_id": "new", "rtsp_link": camera.link("h264") });
    let answer = ask(&manager, USER, Method::POST, "/api/stream/start", &start).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let made = ask(&manager, ADMIN, Method::GET, "/api/cameras/new", &Value::Null).await;
    assert_eq!(made.body["owner"], "42");
    let given_away = json!({ "owner": "43", "rtsp_link": camera.link("h264") });
    let answer = ask(&manager, USER, Method::PUT, "/api/cameras/new", &given_away).await;
    assert_eq!(answer.status, 403, "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_asks_for_the_key_for_every_file() {
    let camera = Camera::start().await;
    let manager = with_keys(&camera).await;
    let nginx = Nginx::start(&manager).await;
    let get = |path: String, key: &'static str| {
        let request = nginx.client().get(nginx.url(&path)).header("x-api-key", key);
        async move { request.send().await.expect("an answer") }
    };
    let playlist = |id: &str| format!("/streams/{id}/stream.m3u8");
    for id in ["own", "foreign"] {
        let text = get(playlist(id), ADMIN).await.text().await.expect("a playlist");
        let segment = text.lines().find(|line| !line.starts_with('#')).expect("a segment");
        let files = [
            playlist(id),
            format!("/streams/{id}/index.m3u8"),
            format!("/streams/{id}/{segment}"),
            format!("{}?_HLS_msn=1", playlist(id)),
        ];
        for file in files {
            let foreign = if id == "own" { 200 } else { 403 };
            for (key, status) in [(ADMIN, 200), (VIEWER, 200), (USER, foreign), ("no", 401)] {
                let answer = get(file.clone(), key).await;
                assert_eq!(answer.status(), status, "{file} as {key}");
                if status > 400 {
                    assert_eq!(answer.headers()["content-type"], "application/problem+json");
                    assert_eq!(answer.headers()["access-control-allow-origin"], "*");
                }
            }
        }
    }
    assert_eq!(nginx.get("/streams/own/1.m4s").await.status(), 401);
    assert_eq!(nginx.get("/").await.status(), 200, "the page asks for the key itself");
}

#[tokio::test(flavor = "multi_thread")]
async fn cameras_may_be_kept_to_networks() {
    let camera = Camera::start().await;
    let outside = Manager::start(&[("CAMERA_ALLOW_NETS", "192.0.2.0/24")]).await;
    let denied = Manager::start(&[("CAMERA_DENY_NETS", "127.0.0.0/8, ::1")]).await;
    let port =
        camera.link("h264").rsplit_once(':').map(|(_, rest)| rest.to_owned()).expect("a port");
    for manager in [&outside, &denied] {
        for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "[::1]", "0.0.0.0"] {
            let answer = manager.start_stream("cam", &format!("rtsp://{host}:{port}")).await;
            assert_eq!(answer.status, 403, "{host}: {answer:?}");
            assert_eq!(answer.body["code"], "source_forbidden", "{host}");
        }
        for host in ["2130706433", "0177.0.0.1", "0x7f.1", "127.1"] {
            let answer = manager.start_stream("cam", &format!("rtsp://{host}:{port}")).await;
            assert_eq!(answer.body["code"], "invalid_source", "{host}: {answer:?}");
        }
        assert!(manager.ffmpegs().is_empty());
    }
    assert_eq!(camera.plays(), 0);
    let inside = Manager::start(&[("CAMERA_ALLOW_NETS", "127.0.0.1")]).await;
    inside.play("cam", &format!("rtsp://localhost:{port}")).await;
}
