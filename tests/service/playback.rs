//! Playback sessions: tokens in paths, headers and cookies, sessions that expire, and sessions that are ended.

use std::time::{SystemTime, UNIX_EPOCH};

use nix::sys::signal::Signal;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    Camera, Manager, Nginx, key_pair, openssl, play, start_live, start_service, until,
};

const ADMIN: &str = "admin-secret-000001";
const USER: &str = "user-secret-0000001";
const KEYS: &str = "API_KEYS";
const KEYS_VALUE: &str = "shop:admin:admin-secret-000001,42:user:user-secret-0000001";

/// Starts the service with API keys and two cameras: "cam" of user 42, and "other" of user 43.
async fn start_with_keys(settings: &[(&str, &str)]) -> (Camera, Manager, Nginx) {
    let (camera, manager, nginx) = start_service(&[&[(KEYS, KEYS_VALUE)], settings].concat()).await;
    for (id, owner) in [("cam", "42"), ("other", "43")] {
        let body = json!({ "owner": owner, "rtsp_link": camera.link("h264") });
        let path = format!("/api/cameras/{id}");
        assert_eq!(manager.call(ADMIN, Method::PUT, &path, &body).await.status, 201);
    }
    (camera, manager, nginx)
}

/// Creates a playback session as an admin. Returns the body of the response.
async fn create_session(manager: &Manager, body: &Value) -> Value {
    let response = manager.call(ADMIN, Method::POST, "/api/playback/sessions", body).await;
    assert_eq!(response.status, 201, "{response:?}");
    response.body
}

/// Returns a string field of a JSON object.
fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}")).to_owned()
}

/// Returns the status code of nginx's response for a path.
async fn status(nginx: &Nginx, path: &str) -> u16 {
    nginx.get(path).await.status().as_u16()
}

/// Fetches a playlist, and returns the path of its first segment.
async fn segment(nginx: &Nginx, playlist: &str) -> String {
    let response = nginx.get(playlist).await.text().await.expect("a playlist");
    let segment = response.lines().find(|line| !line.starts_with('#')).expect("a segment");
    playlist.replace("stream.m3u8", segment)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_in_a_path_header_or_cookie_plays_only_its_own_camera() {
    let (_camera, manager, nginx) = start_with_keys(&[]).await;
    let session = json!({ "user": "anna", "camera": "cam", "cookie": true });
    let request = manager.client().post(manager.url("/api/playback/sessions"));
    let response = request.bearer_auth(ADMIN).json(&session).send().await.expect("a response");
    let cookie = response.headers()["set-cookie"].to_str().expect("a cookie").to_owned();
    let session: Value = response.json().await.expect("JSON");
    let (token, url) = (text(&session, "token"), text(&session, "hls_url"));
    assert_eq!(url, format!("/play/{token}/cam/stream.m3u8"));
    play(&nginx.url(&url), 3).await;
    assert_eq!(status(&nginx, &segment(&nginx, &url).await).await, 200);
    assert_eq!(status(&nginx, &format!("{url}?_HLS_msn=1&_HLS_skip=YES")).await, 200);
    assert_eq!(status(&nginx, &url.replace("stream.m3u8", "index.m3u8")).await, 200);

    assert!(cookie.contains("; Path=/streams; ") && cookie.contains("; HttpOnly"), "{cookie}");
    let pair = cookie.split(';').next().expect("a pair").to_owned();
    for (name, value) in [("authorization", format!("Bearer {token}")), ("cookie", pair)] {
        for (id, expected) in [("cam", 200), ("other", 403)] {
            let request = nginx.client().get(nginx.playlist(id)).header(name, &value);
            assert_eq!(request.send().await.expect("a response").status(), expected, "{name} {id}");
        }
    }
    assert_eq!(status(&nginx, &url.replace("/cam/", "/other/")).await, 403);
    assert_eq!(status(&nginx, "/streams/cam/stream.m3u8").await, 401);
    assert_eq!(status(&nginx, &url.replace("/cam/", "/cam~sub/")).await, 404);
    // The logs of the manager and of nginx contain no token.
    let tail = token.rsplit('.').next().expect("a signature");
    assert!(!manager.log().contains(tail) && !nginx.log().contains(tail), "a token is in a log");
    assert!(nginx.log().contains("/play/***/cam/stream.m3u8"), "{}", nginx.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_tokens_and_session_requests_are_rejected() {
    let (_camera, manager, nginx) = start_with_keys(&[]).await;
    let token =
        text(&create_session(&manager, &json!({ "user": "anna", "camera": "cam" })).await, "token");
    let parts: Vec<_> = token.split('.').collect();
    // The Base64 text is {"alg":"none","typ":"JWT"}.
    let unsigned = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0";
    let invalid = [
        format!("{unsigned}.{}.", parts[1]),
        format!("{unsigned}.{}.{}", parts[1], parts[2]),
        format!("{}.{}.{}", parts[0], parts[1], "A".repeat(parts[2].len())),
        token[..token.len() / 2].to_owned(),
        token[..token.len() - 1].to_owned(),
        "x".to_owned(),
        "a.b.c".to_owned(),
    ];
    for token in &invalid {
        assert_eq!(status(&nginx, &format!("/play/{token}/cam/stream.m3u8")).await, 401, "{token}");
        assert_eq!(status(&nginx, &format!("/play/{token}/cam/1.m4s")).await, 401, "{token}");
    }
    let long = format!("/play/{}/cam/stream.m3u8", "x".repeat(5000));
    assert_eq!(status(&nginx, &long).await, 401);
    let huge = format!("/play/{}/cam/stream.m3u8", "x".repeat(1_000_000));
    let response = nginx.client().get(nginx.url(&huge)).send().await.map(|a| a.status().as_u16());
    assert!(matches!(response, Ok(414) | Err(_)), "{response:?}");

    let path = "/api/playback/sessions";
    let table = [
        (ADMIN, json!({ "user": "anna" }), 400),
        (ADMIN, json!({ "user": "", "camera": "cam" }), 400),
        (ADMIN, json!({ "user": "a\nb", "camera": "cam" }), 400),
        (ADMIN, json!({ "user": "anna", "camera": "../x" }), 400),
        (ADMIN, json!({ "user": "anna", "camera": "unknown" }), 404),
        (ADMIN, json!({ "user": "anna", "camera": "cam", "ttl_seconds": 0 }), 400),
        (ADMIN, json!({ "user": "anna", "camera": "cam", "ttl_seconds": 86401 }), 400),
        (ADMIN, json!({ "user": "anna", "cameras": ["*"] }), 201),
        (USER, json!({ "user": "anna", "cameras": ["*"] }), 403),
        (USER, json!({ "user": "anna", "camera": "other" }), 403),
        (USER, json!({ "user": "anna", "cameras": ["cam"] }), 201),
        ("no-such-secret-0001", json!({ "user": "anna", "camera": "cam" }), 401),
    ];
    for (key, body, expected) in table {
        let response = manager.call(key, Method::POST, path, &body).await;
        assert_eq!(response.status, expected, "{key} {body}: {response:?}");
    }

    let id = "x".repeat(60);
    let camera = json!({ "rtsp_link": "rtsp://camera.test/" });
    let camera_path = format!("/api/cameras/{id}");
    assert_eq!(manager.call(ADMIN, Method::PUT, &camera_path, &camera).await.status, 201);
    let sessions = async || manager.call(ADMIN, Method::GET, path, &json!({})).await.body;
    let before = sessions().await;
    let long = json!({ "user": "anna", "cameras": vec![id; 100], "cookie": true });
    let response = manager.call(ADMIN, Method::POST, path, &long).await;
    assert_eq!(response.status, 400, "{response:?}");
    assert_eq!(sessions().await, before, "a failed request has left a session");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ended_session_permits_no_further_request_and_stays_ended_after_a_restart() {
    let (camera, mut manager, nginx) = start_with_keys(&[]).await;
    let ended = create_session(&manager, &json!({ "user": "anna", "camera": "cam" })).await;
    let kept = create_session(&manager, &json!({ "user": "bert", "camera": "cam" })).await;
    let url = text(&ended, "hls_url");
    assert_eq!(status(&nginx, &url).await, 200);
    let segment = segment(&nginx, &url).await;
    let playlist = nginx.get(&url).await.text().await.expect("a playlist");
    let sequence: u64 = playlist
        .lines()
        .rfind(|line| !line.starts_with('#'))
        .and_then(|name| name.trim_end_matches(".m4s").parse().ok())
        .expect("a number");

    // The session ends while a reload is blocked. The camera is frozen, so that the reload cannot
    // finish. The reload has a different user agent, so that it counts as another viewer.
    camera.freeze();
    let id = text(&ended, "session_id");
    let path = format!("/api/playback/sessions/{id}");
    let reload = format!("{url}?_HLS_msn={}", sequence + 2);
    let empty = json!({});
    let viewers = || async {
        let path = "/api/stream/status?indicator_id=cam";
        manager.call(ADMIN, Method::GET, path, &json!({})).await.body["viewers"].as_u64()
    };
    let before = viewers().await.expect("a number");
    let request = nginx.client().get(nginx.url(&reload)).header("user-agent", "blocked player");
    let blocked = tokio::spawn(request.send());
    until("the reload is blocked", || async { viewers().await > Some(before) }).await;
    assert!(!blocked.is_finished());
    let end = manager.call(ADMIN, Method::DELETE, &path, &empty).await;
    assert_eq!(end.status, 204, "{end:?}");
    assert!(!blocked.is_finished());
    camera.thaw();
    assert_eq!(blocked.await.expect("a task").expect("a response").status(), 401);
    for path in [&url, &segment] {
        assert_eq!(status(&nginx, path).await, 401, "{path}");
    }
    let foreign = format!("/api/playback/sessions/{}", text(&kept, "session_id"));
    assert_eq!(manager.call(USER, Method::DELETE, &foreign, &empty).await.status, 403);
    let unknown = "/api/playback/sessions/unknown";
    assert_eq!(manager.call(USER, Method::DELETE, unknown, &empty).await.status, 404);

    manager.signal(Signal::SIGKILL);
    manager.exit_code().await;
    let manager = manager.start_again(&[(KEYS, KEYS_VALUE)]).await;
    let nginx = Nginx::start(&manager).await;
    assert_eq!(status(&nginx, &url).await, 401, "the session that has ended is active again");
    assert_eq!(status(&nginx, &text(&kept, "hls_url")).await, 200);
    let list = manager.call(ADMIN, Method::GET, "/api/playback/sessions", &empty).await.body;
    let states: Vec<_> = list["sessions"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|session| {
            (
                text(session, "user"),
                text(session, "state"),
                session["last_seen"].is_string(),
                text(session, "made_by"),
            )
        })
        .collect();
    let shop = || "shop".to_owned();
    assert!(states.contains(&("anna".into(), "ended".into(), false, shop())), "{states:?}");
    assert!(states.contains(&("bert".into(), "active".into(), true, shop())), "{states:?}");
    let of_user = manager.call(USER, Method::GET, "/api/playback/sessions", &empty).await.body;
    assert_eq!(of_user["sessions"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_shows_who_watched_which_camera() {
    let (_camera, manager, nginx) = start_with_keys(&[]).await;
    let session = create_session(&manager, &json!({ "user": "anna", "camera": "cam" })).await;
    play(&nginx.url(&text(&session, "hls_url")), 2).await;
    let with_key = nginx.client().get(nginx.playlist("cam")).bearer_auth(USER);
    assert_eq!(with_key.send().await.expect("a response").status(), 200);
    let stop = json!({ "indicator_id": "cam" });
    assert_eq!(manager.call(ADMIN, Method::POST, "/api/stream/stop", &stop).await.status, 200);

    // The log has two lines for each viewer. Only the line for the end contains the duration.
    let lines = |user: &str, is_end: bool| -> Vec<Value> {
        let of_viewers = manager.log_fields().into_iter().filter(|fields| {
            fields["camera"] == "cam" && fields["address"] == "127.0.0.1" && fields["user"] == user
        });
        of_viewers.filter(|fields| fields["seconds"].is_number() == is_end).collect()
    };
    // The log is read in the background, so its lines can arrive after the response.
    until("the log has the end of both viewers", || async {
        ["anna", "42"].iter().all(|user| !lines(user, true).is_empty())
    })
    .await;
    let log = manager.log();
    for user in ["anna", "42"] {
        let (begin, end) = (lines(user, false), lines(user, true));
        assert_eq!((begin.len(), end.len()), (1, 1), "{user}: {log}");
        let played = end[0]["seconds"].as_f64();
        assert!(if user == "anna" { played >= Some(1.0) } else { played == Some(0.0) }, "{end:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_session_is_rejected_and_no_longer_listed() {
    let (_camera, manager, nginx) = start_with_keys(&[]).await;
    let session = json!({ "user": "anna", "camera": "cam", "ttl_seconds": 3 });
    let url = text(&create_session(&manager, &session).await, "hls_url");
    assert_eq!(status(&nginx, &url).await, 200);
    until("the token has expired", || async { status(&nginx, &url).await == 401 }).await;
    let list = manager.call(ADMIN, Method::GET, "/api/playback/sessions", &json!({})).await.body;
    assert_eq!(list["sessions"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_a_back_end_signs_itself_are_accepted() {
    let dir = tempfile::tempdir().expect("a directory");
    let (private, public) = key_pair(dir.path(), "ed25519");
    let (private_path, public_path) =
        (private.to_str().expect("a path"), public.to_str().expect("a path"));
    let (_camera, manager, nginx) = start_with_keys(&[("PLAYBACK_PUBLIC_KEYS", public_path)]).await;

    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_secs();
    let base64 = |bytes: &[u8]| {
        use base64::Engine as _;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
    };
    let url = |id: &str, lifetime: u64| {
        let claims = json!({
            "jti": id, "sub": "carl", "cameras": ["cam"], "aud": "stream-manager",
            "iat": now, "exp": now + lifetime
        });
        let signed =
            format!("{}.{}", base64(br#"{"alg":"EdDSA"}"#), base64(claims.to_string().as_bytes()));
        let input = dir.path().join("input");
        std::fs::write(&input, &signed).expect("a file");
        let input = input.to_str().expect("a path");
        let signature =
            openssl(&["pkeyutl", "-sign", "-rawin", "-inkey", private_path, "-in", input]);
        format!("/play/{signed}.{}/cam/stream.m3u8", base64(&signature))
    };
    // The second token renews the session, because it has the same ID.
    let (first, renewed) = (url("login-1", 600), url("login-1", 1200));
    for url in [&first, &renewed, &first] {
        assert_eq!(status(&nginx, url).await, 200);
    }
    // Ending a session invalidates all of its tokens, even tokens that were never used.
    let unused = url("login-2", 600);
    for id in ["login-1", "login-2"] {
        let path = format!("/api/playback/sessions/{id}");
        assert_eq!(manager.call(ADMIN, Method::DELETE, &path, &json!({})).await.status, 204);
    }
    for url in [&first, &renewed, &url("login-1", 1800), &unused] {
        assert_eq!(status(&nginx, url).await, 401);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_users_session_is_limited_to_that_users_cameras() {
    let (_camera, manager, nginx) = start_with_keys(&[]).await;
    let path = "/api/playback/sessions";
    let body = json!({ "user": "anna", "camera": "cam" });
    let by_user = manager.call(USER, Method::POST, path, &body).await.body;
    let by_admin = create_session(&manager, &body).await;
    let urls = [text(&by_user, "hls_url"), text(&by_admin, "hls_url")];
    for url in &urls {
        assert_eq!(status(&nginx, url).await, 200);
    }
    let new_owner = json!({ "owner": "43" });
    let response = manager.call(ADMIN, Method::PUT, "/api/cameras/cam", &new_owner).await;
    assert_eq!(response.status, 200, "{response:?}");
    assert_eq!([status(&nginx, &urls[0]).await, status(&nginx, &urls[1]).await], [403, 200]);
}

#[tokio::test(flavor = "multi_thread")]
async fn ffmpeg_gets_no_secrets_and_nginx_logs_no_token_even_if_the_manager_is_down() {
    let (_camera, mut manager, nginx) =
        start_with_keys(&[("PLAYBACK_SECRET", &"s".repeat(40))]).await;
    let session = create_session(&manager, &json!({ "user": "anna", "camera": "cam" })).await;
    let url = text(&session, "hls_url");
    assert_eq!(status(&nginx, &url).await, 200);
    let [ffmpeg] = manager.ffmpegs()[..] else { panic!("expected exactly one FFmpeg") };
    let environment = std::fs::read(format!("/proc/{ffmpeg}/environ")).expect("an environment");
    let environment = String::from_utf8_lossy(&environment);
    assert!(environment.contains("PATH=") && !environment.contains("API_KEYS"), "{environment}");
    assert!(!environment.contains("PLAYBACK_SECRET"), "{environment}");

    manager.signal(Signal::SIGKILL);
    manager.exit_code().await;
    for path in [url.clone(), format!("{url}?_HLS_msn=1")] {
        assert_eq!(status(&nginx, &path).await, 503);
    }
    let token = text(&session, "token");
    let tail = token.rsplit('.').next().expect("a signature");
    assert!(!nginx.log().contains(tail), "a token is in the log: {}", nginx.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_can_be_ended_even_if_there_are_no_api_keys() {
    let (_camera, manager, nginx) = start_live("h264", &[]).await;
    let session =
        manager.post("/api/playback/sessions", &json!({ "user": "a", "camera": "cam" })).await;
    let url = text(&session.body, "hls_url");
    assert_eq!(status(&nginx, &url).await, 200);
    assert_eq!(status(&nginx, "/play/x.y.z/cam/stream.m3u8").await, 401);
    let path = format!("/api/playback/sessions/{}", text(&session.body, "session_id"));
    manager.call("", Method::DELETE, &path, &json!({})).await;
    assert_eq!(status(&nginx, &url).await, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_for_a_hundred_uuids_plays_and_a_longer_token_is_rejected_with_an_explanation() {
    let (_camera, manager, nginx) = start_with_keys(&[]).await;
    let mut cameras = vec!["cam".to_owned()];
    for number in 1..100 {
        let id = format!("0b5f0d0e-8a7c-4f6f-9a52-{number:012}");
        let camera = json!({ "rtsp_link": "rtsp://camera.test/" });
        let path = format!("/api/cameras/{id}");
        assert_eq!(manager.call(ADMIN, Method::PUT, &path, &camera).await.status, 201);
        cameras.push(id);
    }
    let session = create_session(&manager, &json!({ "user": "anna", "cameras": cameras })).await;
    let url = format!("/play/{}/cam/stream.m3u8", text(&session, "token"));
    assert!(url.len() > 5000, "the token is short: {}", url.len());
    assert_eq!(status(&nginx, &url).await, 200);
    assert_eq!(status(&nginx, &segment(&nginx, &url).await).await, 200);

    for (length, expected, code) in [(9000, 401, "unauthorized"), (40_000, 414, "invalid_request")]
    {
        let response = nginx.get(&format!("/play/{}/cam/stream.m3u8", "x".repeat(length))).await;
        assert_eq!(response.status(), expected);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        let problem: Value = response.json().await.expect("JSON");
        assert_eq!(problem["code"], code, "{problem}");
        let detail = problem["detail"].as_str().expect("a detail");
        assert!(detail.contains("8192 characters"), "{detail}");
    }
    let request = nginx.client().get(nginx.playlist("cam"));
    let response = request.bearer_auth("x".repeat(40_000)).send().await.expect("a response");
    assert_eq!(response.status(), 400);
    let problem: Value = response.json().await.expect("JSON");
    assert_eq!(problem["code"], "invalid_request", "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_is_refused_and_counted_even_with_a_valid_token() {
    let (_camera, manager, nginx) = start_with_keys(&[]).await;
    let session = create_session(&manager, &json!({ "user": "anna", "camera": "cam" })).await;
    let token = text(&session, "token");
    let request = || {
        let request = nginx.client().get(nginx.url("/streams/cam/snapshot.jpg?start=false"));
        request.header("Cookie", format!("playback={token}"))
    };
    let status = async |request: reqwest::RequestBuilder| {
        request.send().await.expect("a response").status().as_u16()
    };
    assert_eq!(status(request()).await, 404, "the token is valid, and there is no picture");
    for _ in 0..20 {
        assert_eq!(status(request().header("X-API-Key", "wrong-secret-000001")).await, 401);
    }
    assert_eq!(status(request().header("X-API-Key", "wrong-secret-000001")).await, 429);
    assert_eq!(status(request()).await, 404, "without the wrong key, the token is still valid");
    assert!(manager.log().contains("wrong API key"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_attributes_of_the_cookie_can_be_set() {
    let attributes = "Domain=example.com; Path=/; SameSite=None";
    let (_camera, manager, _nginx) = start_with_keys(&[
        ("PLAYBACK_COOKIE_ATTRIBUTES", attributes),
        // The path of the cookie is the one in PLAYBACK_COOKIE_ATTRIBUTES, not the path of PUBLIC_URL.
        ("PUBLIC_URL", "http://example.com/cameras"),
    ])
    .await;
    let session = json!({ "user": "anna", "camera": "cam", "cookie": true });
    let request = manager.client().post(manager.url("/api/playback/sessions"));
    let response = request.bearer_auth(ADMIN).json(&session).send().await.expect("a response");
    let cookie = response.headers()["set-cookie"].to_str().expect("a cookie");
    assert!(cookie.contains(attributes) && cookie.ends_with("; HttpOnly; Secure"), "{cookie}");
}
