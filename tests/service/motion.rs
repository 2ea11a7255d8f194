//! Motion in front of cameras: events, the choice of the stream, recordings, and failures of the decoder.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::recordings::RECORDINGS;
use crate::support::{
    EventStream, Manager, Metrics, RawCamera, Receiver, eventually, merged, send_signal, until,
};

/// A camera in front of which a box moves from 3 to 5 s, and then every 16 s.
const WALK: &str = "--video h264-walk";
/// A part of the picture outside of which nothing moves.
const LOWER: [[f32; 2]; 4] = [[0.0, 0.2], [1.0, 0.2], [1.0, 0.9], [0.0, 0.9]];

/// Adds or changes a camera.
async fn put(manager: &Manager, id: &str, camera: Value) {
    let response = manager.put(&format!("/api/cameras/{id}"), &camera).await;
    assert!(response.status.is_success(), "{response:?}");
}

async fn motion(manager: &Manager, id: &str) -> Value {
    let response = manager.get(&format!("/api/cameras/{id}/motion")).await;
    assert_eq!(response.status, 200, "{response:?}");
    response.body
}

async fn follow(manager: &Manager, query: &str) -> EventStream {
    let url = manager.url(&format!("/api/events/stream?{query}"));
    EventStream::open(&reqwest::Client::new(), &url, None).await
}

async fn stored(manager: &Manager, query: &str) -> Vec<Value> {
    let response = manager.get(&format!("/api/events?{query}")).await;
    assert_eq!(response.status, 200, "{response:?}");
    response.body["events"].as_array().expect("a list").clone()
}

fn time(value: &Value) -> SystemTime {
    humantime::parse_rfc3339(value.as_str().expect("a time")).expect("a time")
}

/// Returns the seconds from one time to another.
fn seconds(from: SystemTime, to: SystemTime) -> f64 {
    match to.duration_since(from) {
        Ok(time) => time.as_secs_f64(),
        Err(error) => -error.duration().as_secs_f64(),
    }
}

/// Returns the process IDs of the FFmpegs that make grey pictures.
fn analysts(manager: &Manager) -> Vec<u32> {
    let is_analyst = |pid: &u32| {
        let arguments = std::fs::read(Path::new("/proc").join(pid.to_string()).join("cmdline"));
        String::from_utf8_lossy(&arguments.unwrap_or_default()).contains("rawvideo")
    };
    manager.ffmpegs().into_iter().filter(is_analyst).collect()
}

fn assert_is_box_of_walk(one: &Value) {
    let part = |name: &str| one[name].as_f64().expect("a number");
    // The box is 40×80 of 320×192 pixels, and 60 pixels below the upper border.
    assert!((0.2..0.45).contains(&part("top")), "{one}");
    assert!((0.2..0.6).contains(&part("height")), "{one}");
    assert!((0.05..0.4).contains(&part("width")), "{one}");
}

#[tokio::test(flavor = "multi_thread")]
async fn motion_in_the_sub_stream_is_one_event() {
    let (main, sub) = (RawCamera::start("").await, RawCamera::start(WALK).await);
    let receiver = Receiver::start(&[]).await;
    let url = receiver.url("/hooks");
    let settings = [
        ("WEBHOOK_URL", url.as_str()),
        ("CLEANUP_DELAY_SECONDS", "2"),
        ("CLEANUP_INTERVAL_SECONDS", "1"),
    ];
    let manager = Manager::start(&settings).await;
    let off = json!({ "rtsp_link": main.link(), "rtsp_link_sub": sub.link() });
    let with = |motion: Value| {
        let mut camera = off.clone();
        camera["motion"] = motion;
        camera
    };
    put(&manager, "cam", off.clone()).await;
    assert_eq!(motion(&manager, "cam").await["source"], "off");
    let mut events = follow(&manager, "type=motion").await;
    let requested_at = SystemTime::now();
    put(&manager, "cam", with(json!({ "source": "pictures" }))).await;
    let zone = json!({ "effect": "ignore", "corners": LOWER });
    put(&manager, "ignored", with(json!({ "source": "pictures", "zones": [zone] }))).await;

    let begun = events.next().await.expect("an event").data;
    let status = motion(&manager, "cam").await;
    assert_eq!((&begun["type"], &begun["camera"]), (&json!("motion"), &json!("cam")), "{begun}");
    assert!(begun["until"].is_null() && begun["reported_id"].is_null(), "{begun}");
    assert_eq!(begun["data"]["source"], "pictures", "{begun}");
    assert_is_box_of_walk(&begun["data"]["boxes"][0]);
    let at = time(&begun["at"]);
    // The camera begins to send when the stream starts.
    assert!((2.5..12.0).contains(&seconds(requested_at, at)), "{begun}");
    assert_eq!((&status["profile"], &status["moving"]), (&json!("sub"), &json!(true)), "{status}");
    assert!(status["picture_age_seconds"].as_f64().expect("an age") < 5.0, "{status}");
    let rate = status["pictures_per_second"].as_f64().expect("a rate");
    assert!(rate > 0.0 && rate <= 5.0, "{status}");

    let ended = events.next().await.expect("the end").data;
    assert_eq!((&ended["id"], &ended["at"]), (&begun["id"], &begun["at"]), "{ended}");
    assert!((1.0..3.0).contains(&seconds(at, time(&ended["until"]))), "{ended}");
    let peak = ended["data"]["peak"].as_f64().expect("a part of the picture");
    assert!((0.01..0.2).contains(&peak), "{ended}");
    assert_is_box_of_walk(&ended["data"]["boxes"][0]);
    let status = motion(&manager, "cam").await;
    assert_eq!((&status["moving"], &status["boxes"]), (&json!(false), &json!([])), "{status}");
    assert_eq!(motion(&manager, "ignored").await["profile"], "sub");
    let all = stored(&manager, "type=motion").await;
    assert_eq!(all, std::slice::from_ref(&ended), "a zone is ignored");
    assert_eq!(main.connections(), 0, "the main stream is not needed");
    until("the webhooks arrive", || async { webhooks(&receiver).len() == 2 }).await;
    let [first, second] = webhooks(&receiver).try_into().expect("two");
    assert_eq!((&first["event"], &first["until"]), (&begun["id"], &Value::Null), "{first}");
    assert_eq!((&second["event"], &second["until"]), (&begun["id"], &ended["until"]), "{second}");
    assert_eq!(second["data"], ended["data"]);
    let metrics = Metrics::fetch(&manager).await;
    assert_eq!(metrics.value("stream_manager_analysed_cameras"), Some(2.0));
    let pictures = metrics.value("stream_manager_analysed_pictures_total").expect("a metric");
    assert!(pictures > 50.0, "{pictures}");

    for id in ["cam", "ignored"] {
        put(&manager, id, with(json!({ "source": "off" }))).await;
    }
    until("nothing runs", || async { manager.ffmpegs().is_empty() }).await;
    let metrics = Metrics::fetch(&manager).await;
    assert_eq!(metrics.value("stream_manager_analysed_cameras"), Some(0.0));
}

/// Returns the webhooks about motion.
fn webhooks(receiver: &Receiver) -> Vec<Value> {
    let all = receiver.webhooks();
    let bodies = all.iter().map(|it| serde_json::from_slice(&it.raw).expect("JSON"));
    bodies.filter(|body: &Value| body["type"] == "motion").collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn motion_is_recorded_with_the_seconds_before_it() {
    let camera = RawCamera::start(WALK).await;
    let manager = Manager::start(&[RECORDINGS]).await;
    let events = json!({ "types": ["motion"], "before_seconds": 2, "after_seconds": 1 });
    let options = json!({
        "rtsp_link": camera.link(),
        "recording": { "mode": "events", "events": events },
        "motion": { "source": "pictures" },
    });
    put(&manager, "cam", options).await;
    let (begun, ended) = eventually("the motion ends", || async {
        let event = stored(&manager, "type=motion").await.pop()?;
        (!event["until"].is_null()).then(|| (time(&event["at"]), time(&event["until"])))
    })
    .await;
    assert_eq!(motion(&manager, "cam").await["profile"], "main");
    assert!((1.0..3.0).contains(&seconds(begun, ended)));
    let path = "/api/recordings/cam?from=2026-01-01T00:00:00Z&to=2100-01-01T00:00:00Z";
    let now = SystemTime::now();
    let text = |time| humantime::format_rfc3339_millis(time).to_string();
    let (from, to) = (text(now - Duration::from_mins(5)), text(now + Duration::from_mins(5)));
    let path = path.replace("2026-01-01T00:00:00Z", &from).replace("2100-01-01T00:00:00Z", &to);
    let span = eventually("the recording is complete", || async {
        let timeline = manager.get(&path).await;
        assert_eq!(timeline.status, 200, "{timeline:?}");
        let span = timeline.body["spans"].as_array()?.first()?.clone();
        (span["event"] == true && seconds(ended, time(&span["to"])) > 0.3).then_some(span)
    })
    .await;
    let (before, after) = (seconds(time(&span["from"]), begun), seconds(ended, time(&span["to"])));
    // Keyframes are two seconds apart, and decisions are made once a second.
    assert!((1.5..5.5).contains(&before), "{before} s before the motion: {span}");
    assert!(after < 6.0, "{after} s after the motion: {span}");
    assert_eq!(camera.connections(), 1, "the recording and the analysis share the stream");
}

#[tokio::test(flavor = "multi_thread")]
async fn motion_is_found_in_the_main_stream_while_the_sub_stream_fails() {
    let camera = RawCamera::start(WALK).await;
    let sub = RawCamera::start("--answer DESCRIBE:453:1000").await;
    let manager = Manager::start(&[]).await;
    let links = json!({ "rtsp_link": camera.link(), "rtsp_link_sub": sub.link() });
    let options = merged(links, json!({ "motion": { "source": "pictures" } }));
    put(&manager, "cam", options).await;
    let error = eventually("the sub stream has failed", || async {
        motion(&manager, "cam").await["error"].as_str().map(str::to_owned)
    });
    assert!(!error.await.is_empty());
    until("something moves", || async { motion(&manager, "cam").await["moving"] == true }).await;
    let status = motion(&manager, "cam").await;
    assert_eq!((&status["profile"], &status["error"]), (&json!("main"), &Value::Null), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_stream_is_not_analysed_until_its_next_start() {
    let camera = RawCamera::start(WALK).await;
    let manager = Manager::start(&[]).await;
    let with = |sensitivity: u8| {
        let motion = json!({ "source": "pictures", "sensitivity": sensitivity });
        json!({ "rtsp_link": camera.link(), "motion": motion })
    };
    let is_analysed = async || motion(&manager, "cam").await["profile"] == "main";
    put(&manager, "cam", with(50)).await;
    until("there are pictures", || async { is_analysed().await }).await;
    manager.stop_stream("cam").await;
    // Another option does not start the stream.
    for sensitivity in [50, 60] {
        put(&manager, "cam", with(sensitivity)).await;
        until("the reason is known", || async {
            let error = motion(&manager, "cam").await["error"].clone();
            error.as_str().is_some_and(|error| error.contains("was stopped"))
        })
        .await;
        let began = Instant::now();
        // The analysis tries again every two seconds.
        while began.elapsed() < Duration::from_secs(3) {
            assert_eq!(manager.status("cam").await["state"], "stopped");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    assert_eq!(camera.connections(), 1);
    let started = manager.post("/api/cameras/cam/stream/start", &json!({})).await;
    assert_eq!(started.status, 200, "{started:?}");
    until("there are pictures again", || async { is_analysed().await }).await;
    assert_eq!(camera.connections(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn motion_ends_with_the_manager() {
    let camera = RawCamera::start(WALK).await;
    let receiver = Receiver::start(&[]).await;
    let url = receiver.url("/hooks");
    let settings = [("WEBHOOK_URL", url.as_str())];
    let mut manager = Manager::start(&settings).await;
    let options = json!({ "rtsp_link": camera.link(), "motion": { "source": "pictures" } });
    put(&manager, "cam", options).await;
    until("something moves", || is_moving(&manager)).await;
    manager.signal(Signal::SIGTERM);
    assert_eq!(manager.exit_code().await, 0);
    let mut manager = manager.start_again(&settings).await;
    let event = stored(&manager, "type=motion").await.remove(0);
    assert!(seconds(time(&event["at"]), time(&event["until"])) > 0.0, "{event}");
    // The stream has started again, so the box moves again after three seconds.
    until("something moves", || is_moving(&manager)).await;
    manager.signal(Signal::SIGKILL);
    manager.exit_code().await;
    let manager = manager.start_again(&settings).await;
    let events = stored(&manager, "type=motion").await;
    assert_eq!(events.len(), 2, "{events:?}");
    assert_eq!(events[0]["until"], events[0]["at"], "the end is not known");
    let is_end = |webhook: &Value| {
        webhook["event"] == events[0]["id"] && webhook["until"] == events[0]["until"]
    };
    until("the end is sent", || async { webhooks(&receiver).iter().any(is_end) }).await;
}

/// Returns whether the last motion has not ended.
async fn is_moving(manager: &Manager) -> bool {
    stored(manager, "type=motion").await.first().is_some_and(|event| event["until"].is_null())
}

/// Sends a signal to the decoder, and asserts that motion is found afterwards, and that the stream goes on.
async fn find_motion_after(signal: Signal) {
    let camera = RawCamera::start(WALK).await;
    let manager = Manager::start(&[]).await;
    let options = json!({ "rtsp_link": camera.link(), "motion": { "source": "pictures" } });
    put(&manager, "cam", options).await;
    let decoder = eventually("a decoder runs", || async { analysts(&manager).pop() }).await;
    let others = || {
        let all = manager.ffmpegs().into_iter();
        all.filter(|pid| !analysts(&manager).contains(pid)).collect::<Vec<_>>()
    };
    let ingest = others();
    assert_eq!(ingest.len(), 1);
    send_signal(decoder, signal);
    let began = SystemTime::now();
    let event =
        eventually("motion is found", || async { stored(&manager, "type=motion").await.pop() });
    let event = event.await;
    assert!(seconds(began, time(&event["at"])) > 0.0, "{event}");
    let now = analysts(&manager);
    assert!(now.len() == 1 && now[0] != decoder, "{now:?} after {decoder}");
    assert_eq!((others(), camera.connections()), (ingest, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn motion_is_found_after_the_decoder_was_killed() {
    find_motion_after(Signal::SIGKILL).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes half a minute; ./deploy/test --long runs it"]
async fn motion_is_found_after_the_decoder_was_stopped() {
    find_motion_after(Signal::SIGSTOP).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn options_that_cannot_be_used_are_refused() {
    let manager = Manager::start(&[]).await;
    for (motion, part) in [
        (json!({ "source": "both" }), "source"),
        (json!({ "sensitivity": 0 }), "1 to 100"),
        (json!({ "zones": [{ "effect": "watch", "corners": [[0, 0], [1, 1]] }] }), "3 to 32"),
        (json!({ "zones": [{ "effect": "hide", "corners": LOWER }] }), "effect"),
        (json!({ "zones": [{ "effect": "watch", "corners": [[0, 0], [1, 0], [1]] }] }), "corners"),
        (json!({ "level": 3 }), "level"),
    ] {
        let camera = json!({ "rtsp_link": "rtsp://127.0.0.1:1/x", "motion": motion });
        let response = manager.put("/api/cameras/cam", &camera).await;
        assert_eq!(response.status, 400, "{response:?}");
        let detail = response.body["detail"].as_str().expect("a detail");
        assert!(detail.contains(part) || part == "corners", "{detail}");
    }
    let unknown = manager.get("/api/cameras/cam/motion").await;
    assert_eq!((unknown.status.as_u16(), &unknown.body["code"]), (404, &json!("unknown_camera")));
}
