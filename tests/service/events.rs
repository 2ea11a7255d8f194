//! Events: stored, listed, followed as server-sent events, reported by back ends, and sent as webhooks.

use std::time::{Duration, Instant, SystemTime};

use nix::sys::signal::Signal;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;
use tokio::time::timeout;

use crate::support::{
    Camera, EventStream, Manager, Metrics, Nginx, OuterProxy, Receiver, eventually, merged, until,
};

const ADMIN: &str = "admin-secret-000001";
const USER: &str = "user-secret-0000001";
const OTHER: &str = "other-secret-000001";
const KEYS: &str =
    "boss:admin:admin-secret-000001,42:user:user-secret-0000001,43:user:other-secret-000001";
/// A camera at an address at which nothing listens.
const AWAY: &str = "rtsp://127.0.0.1:1/x";

async fn add(manager: &Manager, id: &str) {
    let response = manager.put(&format!("/api/cameras/{id}"), &json!({ "rtsp_link": AWAY })).await;
    assert_eq!(response.status, 201, "{response:?}");
}

/// Reports an event of a camera, and returns the stored event.
async fn report(manager: &Manager, camera: &str, fields: Value) -> Value {
    let event = merged(json!({ "type": "door" }), fields);
    let response = manager.post(&format!("/api/cameras/{camera}/events"), &event).await;
    assert!(response.status.is_success(), "{response:?}");
    response.body
}

/// Returns the events of a page, and the cursor of the next page.
async fn page(manager: &Manager, query: &str) -> (Vec<Value>, Option<String>) {
    let response = manager.get(&format!("/api/events?{query}")).await;
    assert_eq!(response.status, 200, "{response:?}");
    let events = response.body["events"].as_array().expect("a list").clone();
    (events, response.body["next"].as_str().map(str::to_owned))
}

async fn events(manager: &Manager, query: &str) -> Vec<Value> {
    page(manager, query).await.0
}

/// Returns one field of each event.
fn all<'a>(events: &'a [Value], field: &str) -> Vec<&'a Value> {
    events.iter().map(|event| &event[field]).collect()
}

async fn follow(manager: &Manager, query: &str, last_id: Option<&str>) -> EventStream {
    let url = manager.url(&format!("/api/events/stream?{query}"));
    EventStream::open(&reqwest::Client::new(), &url, last_id).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_to_streams_and_cameras_is_stored_and_followed() {
    let mut camera = Camera::start().await;
    let manager = Manager::start(&[("CHECK_INTERVAL_SECONDS", "1")]).await;
    let mut stream = follow(&manager, "", None).await;
    manager.play("cam", &camera.link("h264")).await;
    assert_eq!(stream.take(2).await, [(1, "stream.started".into()), (2, "stream.live".into())]);
    let stored = events(&manager, "").await;
    assert_eq!(all(&stored, "type"), ["stream.live", "stream.started"]);
    let live = &stored[0];
    assert_eq!(live["data"]["profile"], "main", "{live}");
    assert!(live["data"]["generation"].is_u64() && live["until"].is_null(), "{live}");
    camera.kill();
    let stopped = manager.stop_stream("cam").await;
    assert_eq!(stopped.status, 200, "{stopped:?}");
    let offline = eventually("the camera is offline", || async {
        events(&manager, "type=camera").await.pop()
    });
    let offline = offline.await;
    assert_eq!(offline["type"], "camera.offline", "{offline}");
    assert_eq!(offline["data"]["error"]["code"], "source_unreachable", "{offline}");
    let kinds = events(&manager, "type=stream.stopped&camera=cam").await;
    assert_eq!(all(&kinds, "type"), ["stream.stopped"], "{kinds:?}");
    let metrics = Metrics::until(&manager, "at least four events are stored", |metrics| {
        metrics.value("stream_manager_events_stored_total").is_some_and(|count| count >= 4.0)
    });
    assert_eq!(metrics.await.value("stream_manager_events_lost_total"), Some(0.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_are_stored_once_and_sent_as_signed_webhooks() {
    let receiver = Receiver::start(&[]).await;
    let url = receiver.url("/hooks");
    let secret = "a-shared-secret-of-manager-and-back-end";
    let manager =
        Manager::start(&[("WEBHOOK_URL", url.as_str()), ("WEBHOOK_SECRET", secret)]).await;
    add(&manager, "cam").await;
    let mut stream = follow(&manager, "camera=cam&type=reported", None).await;
    let now = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
    let event = json!({
        "type": "door", "id": "a/1", "at": now, "label": "Door \u{1f6aa}",
        "data": { "user": "<b>Anna</b>" },
    });
    let first = manager.post("/api/cameras/cam/events", &event).await;
    assert_eq!(first.status, 201, "{first:?}");
    let stored = first.body;
    let expected = json!({
        "id": 1, "type": "reported.door", "at": now, "until": null, "camera": "cam",
        "label": "Door \u{1f6aa}", "data": { "user": "<b>Anna</b>" }, "reported_id": "a/1",
        "repeats": 0, "seen": false,
    });
    assert_eq!(stored, expected);
    let again = manager.post("/api/cameras/cam/events", &event).await;
    assert_eq!((again.status.as_u16(), &again.body), (200, &stored));
    let end = merged(event.clone(), json!({ "until": now }));
    let ended = manager.post("/api/cameras/cam/events", &end).await;
    assert_eq!((ended.status.as_u16(), &ended.body["until"]), (200, &json!(now)));
    assert_eq!(events(&manager, "").await, std::slice::from_ref(&ended.body));
    let other = merged(event, json!({ "type": "alarm" }));
    let refused = manager.post("/api/cameras/cam/events", &other).await;
    assert_eq!((refused.status.as_u16(), &refused.body["code"]), (409, &json!("event_exists")));

    let (added, changed) = (stream.next().await, stream.next().await);
    let (added, changed) = (added.expect("an event"), changed.expect("a change"));
    assert_eq!((added.data, added.id), (stored, 1));
    assert_eq!((changed.data, changed.id), (ended.body, 2));

    until("the webhooks arrive", || async { receiver.webhooks().len() == 2 }).await;
    for (webhook, end) in receiver.webhooks().iter().zip([None, Some(now.as_str())]) {
        assert!(webhook.headers.contains_key("stream-manager-signature"));
        let body: Value = serde_json::from_slice(&webhook.raw).expect("JSON");
        assert_eq!(body["type"], "reported.door", "{body}");
        assert_eq!((&body["event"], &body["profile"]), (&json!(1), &Value::Null), "{body}");
        assert_eq!(body.get("until").and_then(Value::as_str), end, "{body}");
        assert_eq!(body["data"], json!({ "user": "<b>Anna</b>" }), "{body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_input_is_refused_in_every_field() {
    let manager = Manager::start(&[]).await;
    add(&manager, "cam").await;
    let long = "x".repeat(5000);
    let nested = json!({ "x": "y".repeat(4100) });
    for fields in [
        json!({ "type": "" }),
        json!({ "type": "x".repeat(51) }),
        json!({ "type": "Door" }),
        json!({ "type": "a..b" }),
        json!({ "type": "a/b" }),
        json!({ "type": "a\nid: 7" }),
        json!({ "type": "' OR 1=1 --" }),
        json!({ "type": 7 }),
        json!({ "id": "" }),
        json!({ "id": "a b" }),
        json!({ "id": "a\n" }),
        json!({ "id": long }),
        json!({ "at": "yesterday" }),
        json!({ "at": "2020-01-01T00:00:00Z" }),
        json!({ "at": "2100-01-01T00:00:00Z" }),
        json!({ "at": 1_795_255_200 }),
        json!({ "until": "2020-01-01T00:00:00Z" }),
        json!({ "until": "9999-01-01T00:00:00Z" }),
        json!({ "until": "2026-02-30T00:00:00Z" }),
        json!({ "label": "x".repeat(201) }),
        json!({ "label": "a\nb" }),
        json!({ "data": nested }),
        json!({ "data": [] }),
        json!({ "data": "x" }),
        json!({ "camera": "other" }),
        json!({ "seen": true }),
    ] {
        let body = merged(json!({ "type": "door" }), fields);
        let response = manager.post("/api/cameras/cam/events", &body).await;
        assert_eq!(response.status, 400, "{body}: {response:?}");
    }
    for (path, status) in [
        ("/api/cameras/none/events", 404),
        ("/api/cameras/..%2Fcam/events", 400),
        ("/api/cameras/cam'/events", 400),
    ] {
        let response = manager.post(path, &json!({ "type": "door" })).await;
        assert_eq!(response.status, status, "{path}: {response:?}");
    }
    for query in [
        "camera=..%2Fcam",
        "camera=a%27%20OR%201=1",
        "type=stream.lived",
        "type=%27%20OR%201=1",
        "type=stream%25",
        "from=x",
        "to=2026-01-01",
        "seen=maybe",
        "limit=0",
        "limit=501",
        "limit=-1",
        "cursor=x",
        "cursor=Jw",
        "cursor=MS4xLjE",
        "cursor=MScuMQ",
        "order=asc",
    ] {
        let response = manager.get(&format!("/api/events?{query}")).await;
        assert_eq!(response.status, 400, "{query}: {response:?}");
    }
    for query in ["camera=..%2Fcam", "type=x", "from=2026-01-01T00:00:00Z", "x=1"] {
        let response = manager.get(&format!("/api/events/stream?{query}")).await;
        assert_eq!(response.status, 400, "{query}: {response:?}");
    }
    for body in [
        json!({}),
        json!({ "id": 1, "up_to": 1 }),
        json!({ "id": "1" }),
        json!({ "up_to": 1, "camera": "../cam" }),
        json!({ "up_to": 1, "type": "x" }),
        json!({ "up_to": 1, "from": "yesterday" }),
    ] {
        let response = manager.post("/api/events/seen", &body).await;
        assert_eq!(response.status, 400, "{body}: {response:?}");
    }
    assert_eq!(events(&manager, "").await, [] as [Value; 0]);
    // An end without a beginning is valid for a known id only.
    let early = json!({ "type": "door", "id": "a", "until": "2020-01-01T00:00:00Z" });
    report(&manager, "cam", json!({ "id": "a" })).await;
    assert_eq!(manager.post("/api/cameras/cam/events", &early).await.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_neither_repeat_nor_leave_out_events_while_further_ones_happen() {
    let manager = Manager::start(&[]).await;
    add(&manager, "cam").await;
    for _ in 0..25 {
        report(&manager, "cam", json!({})).await;
    }
    let (mut found, mut query) = (Vec::new(), "limit=10".to_owned());
    loop {
        let (events, next) = page(&manager, &query).await;
        found.extend(events.iter().map(|event| event["id"].as_i64().expect("an id")));
        report(&manager, "cam", json!({})).await;
        let Some(next) = next else { break };
        query = format!("limit=10&cursor={next}");
    }
    assert_eq!(found, (1..=25).rev().collect::<Vec<_>>());
    assert_eq!(events(&manager, "limit=5").await.len(), 5);

    let later = json!({ "up_to": 28, "from": "2100-01-01T00:00:00Z" });
    let marked = manager.post("/api/events/seen", &later).await;
    assert_eq!(marked.body, json!({ "marked": 0 }));
    let earlier = json!({ "up_to": 20, "camera": "cam", "to": "2100-01-01T00:00:00Z" });
    let marked = manager.post("/api/events/seen", &earlier).await;
    assert_eq!(marked.body, json!({ "marked": 20 }));
    let marked = manager.post("/api/events/seen", &json!({ "id": 25 })).await;
    assert_eq!(marked.body, json!({ "marked": 1 }));
    assert_eq!(events(&manager, "seen=true").await.len(), 21);
    let unseen = events(&manager, "seen=false&limit=500").await;
    assert_eq!(all(&unseen, "id"), [28, 27, 26, 24, 23, 22, 21]);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_counted_by_hour() {
    let manager = Manager::start(&[("API_KEYS", KEYS)]).await;
    let call = async |key: &str, method, path: &str, body: Value| {
        manager.call(key, method, path, &body).await
    };
    let put = async |id: &str, owner: &str| {
        let body = json!({ "rtsp_link": AWAY, "owner": owner });
        let response = call(ADMIN, Method::PUT, &format!("/api/cameras/{id}"), body).await;
        assert!(response.status.is_success(), "{response:?}");
    };
    put("own", "42").await;
    put("foreign", "43").await;
    // The second hour of the day before yesterday.
    let day = humantime::format_rfc3339_seconds(SystemTime::now() - Duration::from_hours(48));
    let day = day.to_string()[..10].to_owned();
    let report = async |id: &str, kind: &str, at: &str| {
        let event = json!({ "type": kind, "at": format!("{day}T{at}") });
        let response = call(ADMIN, Method::POST, &format!("/api/cameras/{id}/events"), event).await;
        assert_eq!(response.status, 201, "{response:?}");
    };
    for at in ["00:59:59.999Z", "01:00:00Z", "02:59:59.999+01:00", "03:30:00Z"] {
        report("own", "door", at).await;
    }
    report("own", "alarm", "01:00:00Z").await;
    report("foreign", "door", "01:10:00Z").await;
    let counts = async |key: &str, query: &str| {
        let path = format!("/api/events/counts?{query}");
        let response = call(key, Method::GET, &path, Value::Null).await;
        assert_eq!(response.status, 200, "{query}: {response:?}");
        let hours = response.body["hours"].as_array().expect("a list").clone();
        let text = |count: &Value, field: &str| count[field].as_str().expect("a text").to_owned();
        let hours = hours.iter().map(|count| {
            let hour = text(count, "hour");
            let hour = hour.strip_prefix(&day).expect("the day").to_owned();
            (hour, text(count, "camera"), text(count, "type"), count["count"].as_i64())
        });
        hours.collect::<Vec<_>>()
    };
    let count = |hour: &str, camera: &str, kind: &str, count: i64| {
        (hour.to_owned(), camera.to_owned(), format!("reported.{kind}"), Some(count))
    };
    let of_own = [
        count("T00:00:00Z", "own", "door", 1),
        count("T01:00:00Z", "own", "alarm", 1),
        count("T01:00:00Z", "own", "door", 2),
        count("T03:00:00Z", "own", "door", 1),
    ];
    let all = format!("from={day}T00:00:00Z");
    assert_eq!(counts(USER, &all).await, of_own);
    assert_eq!(counts(OTHER, &all).await, [count("T01:00:00Z", "foreign", "door", 1)]);
    assert_eq!(counts(ADMIN, &all).await.len(), 5);
    assert_eq!(counts(ADMIN, &format!("{all}&camera=own")).await, of_own);
    assert_eq!(counts(ADMIN, &format!("{all}&type=reported")).await.len(), 5);
    let alarms = counts(ADMIN, &format!("{all}&type=reported.alarm")).await;
    assert_eq!(alarms, [count("T01:00:00Z", "own", "alarm", 1)]);
    let part = format!("camera=own&from={day}T01:30:00Z&to={day}T03:30:00Z");
    assert_eq!(counts(ADMIN, &part).await, [count("T01:00:00Z", "own", "door", 1)]);
    assert_eq!(counts(ADMIN, "").await, [], "the last 24 hours");
    put("own", "43").await;
    assert_eq!((counts(USER, &all).await.len(), counts(OTHER, &all).await.len()), (0, 1));
    for (query, status) in [
        ("from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00.001Z", 400),
        ("from=2020-01-01T00:00:00Z", 400),
        ("from=x", 400),
        ("type=x", 400),
        ("camera=..%2Fx", 400),
        ("seen=true", 400),
        ("limit=1", 400),
        ("from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00Z", 200),
        ("from=2026-02-01T00:00:00Z&to=2026-01-01T00:00:00Z", 200),
    ] {
        let path = format!("/api/events/counts?{query}");
        let response = call(ADMIN, Method::GET, &path, Value::Null).await;
        assert_eq!(response.status, status, "{query}: {response:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn followers_continue_without_a_gap_and_learn_when_events_are_gone() {
    let mut manager = Manager::start(&[("EVENTS_MAX_COUNT", "1000")]).await;
    add(&manager, "cam").await;
    add(&manager, "other").await;
    let mut stream = follow(&manager, "camera=cam", None).await;
    report(&manager, "cam", json!({ "id": "first" })).await;
    report(&manager, "other", json!({})).await;
    report(&manager, "cam", json!({})).await;
    let door = || "reported.door".to_owned();
    assert_eq!(stream.take(2).await, [(1, door()), (3, door())]);
    let last_id = stream.last_id.to_string();
    drop(stream);
    // While the client is away: a new event, and the end of an old one. The manager is restarted as well.
    report(&manager, "cam", json!({})).await;
    manager.signal(Signal::SIGTERM);
    assert_eq!(manager.exit_code().await, 0);
    let manager = manager.start_again(&[("EVENTS_MAX_COUNT", "1000")]).await;
    let end = SystemTime::now() + Duration::from_hours(1);
    let end = humantime::format_rfc3339_millis(end).to_string();
    let far = json!({ "id": "first", "until": end });
    let ended = report(&manager, "cam", far).await;
    let mut stream = follow(&manager, "camera=cam", Some(&last_id)).await;
    assert_eq!(stream.take(2).await, [(4, door()), (1, door())]);
    report(&manager, "cam", json!({})).await;
    let next = stream.next().await.expect("an event");
    assert_eq!((next.data["id"].as_i64(), next.id), (Some(6), 6));
    assert_eq!(ended["until"], end);
    // From the beginning, with each event once.
    let mut stream = follow(&manager, "camera=cam", Some("0")).await;
    let ids: Vec<_> = stream.take(4).await.into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids, [3, 4, 1, 6]);

    for unknown in ["7", "999999999999", "-1", "x", "1 OR 1=1"] {
        let mut stream = follow(&manager, "", Some(unknown)).await;
        let reset = stream.next().await.expect("a message");
        assert_eq!((reset.name.as_str(), reset.id), ("reset", 6), "{unknown}");
        assert_eq!(reset.data, json!({ "last_event_id": 6 }));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_above_the_limit_are_deleted_and_followers_are_reset() {
    let settings = [("EVENTS_MAX_COUNT", "1000")];
    let mut manager = Manager::start(&settings).await;
    for camera in ["a", "b"] {
        add(&manager, camera).await;
        for _ in 0..550 {
            report(&manager, camera, json!({})).await;
        }
    }
    // Old events are deleted every minute, and when the manager starts.
    manager.signal(Signal::SIGTERM);
    assert_eq!(manager.exit_code().await, 0);
    let manager = manager.start_again(&settings).await;
    until("old events are deleted", || async {
        let (mut count, mut query) = (0, "limit=500".to_owned());
        loop {
            let (events, next) = page(&manager, &query).await;
            count += events.len();
            let Some(next) = next else { break count == 1000 };
            query = format!("limit=500&cursor={next}");
        }
    })
    .await;
    let mut stream = follow(&manager, "", Some("99")).await;
    assert_eq!(stream.next().await.expect("a message").name, "reset");
    let mut stream = follow(&manager, "", Some("100")).await;
    assert_eq!(stream.next().await.expect("an event").data["id"], 101);
}

#[tokio::test(flavor = "multi_thread")]
async fn owners_and_sessions_get_only_the_events_of_their_cameras() {
    let manager = Manager::start(&[("API_KEYS", KEYS)]).await;
    let call = async |key: &str, method, path: &str, body: Value| {
        let response = manager.call(key, method, path, &body).await;
        assert!(response.status.is_success(), "{path}: {response:?}");
        response.body
    };
    let put = async |id: &str, owner: &str| {
        let body = json!({ "rtsp_link": AWAY, "owner": owner });
        call(ADMIN, Method::PUT, &format!("/api/cameras/{id}"), body).await
    };
    let report = async |id: &str| {
        call(ADMIN, Method::POST, &format!("/api/cameras/{id}/events"), json!({ "type": "door" }))
            .await
    };
    let seen_by = async |key: &str| {
        let body = call(key, Method::GET, "/api/events", Value::Null).await;
        let list = body["events"].as_array().expect("a list").clone();
        list.iter().map(|event| event["id"].as_i64().expect("an id")).collect::<Vec<_>>()
    };
    put("own", "42").await;
    put("foreign", "43").await;
    let session = async |key: &str, camera: &str| {
        let body = json!({ "user": "anna", "camera": camera });
        call(key, Method::POST, "/api/playback/sessions", body).await
    };
    let (user, admin) = (session(USER, "own").await, session(ADMIN, "own").await);
    let nginx = Nginx::start(&manager).await;
    let of_session = async |session: &Value, camera: &str, last_id| {
        let token = session["token"].as_str().expect("a token");
        let url = nginx.url(&format!("/play/{token}/{camera}/events"));
        let client = reqwest::Client::new();
        let response = client.get(&url).send().await.expect("a response");
        if response.status() != 200 {
            return Err(response.status().as_u16());
        }
        Ok(EventStream::open(&client, &url, last_id).await)
    };
    let mut of_user = of_session(&user, "own", None).await.expect("a stream");
    let mut of_admin = of_session(&admin, "own", None).await.expect("a stream");
    let mut of_key = EventStream::open(
        &Manager::client_with("x-api-key", USER),
        &manager.url("/api/events/stream"),
        None,
    )
    .await;
    assert_eq!(of_session(&user, "foreign", None).await.err(), Some(403));
    report("foreign").await;
    report("own").await;
    for stream in [&mut of_user, &mut of_admin, &mut of_key] {
        assert_eq!(stream.take(1).await, [(2, "reported.door".to_owned())]);
    }
    assert_eq!((seen_by(ADMIN).await, seen_by(USER).await), (vec![2, 1], vec![2]));
    assert_eq!(seen_by(OTHER).await, [1]);
    let marked = call(USER, Method::POST, "/api/events/seen", json!({ "up_to": 9 })).await;
    assert_eq!(marked["marked"], 1, "a user marks only own events");

    // The new owner gets none of the old events, and the old owner none of the new ones.
    put("own", "43").await;
    report("own").await;
    assert_eq!((seen_by(USER).await, seen_by(OTHER).await), (vec![], vec![3, 1]));
    assert_eq!(of_admin.take(1).await, [(3, "reported.door".to_owned())]);
    assert!(of_user.next().await.is_none(), "the session has ended");
    let refused = of_key.next_within(Duration::from_millis(300)).await;
    assert!(refused.is_none(), "{refused:?}");

    // A new camera with the same id gets no old events.
    call(ADMIN, Method::DELETE, "/api/cameras/own", Value::Null).await;
    put("own", "43").await;
    assert_eq!((seen_by(ADMIN).await, seen_by(OTHER).await), (vec![1], vec![1]));
    let mut of_new = of_session(&admin, "own", Some("0")).await.expect("a stream");
    report("own").await;
    assert_eq!(of_new.take(1).await, [(4, "reported.door".to_owned())]);
    let id = admin["session_id"].as_str().expect("an id");
    let path = format!("/api/playback/sessions/{id}");
    call(ADMIN, Method::DELETE, &path, Value::Null).await;
    assert!(of_new.next().await.is_none(), "the session has ended");
    assert_eq!(of_session(&admin, "own", None).await.err(), Some(401));
    assert!(!manager.log().contains("secret-0"), "the log contains an API key");
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_and_proxies_in_front_of_it_pass_each_event_on_at_once() {
    let manager = Manager::start(&[("API_KEYS", KEYS)]).await;
    let nginx = Nginx::start(&manager).await;
    let client = Manager::client_with("x-api-key", ADMIN);
    let path = "/api/cameras/cam";
    let body = json!({ "rtsp_link": AWAY });
    assert_eq!(manager.call(ADMIN, Method::PUT, path, &body).await.status, 201);
    let pass = format!("proxy_http_version 1.1; proxy_pass http://{};", nginx.address());
    let proxies = [
        OuterProxy::nginx(&format!("location / {{ {pass} }}")).await,
        OuterProxy::caddy(&format!("reverse_proxy {}", nginx.address())).await,
    ];
    let mut streams = Vec::new();
    for path in ["/api/events/stream", "/streams/cam/events"] {
        streams.push(EventStream::open(&client, &nginx.url(path), None).await);
        for proxy in &proxies {
            streams.push(EventStream::open(&client, &proxy.url(path), None).await);
        }
    }
    for _ in 0..3 {
        let began = Instant::now();
        let door = json!({ "type": "door" });
        let path = "/api/cameras/cam/events";
        assert_eq!(manager.call(ADMIN, Method::POST, path, &door).await.status, 201);
        for stream in &mut streams {
            stream.next().await.expect("an event");
        }
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_costs_little_and_is_disconnected() {
    let manager = Manager::start(&[("RUST_LOG", "info,stream_manager::api::events=debug")]).await;
    for camera in ["a", "b", "c"] {
        add(&manager, camera).await;
    }
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small buffer");
    let mut silent =
        socket.connect(manager.address().parse().expect("an address")).await.expect("a connection");
    let request = "GET /api/events/stream HTTP/1.1\r\nHost: localhost\r\n\r\n";
    silent.write_all(request.as_bytes()).await.expect("sent");
    let mut other = follow(&manager, "", None).await;
    // 7 MB, which is more than the connection's buffers.
    let data = json!({ "x": "y".repeat(4000) });
    let mut count = 0;
    for number in 0..1750 {
        let camera = ["a", "b", "c"][number % 3];
        report(&manager, camera, json!({ "data": data })).await;
        count += 1;
    }
    let mut last = 0;
    while last < count {
        last = other.next().await.expect("an event").id;
    }
    until("the manager gives up", || async { manager.log().contains("events have ended") }).await;
    // What was sent in the meantime is in buffers.
    let (mut received, mut buffer) = (Vec::new(), vec![0; 65536]);
    while !received.ends_with(b"\r\n0\r\n\r\n") {
        match timeout(Duration::from_secs(10), silent.read(&mut buffer)).await.expect("in time") {
            Ok(0) | Err(_) => break,
            Ok(read) => received.extend_from_slice(&buffer[..read]),
        }
    }
    assert!(received.len() < 4_000_000, "{} bytes were kept for the client", received.len());
    report(&manager, "a", json!({})).await;
    assert!(other.next().await.is_some(), "other clients are not affected");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_event_is_lost_when_the_disk_of_the_database_is_full_for_a_while() {
    let camera = Camera::start().await;
    let settings = [("DATABASE_URL", "sqlite:disk/streams.db")];
    let (manager, disk) = Manager::start_with_disk("4m", &settings).await;
    let link = json!({ "rtsp_link": camera.link("h264") });
    assert_eq!(manager.put("/api/cameras/cam", &link).await.status, 201);
    disk.fill();
    // The database's write-ahead log already has space for a few more events.
    let data = json!({ "x": "y".repeat(4000) });
    let door = json!({ "type": "door", "data": data });
    let refused = eventually("a report is refused", || async {
        let response = manager.post("/api/cameras/cam/events", &door).await;
        (response.status != 201).then_some(response)
    });
    let refused = refused.await;
    assert_eq!(refused.status, 503, "{refused:?}");
    assert_eq!(refused.body["code"], "storage_unavailable", "{refused:?}");
    let before = events(&manager, "limit=500&type=stream").await.len();
    // Streams work, and their events wait.
    let start = json!({ "indicator_id": "cam" });
    assert_eq!(manager.post("/api/stream/start", &start).await.status, 200);
    assert_eq!(manager.stop_stream("cam").await.status, 200);
    assert_eq!(events(&manager, "limit=500&type=stream").await.len(), before);
    assert!(manager.log().contains("cannot store events"), "{}", manager.log());
    disk.free();
    until("the events are stored", || async {
        let stored = events(&manager, "type=stream").await;
        all(&stored, "type") == ["stream.stopped", "stream.live", "stream.started"]
    })
    .await;
    assert_eq!(manager.post("/api/cameras/cam/events", &door).await.status, 201);
    let metrics = Metrics::fetch(&manager).await;
    assert_eq!(metrics.value("stream_manager_events_lost_total"), Some(0.0));
    assert!(manager.log().contains("events are stored in the database again"), "{}", manager.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn events_survive_a_restart_and_followers_get_the_last_ones() {
    let camera = Camera::start().await;
    let mut manager = Manager::start(&[]).await;
    manager.play("cam", &camera.link("h264")).await;
    let mut stream = follow(&manager, "", Some("0")).await;
    manager.signal(Signal::SIGTERM);
    let expected = ["stream.started", "stream.live", "stream.stopped"];
    let followed: Vec<_> = stream.take(3).await.into_iter().map(|(_, kind)| kind).collect();
    assert_eq!(followed, expected);
    assert!(stream.next().await.is_none(), "the response ends");
    assert_eq!(manager.exit_code().await, 0);
    assert!(!manager.log().contains("did not close in time"), "{}", manager.log());
    let manager = manager.start_again(&[]).await;
    let stored = events(&manager, "").await;
    assert_eq!(all(&stored, "type"), ["stream.stopped", "stream.live", "stream.started"]);
    assert_eq!(stored[0]["data"]["reason"], "shutdown");
    // What was stored survives even if the manager is killed.
    report(&manager, "cam", json!({ "id": "a" })).await;
    manager.signal(Signal::SIGKILL);
    let mut manager = manager;
    manager.exit_code().await;
    let manager = manager.start_again(&[]).await;
    let last = report(&manager, "cam", json!({ "id": "a" })).await;
    assert_eq!(last["id"], 4, "the report is known");
}
