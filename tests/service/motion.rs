//! Motion in front of cameras: events, the choice of the stream, recordings, and failures of the decoder.

use std::cell::Cell;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::low_latency;
use crate::support::recordings::RECORDINGS;
use crate::support::{
    EventStream, LivePicture, Manager, Metrics, Multipart, Nginx, Playlist, RawCamera, Receiver,
    eventually, merged, project_dir, send_signal, start_live, until,
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

/// Returns the process IDs of the other FFmpegs.
fn others(manager: &Manager) -> Vec<u32> {
    let (all, analysts) = (manager.ffmpegs(), analysts(manager));
    all.into_iter().filter(|pid| !analysts.contains(pid)).collect()
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
    assert!(status["reduced"].is_boolean(), "{status}");
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
    let used = metrics.value("stream_manager_picture_decoder_cpu_seconds_total");
    assert!(used.is_some_and(|seconds| seconds > 0.0), "{used:?}");
    // Since the last measurement, the camera has sent pictures for some seconds.
    let decoder = &motion(&manager, "cam").await["decoder"];
    let cpu = decoder["cpu_percent"].as_f64().expect("a share");
    assert!(cpu > 0.0 && cpu < 200.0, "{decoder}");
    let memory = decoder["memory_bytes"].as_u64().expect("a size");
    assert!((1_000_000..100_000_000).contains(&memory), "{decoder}");
    assert_eq!(decoder["shared"], false);

    for id in ["cam", "ignored"] {
        put(&manager, id, with(json!({ "source": "off" }))).await;
    }
    until("nothing runs", || async { manager.ffmpegs().is_empty() }).await;
    let metrics = Metrics::fetch(&manager).await;
    assert_eq!(metrics.value("stream_manager_analysed_cameras"), Some(0.0));
    assert_eq!(metrics.value("stream_manager_picture_decoders"), Some(0.0));
    let status = motion(&manager, "cam").await;
    assert_eq!((&status["profile"], &status["decoder"]), (&Value::Null, &Value::Null), "{status}");
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
    let path = "/api/stream/status?indicator_id=cam&profile=sub";
    until("the sub stream is busy", || async {
        manager.get(path).await.body["last_error"]["code"] == "source_busy"
    })
    .await;
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
    let ingest = others(&manager);
    assert_eq!(ingest.len(), 1);
    send_signal(decoder, signal);
    let began = SystemTime::now();
    let event =
        eventually("motion is found", || async { stored(&manager, "type=motion").await.pop() });
    let event = event.await;
    assert!(seconds(began, time(&event["at"])) > 0.0, "{event}");
    let now = analysts(&manager);
    assert!(now.len() == 1 && now[0] != decoder, "{now:?} after {decoder}");
    assert_eq!((others(&manager), camera.connections()), (ingest, 1));
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

/// Follows the parts of camera "cam" over Low-Latency HLS until `is_over`. Returns the longest time until the next part, and
/// the number of parts.
async fn follow_parts(nginx: &Nginx, is_over: &Cell<bool>) -> (Duration, u32) {
    let (mut longest, mut count) = (Duration::ZERO, 0);
    let (_, mut playlist) = low_latency::fetch(nginx, "").await;
    while !is_over.get() {
        let (sequence, part) = low_latency::position(&playlist);
        let requested = Instant::now();
        let query = format!("?_HLS_msn={sequence}&_HLS_part={part}");
        let (status, next) = low_latency::fetch(nginx, &query).await;
        assert_eq!(status, 200, "{next}");
        longest = longest.max(requested.elapsed());
        (count, playlist) = (count + 1, next);
    }
    (longest, count)
}

/// Does `test` while a viewer watches camera "cam" over Low-Latency HLS, and asserts that neither the viewer nor the FFmpeg
/// that reads the camera notices anything.
async fn unnoticed(manager: &Manager, nginx: &Nginx, ingest: &[u32], test: impl Future) {
    let discontinuities =
        async || Playlist::fetch(nginx, "cam").await.map(|it| it.discontinuities());
    let before = discontinuities().await;
    let is_over = Cell::new(false);
    let test = async {
        test.await;
        is_over.set(true);
    };
    let ((longest, count), ()) = tokio::join!(follow_parts(nginx, &is_over), test);
    // A part is at most half a second long, and the tests share a slow machine.
    assert!(
        longest < Duration::from_secs(2) && count > 5,
        "{longest:?} without one of {count} parts"
    );
    assert_eq!(discontinuities().await, before);
    let status = manager.status("cam").await;
    assert_eq!((&status["state"], &status["restarts"]), (&json!("live"), &json!(0)), "{status}");
    let ingest_is_same = ingest.iter().all(|pid| manager.ffmpegs().contains(pid));
    assert!(ingest_is_same && ingest.len() == 1, "{ingest:?} of {:?}", manager.ffmpegs());
}

/// Switches the detection of motion on or off.
async fn detect(manager: &Manager, link: &str, source: &str) {
    let options = json!({ "rtsp_link": link, "motion": { "source": source } });
    put(manager, "cam", options).await;
}

/// Returns the longest time between two pictures.
fn longest_gap(pictures: &[LivePicture]) -> Duration {
    let gaps =
        pictures.windows(2).map(|pair| pair[1].received_at.duration_since(pair[0].received_at));
    gaps.map(Result::unwrap_or_default).max().expect("several pictures")
}

/// Returns the path of a script that is run in place of FFmpeg.
fn child(name: &str) -> String {
    let script = project_dir().join("tests/service/children").join(name);
    script.to_str().expect("a path").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_of_the_shared_decoder_does_not_affect_other_viewers() {
    let (camera, manager, nginx) = start_live("h264", &[]).await;
    let ingest = others(&manager);
    let link = camera.link("h264");
    detect(&manager, &link, "pictures").await;
    let is_shared = async || motion(&manager, "cam").await["decoder"]["shared"].as_bool();
    until("the decoder is measured", || async { is_shared().await == Some(false) }).await;
    let mut viewer = Multipart::open(&nginx.url("/streams/cam/mjpeg?width=320")).await;
    until("the decoder is shared", || async { is_shared().await == Some(true) }).await;
    until("one decoder runs", || async { manager.ffmpegs().len() == 2 }).await;
    let test = async {
        for (signal, within) in [(Signal::SIGKILL, 3), (Signal::SIGSTOP, 9)] {
            let decoder = analysts(&manager);
            assert_eq!(decoder.len(), 1);
            send_signal(decoder[0], signal);
            let mut pictures = vec![viewer.next().await.expect("a picture")];
            while analysts(&manager) == decoder || manager.ffmpegs().len() != 2 {
                pictures.extend(viewer.take(Duration::from_millis(100)).await);
            }
            pictures.extend(viewer.take(Duration::from_secs(1)).await);
            let gap = longest_gap(&pictures);
            assert!(gap < Duration::from_secs(within), "{signal}: {gap:?}");
            until("there are analysed pictures", || async {
                let age = motion(&manager, "cam").await["picture_age_seconds"].as_f64();
                age.is_some_and(|age| age < 1.0)
            })
            .await;
        }
    };
    unnoticed(&manager, &nginx, &ingest, test).await;
    assert_eq!(camera.plays(), 1);
    // The viewer keeps the decoder, which makes no grey pictures any more.
    detect(&manager, &link, "off").await;
    assert!(motion(&manager, "cam").await["decoder"].is_null());
    drop(viewer);
    until("the decoder has ended", || async { manager.ffmpegs() == ingest }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_are_analysed_when_their_frames_arrive() {
    let camera = RawCamera::start(WALK).await;
    let manager = Manager::start(&[]).await;
    let options = json!({ "rtsp_link": camera.link(), "motion": { "source": "pictures" } });
    put(&manager, "cam", options).await;
    // The distance of pictures is 0.2 s. An encoder that holds back one picture is usually that late. On a busy machine, many
    // pictures are late in any case.
    Metrics::until(&manager, "pictures are analysed within 0.1 s", |metrics| {
        let value = |name: &str| metrics.value(name).expect(name);
        let all = value("stream_manager_analysed_pictures_total");
        let early = value("stream_manager_analysed_picture_age_seconds_bucket{le=\"0.1\"}");
        all > 20.0 && early > all / 4.0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fewer_pictures_than_usual_are_reported() {
    let ffmpeg = child("decodes_slowly");
    let (camera, manager, _nginx) = start_live("h264", &[("FFMPEG_BIN", &ffmpeg)]).await;
    detect(&manager, &camera.link("h264"), "pictures").await;
    let status = eventually("fewer pictures are analysed", || async {
        let status = motion(&manager, "cam").await;
        (status["reduced"] == true).then_some(status)
    })
    .await;
    assert!(status["pictures_per_second"].as_f64().is_some_and(|rate| rate < 5.0), "{status}");
    let warnings = manager.log().matches("fewer pictures are analysed").count();
    assert_eq!(warnings, 1, "{}", manager.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decoder_that_gets_garbage_does_not_affect_other_viewers() {
    let ffmpeg = child("decodes_garbage");
    let (camera, manager, nginx) = start_live("h264", &[("FFMPEG_BIN", &ffmpeg)]).await;
    let ingest = others(&manager);
    let link = camera.link("h264");
    let test = async {
        detect(&manager, &link, "pictures").await;
        let url = nginx.url("/streams/cam/mjpeg?width=320");
        let (response, error) = tokio::join!(
            Multipart::request(&url),
            eventually("the reason is known", || async {
                motion(&manager, "cam").await["error"].as_str().map(str::to_owned)
            })
        );
        assert!(response.status().is_server_error(), "{}", response.status());
        assert!(error.contains("made no picture"), "{error}");
        let status = motion(&manager, "cam").await;
        assert_eq!((&status["profile"], &status["decoder"]), (&Value::Null, &Value::Null));
        detect(&manager, &link, "off").await;
        until("the decoder has ended", || async { manager.ffmpegs() == ingest }).await;
    };
    unnoticed(&manager, &nginx, &ingest, test).await;
    assert_eq!(stored(&manager, "type=motion").await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decoder_whose_grey_pictures_are_garbage_does_not_affect_other_viewers() {
    let ffmpeg = child("writes_garbage_grey_pictures");
    let (camera, manager, nginx) = start_live("h264", &[("FFMPEG_BIN", &ffmpeg)]).await;
    let ingest = others(&manager);
    let mut viewer = Multipart::open(&nginx.url("/streams/cam/mjpeg?width=320")).await;
    let link = camera.link("h264");
    let test = async {
        detect(&manager, &link, "pictures").await;
        let pictures = viewer.take(Duration::from_secs(6)).await;
        assert!(longest_gap(&pictures) < Duration::from_secs(1), "{:?}", longest_gap(&pictures));
        until("the reason is known", || async {
            motion(&manager, "cam").await["error"].is_string()
        })
        .await;
        viewer.next().await.expect("a picture");
    };
    unnoticed(&manager, &nginx, &ingest, test).await;
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
    let recording = json!({ "mode": "events", "events": { "types": ["motio"] } });
    let camera = json!({ "rtsp_link": "rtsp://127.0.0.1:1/x", "recording": recording });
    let response = manager.put("/api/cameras/cam", &camera).await;
    assert_eq!(response.status, 400, "{response:?}");
    let detail = response.body["detail"].as_str().expect("a detail");
    assert!(detail.contains("\"motio\"") && detail.contains("motion,"), "{detail}");
    let unknown = manager.get("/api/cameras/cam/motion").await;
    assert_eq!((unknown.status.as_u16(), &unknown.body["code"]), (404, &json!("unknown_camera")));
}
