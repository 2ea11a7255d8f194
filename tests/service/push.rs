//! Push notifications: subscriptions, their delivery to push servers, and the servers that are permitted.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::{Answer, Manager, Metrics, PushServer, merged, until};

const BOSS: &str = "admin-secret-000001";
const USER: &str = "user-secret-0000001";
const WALL: &str = "viewer-secret-00001";
const KEYS: &str =
    "boss:admin:admin-secret-000001,42:user:user-secret-0000001,wall:viewer:viewer-secret-00001";
const SUBSCRIPTIONS: &str = "/api/push/subscriptions";
/// A camera at an address at which nothing listens.
const AWAY: &str = "rtsp://127.0.0.1:1/x";

async fn start(server: &PushServer, settings: &[(&str, &str)]) -> Manager {
    let manager = Manager::start(&[&server.settings()[..], settings].concat()).await;
    add(&manager, BOSS, "cam", json!({ "name": "Front door" })).await;
    manager
}

/// Adds or changes a camera.
async fn add(manager: &Manager, key: &str, id: &str, fields: Value) {
    let body = merged(json!({ "rtsp_link": AWAY }), fields);
    let response = manager.call(key, Method::PUT, &format!("/api/cameras/{id}"), &body).await;
    assert!(response.status.is_success(), "{response:?}");
}

/// Subscribes with these fields in addition to those of the browser. Returns the id.
async fn subscribe(manager: &Manager, key: &str, subscription: Value, fields: Value) -> String {
    let body = merged(merged(subscription, json!({ "types": ["reported"] })), fields);
    let response = manager.call(key, Method::POST, SUBSCRIPTIONS, &body).await;
    assert_eq!(response.status, 201, "{response:?}");
    response.body["id"].as_str().expect("an id").to_owned()
}

async fn report(manager: &Manager, camera: &str, label: &str) {
    let (path, event) =
        (format!("/api/cameras/{camera}/events"), json!({ "type": "door", "label": label }));
    let response = manager.call(BOSS, Method::POST, &path, &event).await;
    assert_eq!(response.status, 201, "{response:?}");
}

/// Starts another manager in the same directory.
async fn restart(mut manager: Manager, settings: &[(&str, &str)]) -> Manager {
    manager.signal(Signal::SIGTERM);
    assert_eq!(manager.exit_code().await, 0, "{}", manager.log());
    manager.start_again(settings).await
}

/// Returns the ids of the subscriptions that a key can see.
async fn listed(manager: &Manager, key: &str) -> Vec<String> {
    let response = manager.call(key, Method::GET, SUBSCRIPTIONS, &Value::Null).await;
    let listed = response.body["subscriptions"].as_array().expect("a list").clone();
    listed.iter().map(|it| it["id"].as_str().expect("an id").to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_pushed_at_once_encrypted_and_signed() {
    let server = PushServer::start().await;
    let contact = ("PUSH_CONTACT", "mailto:ops@example.com");
    let manager = start(&server, &[contact]).await;
    let key = manager.get("/api/push/key").await.body;
    assert_eq!(key["has_contact"], true);
    let fields = json!({ "label": "Anna's phone", "types": ["reported.door"], "per_minute": "60" });
    let id = subscribe(&manager, "", server.subscription("/very-secret"), fields).await;
    // The first notification makes the connection, later ones use it again.
    for number in 1..=5 {
        let began = Instant::now();
        report(&manager, "cam", &format!("Door {number}")).await;
        let pushed = server.receives("/very-secret", number).await;
        let took = pushed.received_at.duration_since(began);
        println!("from the event to the push server: {took:?}");
        assert!(took < Duration::from_secs(10), "{took:?}");
    }
    let pushed = server.receives("/very-secret", 5).await;
    let at = pushed.content["at"].as_str().expect("a time").to_owned();
    // Recordings are off, so the notification opens the live picture.
    let expected = json!({
        "type": "reported.door", "title": "Front door", "body": "Door 5", "at": at, "camera": "cam",
        "url": "#/?cameras=cam", "tag": "cam reported",
    });
    assert_eq!(pushed.content, expected);
    assert_eq!(pushed.claims["sub"], "mailto:ops@example.com");
    assert_eq!(pushed.key, key["public_key"]);
    let header = |name: &str| pushed.headers[name].to_str().expect("text").to_owned();
    let headers = [header("content-encoding"), header("urgency"), header("ttl")];
    assert_eq!(headers, ["aes128gcm", "high", "14400"]);
    let topic = header("topic");
    assert!(topic.len() <= 32 && !topic.contains("cam"), "{topic}");

    let one = manager.get(&format!("{SUBSCRIPTIONS}/{id}")).await;
    assert_eq!((one.status.as_u16(), &one.body["label"]), (200, &json!("Anna's phone")), "{one:?}");
    let shown = format!("{one:?} {:?}", manager.get(SUBSCRIPTIONS).await);
    assert!(!shown.contains("very-secret") && shown.contains("https://localhost"), "{shown}");
    Metrics::until(&manager, "five notifications are counted", |metrics| {
        metrics.value("stream_manager_push_delivered_total") == Some(5.0)
            && metrics.value("stream_manager_push_subscriptions") == Some(1.0)
    })
    .await;
    let deleted = manager.delete(&format!("{SUBSCRIPTIONS}/{id}")).await;
    assert_eq!(deleted.status, 204);
    assert_eq!(manager.get(&format!("{SUBSCRIPTIONS}/{id}")).await.status, 404);
    assert!(!manager.log().contains("very-secret"), "{}", manager.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn responses_of_push_servers_end_repeat_or_drop_notifications() {
    let server = PushServer::start().await;
    let manager = start(&server, &[]).await;
    let fields = json!({ "per_minute": 60 });
    for path in ["/404", "/410", "/429", "/500", "/400", "/307"] {
        subscribe(&manager, "", server.subscription(path), fields.clone()).await;
    }
    for status in [404, 410, 500, 400, 307] {
        server.answer(&format!("/{status}"), &[Answer::Status(status)]);
    }
    server.answer("/429", &[Answer::TooMany(2)]);
    report(&manager, "cam", "first").await;
    server.receives("/500", 2).await;
    server.receives("/429", 2).await;
    let repeated = server.pushed("/429");
    let pause = repeated[1].received_at.duration_since(repeated[0].received_at);
    assert!(pause >= Duration::from_secs(2), "{pause:?}");
    until("two subscriptions have ended", || async { listed(&manager, "").await.len() == 4 }).await;
    report(&manager, "cam", "second").await;
    for (path, texts) in [
        ("/500", &["first", "first", "second"][..]),
        ("/429", &["first", "first", "second"]),
        ("/400", &["first", "second"]),
        ("/307", &["first", "second"]),
    ] {
        server.receives(path, texts.len()).await;
        assert_eq!(server.texts(path), texts, "{path}");
    }
    assert_eq!(server.texts("/404"), ["first"]);
    assert_eq!(server.texts("/410"), ["first"]);
    assert!(server.pushed("/elsewhere").is_empty(), "a redirect was followed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hanging_push_server_delays_nothing_else() {
    let server = PushServer::start().await;
    let manager = start(&server, &[]).await;
    // The kernel accepts connections to this server, but nothing responds.
    let hanging = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = hanging.local_addr().expect("an address").port();
    for number in 0..20 {
        let endpoint = json!({ "endpoint": format!("https://localhost:{port}/{number}") });
        let subscription = merged(server.subscription("/x"), endpoint);
        let fields = json!({ "user": format!("user-{number}"), "per_minute": 60 });
        subscribe(&manager, "", subscription, fields).await;
    }
    subscribe(&manager, "", server.subscription("/slow"), json!({ "per_minute": 60 })).await;
    subscribe(&manager, "", server.subscription("/quick"), json!({ "per_minute": 60 })).await;
    server.answer("/slow", &[Answer::Hang]);
    let began = Instant::now();
    for number in 1..=3 {
        report(&manager, "cam", &format!("event {number}")).await;
        server.receives("/quick", number).await;
    }
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    assert_eq!(server.texts("/slow"), ["event 1"]);
    server.receives("/slow", 4).await;
    assert_eq!(server.texts("/slow"), ["event 1", "event 1", "event 2", "event 3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_https_to_permitted_addresses_is_accepted_and_bad_input_changes_nothing() {
    let server = PushServer::start().await;
    let manager = Manager::start(&[("SSL_CERT_FILE", server.settings()[0].1)]).await;
    let good = || merged(server.subscription("/x"), json!({ "types": ["camera"] }));
    let port =
        good()["endpoint"].as_str().expect("a URL").rsplit_once(':').expect("a port").1.to_owned();
    for host in [
        "localhost",
        "127.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
        "[::]",
        "0x7f.1",
        "2130706433",
        "169.254.169.254",
        "10.0.0.1",
        "192.168.1.1",
        "172.16.0.1",
        "100.64.0.1",
        "[fe80::1]",
        "[fd00::1]",
        "[64:ff9b::127.0.0.1]",
        "[2002:7f00:1::]",
    ] {
        let body = merged(good(), json!({ "endpoint": format!("https://{host}:{port}") }));
        let refused = manager.post(SUBSCRIPTIONS, &body).await;
        assert_eq!(
            (refused.status.as_u16(), &refused.body["code"]),
            (403, &json!("push_forbidden")),
            "{host}"
        );
        assert!(!refused.body["detail"].as_str().expect("a text").contains("127.0.0.1"));
    }
    let browser = good();
    let keys = &browser["keys"];
    for (fields, code) in [
        (json!({ "endpoint": "http://8.8.8.8/x" }), "invalid_request"),
        (json!({ "endpoint": "https://u:p@8.8.8.8/x" }), "invalid_request"),
        (json!({ "endpoint": "8.8.8.8" }), "invalid_request"),
        (json!({ "endpoint": 7 }), "invalid_request"),
        (json!({ "endpoint": format!("https://8.8.8.8/{}", "x".repeat(3000)) }), "invalid_request"),
        (json!({ "keys": { "p256dh": "AAAA", "auth": keys["auth"] } }), "invalid_request"),
        (json!({ "keys": { "p256dh": keys["p256dh"], "auth": "AAAA" } }), "invalid_request"),
        (json!({ "keys": {} }), "invalid_request"),
        (json!({ "types": [] }), "invalid_request"),
        (json!({ "types": ["camera.gone"] }), "invalid_request"),
        (json!({ "cameras": ["unknown"] }), "unknown_camera"),
        (json!({ "cameras": ["a/b"] }), "invalid_id"),
        (json!({ "per_minute": 0 }), "invalid_request"),
        (json!({ "quiet_hours": [{ "from": "8", "to": "9" }] }), "invalid_request"),
        (json!({ "time_zone": "Mars" }), "invalid_request"),
        (json!({ "label": "x".repeat(101) }), "invalid_request"),
        (json!({ "user": "a\nb" }), "invalid_request"),
        (json!({ "unknown": 1 }), "invalid_request"),
    ] {
        let body = merged(merged(good(), json!({ "endpoint": "https://8.8.8.8/x" })), fields);
        let refused = manager.post(SUBSCRIPTIONS, &body).await;
        assert_eq!(refused.body["code"], code, "{body}: {refused:?}");
    }
    assert!(listed(&manager, "").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_are_checked_again_for_each_connection() {
    let server = PushServer::start().await;
    let manager = start(&server, &[]).await;
    let id = subscribe(&manager, "", server.subscription("/x"), json!({})).await;
    let test = format!("{SUBSCRIPTIONS}/{id}/test");
    assert_eq!(manager.post(&test, &Value::Null).await.status, 204);
    assert_eq!(server.receives("/x", 1).await.content["type"], "test");
    let key = manager.get("/api/push/key").await.body;
    let manager = restart(manager, &server.settings()[..1]).await;
    assert_eq!(manager.get("/api/push/key").await.body, key, "the key is kept");
    let refused = manager.post(&test, &Value::Null).await;
    assert_eq!((refused.status.as_u16(), &refused.body["code"]), (502, &json!("push_failed")));
    assert!(refused.body["detail"].as_str().expect("a text").contains("PUSH_ALLOW_NETS"));
    assert_eq!(server.pushed("/x").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_reports_what_the_push_server_says() {
    let server = PushServer::start().await;
    let manager = start(&server, &[]).await;
    // Quiet hours and the limit do not apply to tests.
    let quiet = json!({ "quiet_hours": [{ "from": "00:00", "to": "24:00" }] });
    let id = subscribe(&manager, "", server.subscription("/x"), quiet).await;
    let test = format!("{SUBSCRIPTIONS}/{id}/test");
    report(&manager, "cam", "in the night").await;
    for number in 1..=2 {
        assert_eq!(manager.post(&test, &Value::Null).await.status, 204);
        assert_eq!(server.pushed("/x").len(), number, "{:?}", server.texts("/x"));
    }
    server.answer("/x", &[Answer::Status(403), Answer::Status(410)]);
    let refused = manager.post(&test, &Value::Null).await;
    assert_eq!(refused.body["code"], "push_failed");
    assert!(refused.body["detail"].as_str().expect("a text").contains("403"), "{refused:?}");
    assert_eq!(manager.post(&test, &Value::Null).await.body["code"], "push_failed");
    assert_eq!(manager.post(&test, &Value::Null).await.body["code"], "unknown_subscription");
    assert!(server.texts("/x").iter().all(|text| text == "Notifications work"));
}

#[tokio::test(flavor = "multi_thread")]
async fn notifications_are_limited_for_each_camera_and_stop_in_quiet_hours() {
    let server = PushServer::start().await;
    let manager = start(&server, &[]).await;
    add(&manager, "", "other", json!({})).await;
    subscribe(&manager, "", server.subscription("/one"), json!({})).await;
    subscribe(&manager, "", server.subscription("/three"), json!({ "per_minute": 3 })).await;
    subscribe(&manager, "", server.subscription("/all"), json!({ "per_minute": 60 })).await;
    for number in 1..=5 {
        report(&manager, "cam", &format!("event {number}")).await;
    }
    report(&manager, "other", "the end").await;
    server.receives("/one", 2).await;
    server.receives("/three", 4).await;
    assert_eq!(server.texts("/one"), ["event 1", "the end"]);
    assert_eq!(server.texts("/three"), ["event 1", "event 2", "event 3", "the end"]);
    // The same browser subscribes again, with quiet hours.
    let body = merged(
        server.subscription("/three"),
        json!({
            "types": ["reported"], "per_minute": 60, "quiet_hours": [{ "from": "00:00", "to": "24:00" }],
        }),
    );
    let replaced = manager.post(SUBSCRIPTIONS, &body).await;
    assert_eq!(replaced.status, 200, "{replaced:?}");
    report(&manager, "cam", "in the night").await;
    server.receives("/all", 7).await;
    let awake = merged(body, json!({ "quiet_hours": [] }));
    assert_eq!(manager.post(SUBSCRIPTIONS, &awake).await.status, 200);
    report(&manager, "cam", "in the morning").await;
    server.receives("/three", 5).await;
    assert_eq!(server.texts("/three")[4], "in the morning");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_events_of_the_subscribers_own_cameras_are_pushed() {
    let server = PushServer::start().await;
    let manager = start(&server, &[("API_KEYS", KEYS)]).await;
    add(&manager, BOSS, "own", json!({ "owner": "42" })).await;
    add(&manager, BOSS, "foreign", json!({ "owner": "43" })).await;
    let many = || json!({ "per_minute": 60 });
    subscribe(&manager, USER, server.subscription("/user"), many()).await;
    subscribe(&manager, WALL, server.subscription("/wall"), many()).await;
    let anna = merged(many(), json!({ "user": "anna", "owner": "43" }));
    subscribe(&manager, BOSS, server.subscription("/anna"), anna).await;
    for camera in ["cam", "foreign", "own"] {
        report(&manager, camera, camera).await;
    }
    server.receives("/user", 1).await;
    // The camera gets another owner, so the former one loses the right to it.
    add(&manager, BOSS, "own", json!({ "owner": "43" })).await;
    report(&manager, "own", "sold").await;
    server.receives("/anna", 2).await;
    add(&manager, BOSS, "own", json!({ "owner": "42" })).await;
    report(&manager, "own", "back").await;
    report(&manager, "foreign", "last").await;
    server.receives("/user", 2).await;
    server.receives("/wall", 6).await;
    server.receives("/anna", 3).await;
    assert_eq!(server.texts("/user"), ["own", "back"]);
    assert_eq!(server.texts("/wall"), ["cam", "foreign", "own", "sold", "back", "last"]);
    assert_eq!(server.texts("/anna"), ["foreign", "sold", "last"]);
    let counts = [BOSS, USER, WALL].map(|key| listed(&manager, key));
    let [boss, user, wall] = counts;
    assert_eq!([boss.await.len(), user.await.len(), wall.await.len()], [3, 1, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_survive_a_restart_and_end_with_their_api_key() {
    let server = PushServer::start().await;
    let manager = start(&server, &[("API_KEYS", KEYS)]).await;
    let key = manager.call(BOSS, Method::GET, "/api/push/key", &Value::Null).await.body;
    let boss = subscribe(&manager, BOSS, server.subscription("/boss"), json!({})).await;
    let wall = subscribe(&manager, WALL, server.subscription("/wall"), json!({})).await;
    let user = subscribe(&manager, USER, server.subscription("/user"), json!({})).await;
    // The key `wall` is removed, and the key `42` gets another role.
    let fewer = "boss:admin:admin-secret-000001,42:viewer:user-secret-0000001,\
                 other:viewer:viewer-secret-00001";
    let settings = [&server.settings()[..], &[("API_KEYS", fewer)]].concat();
    let manager = restart(manager, &settings).await;
    let again = manager.call(BOSS, Method::GET, "/api/push/key", &Value::Null).await.body;
    assert_eq!(again, key);
    assert_eq!(listed(&manager, BOSS).await, [boss]);
    report(&manager, "cam", "after the restart").await;
    assert_eq!(server.receives("/boss", 1).await.content["body"], "after the restart");
    for ended in [wall, user] {
        let path = format!("{SUBSCRIPTIONS}/{ended}");
        let gone = manager.call(BOSS, Method::GET, &path, &Value::Null).await;
        assert_eq!(gone.body["code"], "unknown_subscription", "{gone:?}");
    }
    assert!(server.pushed("/wall").is_empty() && server.pushed("/user").is_empty());
}
