//! Playback sessions: tokens in paths, headers and cookies, until they expire or are ended.

use std::time::{SystemTime, UNIX_EPOCH};

use nix::sys::signal::Signal;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Camera, Manager, Nginx, all_parts, key_pair, on_air, openssl, play, until};

const ADMIN: &str = "admin-secret-000001";
const USER: &str = "user-secret-0000001";
const KEYS: &str = "API_KEYS";
const KEYS_VALUE: &str = "shop:admin:admin-secret-000001,42:user:user-secret-0000001";

/// All parts, with keys, and the cameras "cam" and "other" of user 42 and user 43.
async fn with_keys(set: &[(&str, &str)]) -> (Camera, Manager, Nginx) {
    let (camera, manager, nginx) = all_parts(&[&[(KEYS, KEYS_VALUE)], set].concat()).await;
    for (id, owner) in [("cam", "42"), ("other", "43")] {
        let body = json!({ "owner": owner, "rtsp_link": camera.link("h264") });
        let path = format!("/api/cameras/{id}");
        assert_eq!(manager.ask(ADMIN, Method::PUT, &path, &body).await.status, 201);
    }
    (camera, manager, nginx)
}

async fn begin(manager: &Manager, body: &Value) -> Value {
    let answer = manager.ask(ADMIN, Method::POST, "/api/playback/sessions", body).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.body
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}")).to_owned()
}

async fn status(nginx: &Nginx, path: &str) -> u16 {
    nginx.get(path).await.status().as_u16()
}

/// Path of a segment in the same place as a playlist.
async fn segment(nginx: &Nginx, playlist: &str) -> String {
    let answer = nginx.get(playlist).await.text().await.expect("a playlist");
    let segment = answer.lines().find(|line| !line.starts_with('#')).expect("a segment");
    playlist.replace("stream.m3u8", segment)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_plays_in_path_header_and_cookie_and_for_its_camera_alone() {
    let (_camera, manager, nginx) = with_keys(&[]).await;
    let session = json!({ "user": "anna", "camera": "cam", "cookie": true });
    let request = manager.client().post(manager.url("/api/playback/sessions"));
    let answer = request.bearer_auth(ADMIN).json(&session).send().await.expect("an answer");
    let cookie = answer.headers()["set-cookie"].to_str().expect("a cookie").to_owned();
    let session: Value = answer.json().await.expect("JSON");
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
            assert_eq!(request.send().await.expect("an answer").status(), expected, "{name} {id}");
        }
    }
    assert_eq!(status(&nginx, &url.replace("/cam/", "/other/")).await, 403);
    assert_eq!(status(&nginx, "/streams/cam/stream.m3u8").await, 401);
    assert_eq!(status(&nginx, &url.replace("/cam/", "/cam~sub/")).await, 404);
    // Neither log shows a token.
    let tail = token.rsplit('.').next().expect("a signature");
    assert!(!manager.log().contains(tail) && !nginx.log().contains(tail), "a token is in a log");
    assert!(nginx.log().contains("/play/***/cam/stream.m3u8"), "{}", nginx.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_good_token_is_refused() {
    let (_camera, manager, nginx) = with_keys(&[]).await;
    let token = text(&begin(&manager, &json!({ "user": "anna", "camera": "cam" })).await, "token");
    let parts: Vec<_> = token.split('.').collect();
    let none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0";
    let bad = [
        format!("{none}.{}.", parts[1]),
        format!("{none}.{}.{}", parts[1], parts[2]),
        format!("{}.{}.{}", parts[0], parts[1], "A".repeat(parts[2].len())),
        token[..token.len() / 2].to_owned(),
        token[..token.len() - 1].to_owned(),
        "x".to_owned(),
        "a.b.c".to_owned(),
    ];
    for bad in &bad {
        assert_eq!(status(&nginx, &format!("/play/{bad}/cam/stream.m3u8")).await, 401, "{bad}");
        assert_eq!(status(&nginx, &format!("/play/{bad}/cam/1.m4s")).await, 401, "{bad}");
    }
    let long = format!("/play/{}/cam/stream.m3u8", "x".repeat(5000));
    assert_eq!(status(&nginx, &long).await, 404);
    let huge = format!("/play/{}/cam/stream.m3u8", "x".repeat(1_000_000));
    let answer = nginx.client().get(nginx.url(&huge)).send().await.map(|a| a.status().as_u16());
    assert!(matches!(answer, Ok(414) | Err(_)), "{answer:?}");

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
        let answer = manager.ask(key, Method::POST, path, &body).await;
        assert_eq!(answer.status, expected, "{key} {body}: {answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_at_once_and_stays_ended_after_a_restart() {
    let (camera, mut manager, nginx) = with_keys(&[]).await;
    let ended = begin(&manager, &json!({ "user": "anna", "camera": "cam" })).await;
    let kept = begin(&manager, &json!({ "user": "bert", "camera": "cam" })).await;
    let url = text(&ended, "hls_url");
    assert_eq!(status(&nginx, &url).await, 200);
    let segment = segment(&nginx, &url).await;
    let playlist = nginx.get(&url).await.text().await.expect("a playlist");
    let sequence: u64 = playlist
        .lines()
        .rfind(|line| !line.starts_with('#'))
        .and_then(|name| name.trim_end_matches(".m4s").parse().ok())
        .expect("a number");

    // Ended while a reload waits: the camera is frozen, and the player that waits is seen.
    camera.freeze();
    let id = text(&ended, "session_id");
    let path = format!("/api/playback/sessions/{id}");
    let reload = format!("{url}?_HLS_msn={}", sequence + 2);
    let none = json!({});
    let viewers = || async {
        let path = "/api/stream/status?indicator_id=cam";
        manager.ask(ADMIN, Method::GET, path, &json!({})).await.body["viewers"].as_u64()
    };
    let before = viewers().await.expect("a number");
    let request = nginx.client().get(nginx.url(&reload)).header("user-agent", "one that waits");
    let waiting = tokio::spawn(request.send());
    until("the reload waits", || async { viewers().await > Some(before) }).await;
    assert!(!waiting.is_finished());
    let end = manager.ask(ADMIN, Method::DELETE, &path, &none).await;
    assert_eq!(end.status, 204, "{end:?}");
    assert!(!waiting.is_finished());
    camera.thaw();
    assert_eq!(waiting.await.expect("a task").expect("an answer").status(), 401);
    for path in [&url, &segment] {
        assert_eq!(status(&nginx, path).await, 401, "{path}");
    }
    let foreign = format!("/api/playback/sessions/{}", text(&kept, "session_id"));
    assert_eq!(manager.ask(USER, Method::DELETE, &foreign, &none).await.status, 403);
    let unknown = "/api/playback/sessions/unknown";
    assert_eq!(manager.ask(USER, Method::DELETE, unknown, &none).await.status, 404);

    manager.signal(Signal::SIGKILL);
    manager.exit_code().await;
    let manager = manager.start_again(&[(KEYS, KEYS_VALUE)]).await;
    let nginx = Nginx::start(&manager).await;
    assert_eq!(status(&nginx, &url).await, 401, "what was ended must not come back");
    assert_eq!(status(&nginx, &text(&kept, "hls_url")).await, 200);
    let list = manager.ask(ADMIN, Method::GET, "/api/playback/sessions", &none).await.body;
    let states: Vec<_> = list["sessions"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| {
            (
                text(one, "user"),
                text(one, "state"),
                one["last_seen"].is_string(),
                text(one, "made_by"),
            )
        })
        .collect();
    let shop = || "shop".to_owned();
    assert!(states.contains(&("anna".into(), "ended".into(), false, shop())), "{states:?}");
    assert!(states.contains(&("bert".into(), "active".into(), true, shop())), "{states:?}");
    let own = manager.ask(USER, Method::GET, "/api/playback/sessions", &none).await.body;
    assert_eq!(own["sessions"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_tells_who_watched_what() {
    let (_camera, manager, nginx) = with_keys(&[]).await;
    let session = begin(&manager, &json!({ "user": "anna", "camera": "cam" })).await;
    play(&nginx.url(&text(&session, "hls_url")), 2).await;
    let with_key = nginx.client().get(nginx.playlist("cam")).bearer_auth(USER);
    assert_eq!(with_key.send().await.expect("an answer").status(), 200);
    let stop = json!({ "indicator_id": "cam" });
    assert_eq!(manager.ask(ADMIN, Method::POST, "/api/stream/stop", &stop).await.status, 200);

    let told = |message: &str, user: &str| -> Vec<Value> {
        let fields = manager.log_lines().into_iter().map(|line| line["fields"].clone());
        fields.filter(|line| line["message"] == message && line["user"] == user).collect()
    };
    // The log is read as it comes, which may be after the answer.
    until("it is told that both have left", || async {
        ["anna", "42"].iter().all(|user| !told("watched", user).is_empty())
    })
    .await;
    let log = manager.log();
    for user in ["anna", "42"] {
        let [came, left] = ["watching", "watched"].map(|message| told(message, user));
        assert_eq!((came.len(), left.len()), (1, 1), "{user}: {log}");
        for line in [&came[0], &left[0]] {
            assert_eq!((&line["camera"], &line["address"]), (&json!("cam"), &json!("127.0.0.1")));
        }
        let played = left[0]["seconds"].as_f64();
        assert!(if user == "anna" { played >= Some(1.0) } else { played == Some(0.0) }, "{left:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_expires() {
    let (_camera, manager, nginx) = with_keys(&[]).await;
    let session = json!({ "user": "anna", "camera": "cam", "ttl_seconds": 1 });
    let url = text(&begin(&manager, &session).await, "hls_url");
    assert_eq!(status(&nginx, &url).await, 200);
    // One second, and five for clocks that differ.
    until("the token has expired", || async { status(&nginx, &url).await == 401 }).await;
    let list = manager.ask(ADMIN, Method::GET, "/api/playback/sessions", &json!({})).await.body;
    assert_eq!(list["sessions"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_back_end_may_make_tokens_itself() {
    let dir = tempfile::tempdir().expect("a directory");
    let (private, public) = key_pair(dir.path(), "ed25519");
    let (private_path, public_path) =
        (private.to_str().expect("a path"), public.to_str().expect("a path"));
    let (_camera, manager, nginx) = with_keys(&[("PLAYBACK_PUBLIC_KEYS", public_path)]).await;

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
    // The second one is a renewal under the same id.
    let (first, renewed) = (url("login-1", 600), url("login-1", 1200));
    for url in [&first, &renewed, &first] {
        assert_eq!(status(&nginx, url).await, 200);
    }
    // It can be ended like any other, whatever tokens of it there are, and also before it was shown.
    let unseen = url("login-2", 600);
    for id in ["login-1", "login-2"] {
        let path = format!("/api/playback/sessions/{id}");
        assert_eq!(manager.ask(ADMIN, Method::DELETE, &path, &json!({})).await.status, 204);
    }
    for url in [&first, &renewed, &url("login-1", 1800), &unseen] {
        assert_eq!(status(&nginx, url).await, 401);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_users_session_is_for_that_users_cameras() {
    let (_camera, manager, nginx) = with_keys(&[]).await;
    let path = "/api/playback/sessions";
    let body = json!({ "user": "anna", "camera": "cam" });
    let by_user = manager.ask(USER, Method::POST, path, &body).await.body;
    let by_admin = begin(&manager, &body).await;
    let urls = [text(&by_user, "hls_url"), text(&by_admin, "hls_url")];
    for url in &urls {
        assert_eq!(status(&nginx, url).await, 200);
    }
    let given_away = json!({ "owner": "43" });
    let answer = manager.ask(ADMIN, Method::PUT, "/api/cameras/cam", &given_away).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!([status(&nginx, &urls[0]).await, status(&nginx, &urls[1]).await], [403, 200]);
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_reach_neither_ffmpeg_nor_the_log_of_an_nginx_without_manager() {
    let (_camera, mut manager, nginx) = with_keys(&[("PLAYBACK_SECRET", &"s".repeat(40))]).await;
    let session = begin(&manager, &json!({ "user": "anna", "camera": "cam" })).await;
    let url = text(&session, "hls_url");
    assert_eq!(status(&nginx, &url).await, 200);
    let [ffmpeg] = manager.ffmpegs()[..] else { panic!("one FFmpeg") };
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
async fn without_keys_tokens_still_expire_and_end() {
    let (_camera, manager, nginx) = on_air("h264", &[]).await;
    let session =
        manager.post("/api/playback/sessions", &json!({ "user": "a", "camera": "cam" })).await;
    let url = text(&session.body, "hls_url");
    assert_eq!(status(&nginx, &url).await, 200);
    assert_eq!(status(&nginx, "/play/x.y.z/cam/stream.m3u8").await, 401);
    let path = format!("/api/playback/sessions/{}", text(&session.body, "session_id"));
    manager.ask("", Method::DELETE, &path, &json!({})).await;
    assert_eq!(status(&nginx, &url).await, 401);
}
