//! Aliases: requests of clients that were written for older systems. The tests send these requests through
//! nginx.

use nix::sys::signal::Signal;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Camera, Manager, Nginx, play, start_live, start_service, until};

const ADMIN: &str = "admin-secret-000001";
const VIEWER: &str = "viewer-secret-00001";
const KEYS: &str = "boss:admin:admin-secret-000001,wall:viewer:viewer-secret-00001";

/// Sends a request through nginx with a bearer token, and follows redirects. Returns status and body.
async fn call(
    nginx: &Nginx,
    token: &str,
    method: Method,
    path: &str,
    body: &Value,
) -> (StatusCode, String) {
    let mut request = nginx.client().request(method, nginx.url(path)).bearer_auth(token);
    if !body.is_null() {
        request = request.json(body);
    }
    let response = request.send().await.expect("a response");
    (response.status(), response.text().await.expect("text"))
}

/// Ends a manager, and starts another one in the same directory.
async fn restarted(mut manager: Manager) -> Manager {
    manager.signal(Signal::SIGTERM);
    manager.exit_code().await;
    manager.start_again(&[("API_KEYS", KEYS)]).await
}

/// Sends a request with the key of an administrator, and returns the JSON of the response.
async fn old(nginx: &Nginx, method: Method, path: &str, body: Value) -> Value {
    let (status, text) = call(nginx, ADMIN, method, path, &body).await;
    assert!(status.is_success(), "{path}: {status} {text}");
    serde_json::from_str(&text).expect(path)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_existing_client_adds_a_camera_and_plays_it_in_a_session() {
    let (camera, manager, nginx) = start_service(&[("API_KEYS", KEYS)]).await;
    let link = camera.link_with_credentials("private");
    let add = json!({ "camera_id": 7, "rtsp_url": link, "name": "Gate", "enable_analytics": true });
    let added = old(&nginx, Method::POST, "/api/stream/cameras/add", add).await;
    let shown = format!("rtsp://***@127.0.0.1:{}/private", camera.port());
    for (field, expected) in [
        ("success", json!(true)),
        ("camera_id", json!("7")),
        ("name", json!("Gate")),
        ("rtsp_url", json!(shown)),
        ("enable_analytics", json!(true)),
    ] {
        assert_eq!(added[field], expected, "{field}: {added}");
    }
    let path = "/api/stream/playback/create-session";
    let session = old(&nginx, Method::POST, path, json!({ "camera_id": "7", "user_id": 42 })).await;
    assert_eq!((&session["success"], &session["user_id"]), (&json!(true), &json!("42")));
    for (input, reason) in [
        (
            json!({ "camera_id": "7" }),
            "the field `user_id` is missing; it must contain an id or a name",
        ),
        (json!({ "camera_id": "7", "user_id": null }), "`user_id` is missing"),
        (json!({ "camera_id": "7", "user_id": " " }), "`user_id` is empty"),
        (json!({ "camera_id": "7", "user_id": [1] }), "`user_id` has the wrong type"),
        (json!({ "user_id": 42 }), "`camera_id` is missing; it must contain the id of the camera"),
        (json!({ "camera_id": "7", "user_id": 42, "ttl": 9 }), "unknown field `ttl`; allowed: "),
    ] {
        let (status, text) = call(&nginx, ADMIN, Method::POST, path, &input).await;
        assert!(status == 400 && text.contains(reason), "{input}: {status} {text}");
    }
    let id = session["session_id"].as_str().expect("an id");
    let token = session["token"].as_str().expect("a token");

    let path = format!("/api/stream/playback/{id}/start");
    let started = old(&nginx, Method::POST, &path, Value::Null).await;
    assert_eq!((&started["success"], &started["streaming"]), (&json!(true), &json!(true)));
    let stream_url = format!("/api/stream/hls/{id}/playlist.m3u8");
    assert_eq!(started["stream_url"], stream_url.as_str());

    // The client sends the session's token when it requests the playlist, as the old system required.
    let (status, playlist) = call(&nginx, token, Method::GET, &stream_url, &Value::Null).await;
    assert!(status == 200 && playlist.starts_with("#EXTM3U"), "{status} {playlist}");
    let without = nginx.get(&stream_url).await;
    assert_eq!(without.status(), 401);
    play(&nginx.url(session["stream_url"].as_str().expect("a path")), 1).await;
    // The target of the redirect contains the token, so players do not have to send the header again.
    let direct = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build();
    let request = direct.expect("a client").get(nginx.url(&stream_url)).bearer_auth(token);
    let redirect = request.send().await.expect("a response");
    assert_eq!(redirect.status(), 307);
    let target = redirect.headers()["location"].to_str().expect("text");
    assert_eq!(target, format!("../../../../play/{token}/7/stream.m3u8"));

    let sessions = old(&nginx, Method::GET, "/api/stream/playback/sessions", Value::Null).await;
    let listed = &sessions["sessions"][0];
    assert_eq!((&listed["session_id"], &listed["camera_id"]), (&json!(id), &json!("7")));
    let status = old(&nginx, Method::GET, "/api/stream/cameras/status", Value::Null).await;
    assert_eq!(status["cameras"][0]["camera_id"], "7", "{status}");
    assert_eq!(status["cameras"][0]["streaming"], true, "{status}");
    let health = old(&nginx, Method::GET, "/api/stream/health", Value::Null).await;
    assert_eq!(health["success"], true);

    // The value of enable_analytics is still stored after a restart of the manager.
    let again = restarted(manager).await;
    let read = again.call(ADMIN, Method::GET, "/api/cameras/7", &Value::Null).await.body;
    assert_eq!(read["analytics"], true, "{read}");
    for text in [added.to_string(), status.to_string(), read.to_string(), nginx.log(), again.log()]
    {
        assert!(!text.contains(camera.password()), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_existing_client_can_start_a_camera_with_parts_of_a_link() {
    let (camera, manager, nginx) = start_service(&[]).await;
    let known = json!({ "rtsp_link": "rtsp://127.0.0.1:9/other" });
    assert_eq!(manager.put("/api/cameras/gate", &known).await.status, 201);
    let parts = json!({
        "rtsp_port": camera.port(), "rtsp_path": "private", "rtsp_username": "viewer",
        "rtsp_password": camera.password(),
    });
    let started = manager.post("/api/cameras/gate/stream/start", &parts).await;
    assert_eq!(started.status, 200, "{started:?}");
    for (field, expected) in [
        ("success", json!(true)),
        ("streaming", json!(true)),
        ("stream_url", json!("/streams/gate/stream.m3u8")),
    ] {
        assert_eq!(started.body[field], expected, "{started:?}");
    }
    let status = manager.get("/api/cameras/gate/stream/status").await.body;
    assert_eq!((&status["streaming"], &status["state"]), (&json!(true), &json!("live")));
    for path in ["/api/cameras/gate/stream/playlist.m3u8", "/hls/stream_gate/playlist.m3u8"] {
        play(&nginx.url(path), 1).await;
    }
    let playlist = nginx.get("/streams/gate/stream.m3u8").await.text().await.expect("a playlist");
    let name = playlist.lines().find(|line| !line.starts_with('#')).expect("a segment");
    for path in [
        format!("/api/cameras/gate/stream/segment/{name}"),
        format!("/api/cameras/gate/stream/segment/{name}/"),
    ] {
        let segment = nginx.get(&path).await;
        assert_eq!(segment.status(), 200, "{path}");
        assert_eq!(segment.headers()["content-type"], "video/mp4", "{path}");
    }

    let all = manager.get("/api/cameras?format=array").await.body;
    let entry = &all.as_array().expect("a list")[0];
    let shown = format!("rtsp://***@127.0.0.1:{}/private", camera.port());
    assert_eq!((&entry["rtsp_url"], &entry["id"]), (&json!(shown), &json!("gate")));
    assert_eq!(entry["hls_url"], "/streams/gate/stream.m3u8");
    assert_eq!(entry["profile_name"], "main");
    let stopped = manager.post("/api/cameras/gate/stream/stop", &json!({})).await;
    assert_eq!(
        (&stopped.body["success"], &stopped.body["streaming"]),
        (&json!(true), &json!(false))
    );
    until("the stream has ended", || async { manager.ffmpegs().is_empty() }).await;
    assert!(!manager.log().contains(camera.password()), "{}", manager.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn urls_in_the_responses_to_aliases_begin_with_the_public_address() {
    let camera = Camera::start().await;
    let public = [("PUBLIC_URL", "https://example.com/cameras")];
    let manager = Manager::start(&public).await;
    let nginx = Nginx::start_with_settings(&manager, &public).await;
    let playlist = json!("https://example.com/cameras/streams/gate/stream.m3u8");
    let add = json!({ "camera_id": "gate", "rtsp_url": camera.link("h264") });
    let added = old(&nginx, Method::POST, "/cameras/api/stream/cameras/add", add).await;
    assert_eq!(added["hls_url"], playlist, "{added}");
    let path = "/cameras/api/cameras?format=array";
    assert_eq!(old(&nginx, Method::GET, path, Value::Null).await[0]["hls_url"], playlist);
    let path = "/cameras/api/cameras/gate/stream/start";
    let started = old(&nginx, Method::POST, path, json!({})).await;
    assert_eq!(started["stream_url"], playlist, "{started}");
    assert_eq!(started["stream_path"], "/cameras/streams/gate/stream.m3u8", "{started}");
    let status = old(&nginx, Method::GET, "/api/stream/cameras/status", Value::Null).await;
    assert_eq!(status["cameras"][0]["stream_url"], playlist, "{status}");

    let path = "/api/stream/playback/create-session";
    let session =
        old(&nginx, Method::POST, path, json!({ "camera_id": "gate", "user_id": 1 })).await;
    let url = session["stream_url"].as_str().expect("a URL");
    assert!(url.starts_with("https://example.com/cameras/play/"), "{url}");
    let id = session["session_id"].as_str().expect("an id");
    let path = format!("/api/stream/playback/{id}/start");
    let started = old(&nginx, Method::POST, &path, Value::Null).await;
    let expected = format!("https://example.com/cameras/api/stream/hls/{id}/playlist.m3u8");
    assert_eq!(started["stream_url"], expected.as_str());

    // The redirects are relative, so their targets have the same path prefix as the requests.
    for path in [
        "/cameras/api/cameras/gate/stream/playlist.m3u8",
        "/cameras/api/cameras/gate/stream/playlist.m3u8/",
        "/cameras/hls/stream_gate/playlist.m3u8",
        "/hls/stream_gate/playlist.m3u8",
    ] {
        play(&nginx.url(path), 1).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn aliases_refuse_requests_that_another_proxy_has_forwarded_if_there_are_no_api_keys() {
    let (_camera, _manager, nginx) = start_live("h264", &[]).await;
    let paths = [
        "/api/stream/cameras/status",
        "/api/stream/playback/sessions",
        "/api/cameras/cam/stream/playlist.m3u8",
        "/api/cameras?format=array",
    ];
    for path in paths {
        assert_eq!(nginx.get(path).await.status(), 200, "{path}");
        for (name, value) in [("X-Forwarded-For", "192.0.2.1"), ("Host", "cameras.example")] {
            let request = nginx.client().get(nginx.url(path)).header(name, value);
            let response = request.send().await.expect("a response");
            assert_eq!(response.status(), 403, "{path}, {name}");
        }
    }
    // Pages of other websites cannot use the API either.
    let request = nginx.client().get(nginx.url(paths[0])).header("Origin", "https://a.example");
    assert_eq!(request.send().await.expect("a response").status(), 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_needs_permission_and_contains_no_api_key() {
    // A key that has the form of a playback token.
    let key = "of-the-wall.secret.000001";
    let keys = format!("boss:admin:{ADMIN},wall:viewer:{key}");
    let (_camera, manager, nginx) = start_service(&[("API_KEYS", &keys)]).await;
    for id in ["gate", "other"] {
        let body = json!({ "rtsp_link": "rtsp://127.0.0.1:9/x" });
        let added = manager.call(ADMIN, Method::PUT, &format!("/api/cameras/{id}"), &body).await;
        assert_eq!(added.status, 201);
    }
    let input = json!({ "camera_id": "other", "user_id": 1 });
    let create = "/api/stream/playback/create-session";
    let session = manager.call(ADMIN, Method::POST, create, &input).await.body;
    let (id, token) = (session["session_id"].as_str(), session["token"].as_str());
    let (id, token) = (id.expect("an id"), token.expect("a token"));
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    let client = client.build().expect("a client");

    let of_session = format!("/api/stream/hls/{id}/playlist.m3u8");
    for (path, camera, file) in [
        ("/api/cameras/gate/stream/playlist.m3u8", "gate", "stream.m3u8"),
        ("/api/cameras/gate/stream/segment/1.m4s", "gate", "1.m4s"),
        (of_session.as_str(), "other", "stream.m3u8"),
    ] {
        let request = || client.get(nginx.url(path));
        let foreign = if camera == "gate" { 403 } else { 307 };
        for (request, status) in [
            (request(), 401),
            (request().bearer_auth("wrong-secret-000001"), 401),
            (request().header("X-API-Key", "wrong-secret-000001"), 401),
            (request().bearer_auth(token), foreign),
            (request().bearer_auth(key), 307),
            (request().header("X-API-Key", key).bearer_auth(token), 307),
        ] {
            let response = request.send().await.expect("a response");
            assert_eq!(response.status(), status, "{path}");
            let target = response.headers().get("location").map(|it| it.to_str().expect("text"));
            assert_eq!(target.is_some(), status == 307, "{path}: {target:?}");
            assert!(!target.is_some_and(|target| target.contains(key)), "{path}: {target:?}");
            if let Some(target) = target.filter(|target| !target.contains(token)) {
                assert!(target.ends_with(&format!("../streams/{camera}/{file}")), "{target}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_without_entries_are_empty_and_contain_no_other_fields() {
    let manager = Manager::start(&[]).await;
    let nginx = Nginx::start(&manager).await;
    for (path, list) in
        [("/api/stream/cameras/status", "cameras"), ("/api/stream/playback/sessions", "sessions")]
    {
        let body = old(&nginx, Method::GET, path, Value::Null).await;
        assert_eq!(body, json!({ list: [], "success": true }), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn aliases_require_the_same_roles_and_return_the_same_errors_as_the_current_api() {
    let camera = Camera::start().await;
    let manager = Manager::start(&[("API_KEYS", KEYS)]).await;
    let nginx = Nginx::start(&manager).await;
    let link = json!({ "rtsp_link": camera.link("h264") });
    let added = manager.call(ADMIN, Method::PUT, "/api/cameras/gate", &link).await;
    assert_eq!(added.status, 201);
    let null = Value::Null;
    let camera_of = |id: &str| json!({ "camera_id": id, "rtsp_url": "rtsp://192.0.2.1/x" });
    let (get, post) = (Method::GET, Method::POST);
    let table = [
        (&post, "/api/stream/cameras/add", camera_of("x"), [201, 403, 401]),
        (&post, "/api/stream/cameras/add", camera_of("a b"), [400, 403, 401]),
        (&post, "/api/stream/cameras/add", json!({ "name": "x" }), [400, 403, 401]),
        (&get, "/api/stream/cameras/status", null.clone(), [200, 200, 401]),
        (&get, "/api/stream/playback/sessions", null.clone(), [200, 200, 401]),
        (
            &post,
            "/api/stream/playback/create-session",
            json!({ "camera_id": "none", "user_id": "u" }),
            [404, 404, 401],
        ),
        (&post, "/api/stream/playback/none/start", null.clone(), [404, 404, 401]),
        (&get, "/api/stream/health", null.clone(), [200, 200, 200]),
        (&get, "/api/stream/hls/none/playlist.m3u8", null.clone(), [404, 404, 404]),
        (&get, "/api/cameras/gate/stream/playlist.m3u8", null.clone(), [200, 200, 401]),
        (&get, "/api/cameras/gate/stream/segment/none.m4s", null.clone(), [404, 404, 401]),
        (&get, "/hls/stream_gate/playlist.m3u8", null.clone(), [200, 200, 401]),
        (
            &post,
            "/api/cameras/gate/stream/start",
            json!({ "rtsp_path": "/h264-aac" }),
            [200, 403, 401],
        ),
        (&post, "/api/cameras/gate/stream/start", json!({ "rtsp_port": 0 }), [400, 400, 401]),
    ];
    for (method, path, body, expected) in table {
        for (key, status) in [ADMIN, VIEWER, "wrong-secret-000001"].into_iter().zip(expected) {
            let (actual, text) = call(&nginx, key, method.clone(), path, &body).await;
            assert_eq!(actual, status, "{method} {path} {body} with {key}: {text}");
        }
    }
}
