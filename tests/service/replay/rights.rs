//! Every route for recordings with every kind of credentials, and requests that try to get around the checks.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::{ADMIN, REPLAYING_USER, REPLAYING_VIEWER, Setup, USER, VIEWER, millis, range, text};
use crate::support::{EventStream, until};

/// The key of another user, who has the right but no camera.
const OTHER_USER: &str = "user-secret-0000003";
/// The routes of live video, below `/play/{token}/cam/`.
const LIVE: [&str; 7] =
    ["index.m3u8", "stream.m3u8", "live", "mjpeg", "snapshot.jpg", "events", "1.m4s"];

/// Credentials of a request.
#[derive(Debug, Clone, Copy)]
enum With<'a> {
    Key(&'a str),
    Token(&'a str),
}

/// The routes for recordings of `cam`, for the time from `from` to `to`.
struct Routes {
    /// Below `/recordings/cam/`.
    media: Vec<String>,
    /// Below `/api/`.
    api: Vec<String>,
}

impl Routes {
    fn new(from: i64, to: i64, files: &[String]) -> Self {
        let query = format!("from={}&to={}", text(from), text(to));
        let at = text(from);
        let limits = format!("limits={},{}", text(from), text(to));
        let named = [
            format!("index.m3u8?{query}"),
            format!("index.m3u8?{query}&codec=h264"),
            format!("stream.m3u8?{query}"),
            format!("iframes.m3u8?{query}"),
            format!("timeline.json?{query}"),
            format!("days.json?{limits}"),
            format!("activity.json?{query}"),
            format!("snapshot.jpg?at={at}&width=160"),
            format!("thumbnail.jpg?at={at}&width=160"),
            format!("export.mp4?{query}"),
        ];
        let api = vec![
            format!("recordings/cam?{query}"),
            format!("recordings/cam/days?{limits}"),
            format!("recordings/cam/activity?{query}"),
            format!("recordings/cam/export?{query}"),
        ];
        Self { media: named.into_iter().chain(files.iter().cloned()).collect(), api }
    }

    /// Sends all requests, and returns the status of each.
    async fn statuses(&self, setup: &Setup, with: With<'_>) -> Vec<(String, u16)> {
        let mut statuses = Vec::new();
        for name in &self.media {
            // A range that is part of the init segment of a file.
            let headers = if name.split('.').next_back() == Some("mp4") {
                range("bytes=0-9")
            } else {
                HeaderMap::new()
            };
            let (path, key) = match with {
                With::Key(key) => (format!("/recordings/cam/{name}"), key),
                With::Token(token) => (format!("/play/{token}/cam/recordings/{name}"), ""),
            };
            let response = setup.get_with(&path, key, &headers).await;
            let status = response.status().as_u16();
            statuses.push((name.clone(), if status == 206 { 200 } else { status }));
            if let With::Token(token) = with {
                let url = setup.manager.url(&format!("/recordings/cam/{name}"));
                let request = setup.manager.client().get(url).headers(headers);
                let direct = request.bearer_auth(token).send().await.expect("a response");
                assert_eq!(direct.status().as_u16(), status, "{name} without nginx");
            }
        }
        for name in &self.api {
            let url = setup.manager.url(&format!("/api/{name}"));
            let request = setup.manager.client().get(url);
            let request = match with {
                With::Key("") => request,
                With::Key(secret) | With::Token(secret) => request.bearer_auth(secret),
            };
            let response = request.send().await.expect("a response");
            statuses.push((name.clone(), response.status().as_u16()));
        }
        statuses
    }

    /// Asserts that all requests have this status.
    async fn assert(&self, setup: &Setup, with: With<'_>, expected: u16) {
        for (name, status) in self.statuses(setup, with).await {
            assert_eq!(status, expected, "{name} with {with:?}");
        }
    }
}

/// Returns the claims of a token.
fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).expect("claims");
    serde_json::from_slice(&BASE64URL.decode(payload).expect("base64")).expect("JSON")
}

async fn token(setup: &Setup, path: &str, body: Value) -> String {
    setup.create(path, body).await["token"].as_str().expect("a token").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_checks_every_kind_of_credentials() {
    let setup = Setup::new("h264", 8).await;
    // Tokens have whole seconds.
    let begin = setup.from / 1000 * 1000 + 3000;
    let (from, to) = (begin, begin + 2000);
    let query = format!("from={}&to={}", text(from), text(to));
    let playlist = setup.playlist("stream.m3u8", &query).await;
    let file = playlist.lines().find(|line| !line.starts_with('#')).expect("a file").to_owned();
    let mut lines = playlist.lines().filter_map(|line| line.strip_prefix("#EXT-X-BYTERANGE:"));
    let (size, offset) = lines.next_back().and_then(|line| line.split_once('@')).expect("a range");
    let segment = format!("h264/{}-{offset}-{size}.m4s", file.trim_end_matches(".mp4"));
    let files = [file.clone(), format!("h264/{file}"), segment];
    let routes = Routes::new(from, to, &files);

    for (key, expected) in [
        (ADMIN, 200),
        (REPLAYING_VIEWER, 200),
        (REPLAYING_USER, 200),
        (OTHER_USER, 403),
        (VIEWER, 403),
        (USER, 403),
    ] {
        routes.assert(&setup, With::Key(key), expected).await;
        let list = setup.call(key, Method::GET, "/api/recordings", Value::Null).await;
        let sees = [ADMIN, REPLAYING_VIEWER, REPLAYING_USER].contains(&key);
        let is_permitted = sees || key == OTHER_USER;
        assert_eq!(list.status, if is_permitted { 200 } else { 403 }, "{key}");
        if is_permitted {
            let count = list.body["streams"].as_array().expect("a list").len();
            assert_eq!(count, usize::from(sees), "{key}");
        }
        let share = json!({ "from": text(from), "to": text(to) });
        let path = "/api/recordings/cam/shares";
        let created = setup.call(key, Method::POST, path, share).await;
        assert_eq!(created.status, if sees { 201 } else { 403 }, "{key}");
        let listed = setup.call(key, Method::GET, path, Value::Null).await;
        assert_eq!(listed.status, if sees { 200 } else { 403 }, "{key}");
        let rights = setup.call(key, Method::GET, "/api/caller", Value::Null).await.body;
        let has_right = rights["rights"] == json!(["live", "recordings"]);
        assert_eq!(has_right, is_permitted, "{key}: {rights}");
    }
    routes.assert(&setup, With::Key(""), 401).await;

    let sessions = "/api/playback/sessions";
    let session = |more: Value| {
        let mut body = json!({ "user": "anna", "camera": "cam" });
        for (name, value) in more.as_object().expect("fields") {
            body[name] = value.clone();
        }
        body
    };
    let limited = json!({ "rights": ["recordings"], "from": text(from), "to": text(to) });
    let shared = json!({ "from": text(from), "to": text(to) });
    let live = token(&setup, sessions, session(json!({}))).await;
    let all = token(&setup, sessions, session(json!({ "rights": ["recordings"] }))).await;
    let other = json!({ "user": "anna", "camera": "other", "rights": ["recordings"] });
    let other = token(&setup, sessions, other).await;
    let every = json!({ "user": "anna", "cameras": ["*"], "rights": ["recordings"] });
    let every = token(&setup, sessions, every).await;
    let limited = token(&setup, sessions, session(limited)).await;
    let share = token(&setup, "/api/recordings/cam/shares", shared.clone()).await;
    for (token, expected) in
        [(&live, 403), (&all, 200), (&other, 403), (&every, 200), (&limited, 200), (&share, 200)]
    {
        routes.assert(&setup, With::Token(token), expected).await;
    }
    // A manager that does not know share links accepts only the audience of sessions.
    assert_eq!(claims(&share)["aud"], "stream-manager-share");
    assert_eq!(claims(&limited)["aud"], "stream-manager");
    tokens_manage_nothing(&setup, [&live, &all, &limited, &share], &shared).await;
    share_permits_nothing_live(&setup, &share).await;
    let limits_of_others = [
        Routes::new(from - 1, to, &[]),
        Routes::new(from - 2000, from - 1000, &[]),
        Routes::new(to, to + 1000, &[]),
    ];
    for outside in limits_of_others {
        for token in [&limited, &share] {
            for (name, status) in outside.statuses(&setup, With::Token(token)).await {
                // A timeline, and what belongs to it, is limited instead of refused.
                let is_part = ["timeline", "days", "activity", "recordings/cam?"];
                let is_part = is_part.iter().any(|part| name.contains(part));
                assert!(status == 403 || (is_part && status == 200), "{status} for {name}");
            }
        }
    }

    ended_credentials(&setup, &routes, [&limited, &share, &all]).await;
}

/// Checks that a share link gives no live video.
async fn share_permits_nothing_live(setup: &Setup, share: &str) {
    for name in LIVE {
        let url = setup.nginx.url(&format!("/play/{share}/cam/{name}"));
        let mut request = setup.nginx.client().get(url);
        if name == "live" {
            request = request.header("connection", "Upgrade").header("upgrade", "websocket");
            request = request.header("sec-websocket-version", "13");
            request = request.header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
        }
        assert_eq!(request.send().await.expect("a response").status(), 403, "{name}");
    }
}

/// Checks that these tokens are no keys for the API.
async fn tokens_manage_nothing(setup: &Setup, tokens: [&str; 4], shared: &Value) {
    for (number, token) in tokens.into_iter().enumerate() {
        for (method, path) in [
            (Method::GET, "/api/recordings"),
            (Method::GET, "/api/recordings/cam/shares"),
            (Method::POST, "/api/recordings/cam/shares"),
            (Method::DELETE, "/api/recordings/cam/shares/x"),
            (Method::PUT, "/api/cameras/cam/recordings/lock"),
            (Method::DELETE, "/api/cameras/cam/recordings"),
            (Method::GET, "/api/storage"),
        ] {
            // A token counts as a wrong key here, of which each address has only a few attempts.
            let request = setup.manager.request(method.clone(), path, shared);
            let request = request.header("x-real-ip", format!("192.0.2.{number}"));
            let response = setup.manager.send(request.bearer_auth(token)).await;
            let is_refused = [401, 429].contains(&response.status.as_u16());
            assert!(is_refused, "{method} {path}: {response:?}");
        }
    }
}

/// Checks expired and revoked credentials, and those of a deleted camera. `tokens` are those of a limited session, a share
/// link and an unlimited session.
async fn ended_credentials(setup: &Setup, routes: &Routes, tokens: [&str; 3]) {
    let [limited, share, all] = tokens;
    let claims = claims(limited);
    let [from, to] = ["from", "to"].map(|name| text(claims[name].as_i64().expect("a time") * 1000));
    let short = json!({ "from": from, "to": to, "ttl_seconds": 1 });
    let expired = token(setup, "/api/recordings/cam/shares", short).await;
    let short =
        json!({ "user": "anna", "camera": "cam", "rights": ["recordings"], "ttl_seconds": 1 });
    let expired_session = token(setup, "/api/playback/sessions", short).await;
    for token in [&expired, &expired_session] {
        until("the token has expired", || async {
            let path = format!("/play/{token}/cam/recordings/days.json?limits={from},{to}");
            setup.nginx.get(&path).await.status() == 401
        })
        .await;
        routes.assert(setup, With::Token(token), 401).await;
    }
    let session = claims["jti"].as_str().expect("an id");
    let path = format!("/api/playback/sessions/{session}");
    assert_eq!(setup.call(ADMIN, Method::DELETE, &path, Value::Null).await.status, 204);
    routes.assert(setup, With::Token(limited), 401).await;

    // A camera that is deleted and added again has no recordings.
    let user = json!({ "user": "bert", "camera": "cam", "rights": ["recordings"] });
    let by_user = setup.call(REPLAYING_USER, Method::POST, "/api/playback/sessions", user).await;
    let by_user = by_user.body["token"].as_str().expect("a token").to_owned();
    routes.assert(setup, With::Token(&by_user), 200).await;
    let deleted = "/api/cameras/cam?keep=true";
    assert_eq!(setup.call(ADMIN, Method::DELETE, deleted, Value::Null).await.status, 204);
    for (with, expected) in [
        (With::Key(ADMIN), 404),
        (With::Key(REPLAYING_USER), 404),
        (With::Token(share), 404),
        (With::Token(all), 404),
        (With::Token(&by_user), 403),
    ] {
        routes.assert(setup, with, expected).await;
    }
    let camera = json!({ "owner": "44", "rtsp_link": setup.camera.link("h264") });
    setup.put("cam", camera).await;
    for (with, expected) in [
        (With::Key(ADMIN), 404),
        (With::Key(REPLAYING_VIEWER), 404),
        (With::Key(OTHER_USER), 404),
        (With::Token(share), 404),
        (With::Token(all), 404),
        (With::Key(REPLAYING_USER), 403),
        (With::Token(&by_user), 403),
    ] {
        for (name, status) in routes.statuses(setup, with).await {
            let is_empty = ["timeline", "days", "activity", "recordings/cam?"];
            let is_empty = is_empty.iter().any(|part| name.contains(part));
            let expected = if is_empty && expected == 404 { 200 } else { expected };
            assert_eq!(status, expected, "{name} with {with:?}");
        }
    }
    let path = format!("/api/{}", routes.api[0]);
    let timeline = setup.call(OTHER_USER, Method::GET, &path, Value::Null).await.body;
    assert_eq!((&timeline["first"], &timeline["spans"]), (&Value::Null, &json!([])), "{timeline}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_limited_to_a_time_gets_only_its_events() {
    let setup = Setup::new("h264", 2).await;
    let now = setup.to / 1000 * 1000;
    let report = async |id: &str, at: i64, until: Option<i64>| {
        let mut body = json!({ "type": "door", "id": id, "at": text(at) });
        if let Some(until) = until {
            body["until"] = json!(text(until));
        }
        let response = setup.call(ADMIN, Method::POST, "/api/cameras/cam/events", body).await;
        assert_eq!(response.status, 201, "{response:?}");
        response.body["id"].as_i64().expect("an id")
    };
    let first = report("before", now - 60_000, None).await;
    let inside = report("inside", now - 30_000, None).await;
    let at_end = report("at-the-end", now - 20_000, None).await;
    let session = json!({
        "user": "anna", "camera": "cam", "rights": ["recordings"],
        "from": text(now - 40_000), "to": text(now - 20_000),
    });
    let token = token(&setup, "/api/playback/sessions", session).await;
    let url = setup.nginx.url(&format!("/play/{token}/cam/events"));
    let client = reqwest::Client::new();
    let mut events = EventStream::open(&client, &url, Some(&(first - 1).to_string())).await;
    assert_eq!(events.take(1).await, [(inside, "reported.door".to_owned())]);
    // Neither a new event, nor another state of an event outside of the time, is sent.
    report("now", now, None).await;
    let again = json!({ "type": "door", "id": "at-the-end", "until": text(now) });
    let response = setup.call(ADMIN, Method::POST, "/api/cameras/cam/events", again).await;
    assert!(response.status.is_success(), "{response:?}");
    let late = report("late-but-inside", now - 25_000, None).await;
    assert_eq!(events.take(1).await, [(late, "reported.door".to_owned())]);
    assert!(at_end > inside);

    let query = format!("from={}&to={}", text(now - 90_000), text(now + 90_000));
    let path = format!("/play/{token}/cam/recordings/timeline.json?{query}");
    let timeline: Value = setup.nginx.get(&path).await.json().await.expect("JSON");
    let times: Vec<_> = timeline["events"]
        .as_array()
        .expect("events")
        .iter()
        .map(|event| millis(&event["at"]))
        .collect();
    assert_eq!(times, [now - 30_000, now - 25_000], "{timeline}");
}
