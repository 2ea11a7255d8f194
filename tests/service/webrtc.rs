//! Streams over WebRTC: a client negotiates by WHEP, and gets the pictures over real sockets.

use std::net::UdpSocket;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use stream_manager::parts::Framing;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use crate::support::whep::{self, Offer, WhepViewer};
use crate::support::{
    Camera, Manager, Metrics, Nginx, OnvifDevice, RawCamera, project_dir, send_signal, until,
};

/// The viewer and the manager are on the same machine.
const ON: &[(&str, &str)] = &[("WEBRTC_PORT", "0"), ("WEBRTC_ADDRESSES", "127.0.0.1")];
/// The gauge of sessions.
const SESSIONS: &str = "stream_manager_webrtc_sessions";

const WHEP: &str = "/streams/cam/whep";

/// Starts a camera, and a manager that knows the mount as "cam".
async fn start(mount: &str, settings: &[(&str, &str)]) -> (Camera, Manager) {
    let camera = Camera::start().await;
    let manager = Manager::start(&[ON, settings].concat()).await;
    let body = json!({ "rtsp_link": camera.link(mount) });
    assert_eq!(manager.put("/api/cameras/cam", &body).await.status, 201);
    (camera, manager)
}

async fn sessions_are(manager: &Manager, count: f64) {
    Metrics::until(manager, &format!("{count} sessions"), |it| it.value(SESSIONS) == Some(count))
        .await;
}

/// Waits until the hub keeps more than a keyframe, so that a viewer who joins has to catch up.
async fn runs_for_a_while(manager: &Manager) {
    until("a second keyframe", || async {
        manager.status("cam").await["media"]["gop_seconds"].is_number()
    })
    .await;
    tokio::time::sleep(Duration::from_millis(500)).await;
}

/// Returns the NAL units of a picture.
fn units(picture: &whep::Received) -> Vec<&[u8]> {
    Framing::StartCodes.units(&picture.media.data).collect()
}

/// Returns the content of all files of a stream.
fn files(directory: &Path) -> Vec<u8> {
    let entries = std::fs::read_dir(directory).expect("files").flatten();
    entries.filter_map(|entry| std::fs::read(entry.path()).ok()).flatten().collect()
}

/// Asserts that the viewer got a keyframe first, that every unit is one that the camera sent, and that all late
/// pictures are close together.
async fn plays_what_the_camera_sends(tcp: bool) {
    let (camera, manager) = start("h264", &[]).await;
    manager.play("cam", &camera.link("h264")).await;
    runs_for_a_while(&manager).await;
    let began = Instant::now();
    let mut viewer = WhepViewer::open(&manager, WHEP, Offer { tcp, ..Offer::default() }).await;
    viewer.until("a picture", |it| !it.pictures.is_empty()).await;
    let first = began.elapsed();
    assert!(first < Duration::from_secs(1), "the first picture took {first:?}");
    viewer.until("pictures for 2 s", |it| it.pictures.len() > 60).await;
    let kinds: Vec<_> = units(&viewer.pictures[0]).iter().map(|unit| unit[0] & 0x1f).collect();
    assert_eq!(kinds, [7, 8, 5], "a keyframe after its parameter sets");
    let steps: Vec<_> = viewer
        .pictures
        .windows(2)
        .map(|pair| (pair[1].media.time - pair[0].media.time).as_micros())
        .collect();
    let late = steps.iter().take_while(|step| **step < 1000).count();
    assert!(late >= 5, "the first pictures follow each other closely: {steps:?}");
    // The camera sends 25 pictures a second, but leaves out some on a busy machine.
    assert!(steps[late + 1..].iter().all(|step| *step >= 30_000), "{steps:?}");
    let sent = files(&manager.stream_dir().join("cam"));
    let is_sent = |unit: &[u8]| memchr::memmem::find(&sent, unit).is_some();
    // The newest pictures may not be in a file yet.
    let checked = &viewer.pictures[..viewer.pictures.len() - 15];
    for (number, picture) in checked.iter().enumerate() {
        for unit in units(picture) {
            assert!(
                is_sent(unit),
                "picture {number}: {} bytes, type {}",
                unit.len(),
                unit[0] & 0x1f
            );
        }
    }
    assert_eq!(camera.plays(), 1, "the camera was connected to more than once");
    assert_eq!(manager.status("cam").await["viewers"], 1);
    sessions_are(&manager, 1.0).await;

    let many = format!("\"x\", {}", viewer.tag);
    for (tag, status) in [
        (Some(&*viewer.tag), 204),
        (Some(&many), 204),
        (None, 204),
        (Some("*"), 422),
        (Some("\"*\""), 422),
        (Some("\"x\""), 412),
        (Some(""), 412),
        (Some(viewer.tag.trim_matches('"')), 412),
    ] {
        assert_eq!(viewer.patch(&manager, tag).await, status, "{tag:?}");
    }
    assert_eq!(viewer.delete(&manager).await, 204);
    viewer.until("the end", |it| it.is_closed).await;
    assert_eq!(viewer.delete(&manager).await, 404);
    assert_eq!(viewer.patch(&manager, None).await, 404);
    sessions_are(&manager, 0.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_gets_what_the_camera_sends_over_udp() {
    Box::pin(plays_what_the_camera_sends(false)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_gets_what_the_camera_sends_over_tcp() {
    Box::pin(plays_what_the_camera_sends(true)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_who_joins_over_tcp_gets_a_large_group_at_once() {
    let options = ["--gop-seconds", "60", "--bitrate", "8000"];
    let camera = Camera::start_with(&options).await;
    let manager = Manager::start(ON).await;
    manager.play("cam", &camera.link("h264")).await;
    // A reader of the hub can be behind by 6 s.
    tokio::time::sleep(Duration::from_secs(4)).await;
    let began = Instant::now();
    let options = Offer { tcp: true, ..Offer::default() };
    let mut viewer = WhepViewer::open(&manager, WHEP, options).await;
    viewer.until("a picture", |it| !it.pictures.is_empty()).await;
    // The viewer's network pauses. The group is larger than all buffers in between.
    tokio::time::sleep(Duration::from_millis(500)).await;
    viewer.until("the group", |it| it.pictures.len() > 80).await;
    let bytes: usize = viewer.pictures.iter().map(|it| it.media.data.len()).sum();
    assert!(bytes > 1_300_000, "the group is too small for this test: {bytes}");
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    let is_keyframe = |it: &&whep::Received| units(it).iter().any(|unit| unit[0] & 0x1f == 5);
    let keyframes = viewer.pictures.iter().filter(is_keyframe).count();
    assert_eq!(keyframes, 1, "pictures were skipped");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_who_vanishes_leaves_nothing() {
    let (_camera, manager) =
        start("h264", &[("CLEANUP_DELAY_SECONDS", "2"), ("CLEANUP_INTERVAL_SECONDS", "0.2")]).await;
    let mut viewer = WhepViewer::open(&manager, WHEP, Offer::default()).await;
    viewer.until("pictures", |it| it.pictures.len() > 5).await;
    drop(viewer);
    let vanished = Instant::now();
    sessions_are(&manager, 0.0).await;
    assert!(vanished.elapsed() < Duration::from_secs(12), "{:?}", vanished.elapsed());
    manager.reaches("cam", "stopped").await;
    let metrics = Metrics::fetch(&manager).await;
    let ended = "stream_manager_webrtc_sessions_ended_total{reason=\"vanished\"}";
    assert_eq!(metrics.value(ended), Some(1.0), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_continues_when_the_camera_restarts() {
    let (mut camera, manager) = start("h264", &[]).await;
    let mut viewer = WhepViewer::open(&manager, WHEP, Offer::default()).await;
    viewer.until("pictures", |it| it.pictures.len() > 20).await;
    camera.kill();
    camera.restart().await;
    let before = viewer.pictures.len();
    viewer
        .until("a new keyframe", |it| it.pictures[before..].iter().any(|it| units(it).len() == 3))
        .await;
    viewer.until("pictures", |it| it.pictures.len() > before + 60).await;
    let is_ordered = viewer.pictures.windows(2).all(|it| it[0].media.time < it[1].media.time);
    assert!(is_ordered, "the times go back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_continues_after_a_change_of_the_codec_only_if_its_player_can_play_the_video() {
    let unsupported = "stream_manager_webrtc_sessions_ended_total{reason=\"unsupported\"}";
    let local = "127.0.0.1:1".parse().expect("an address");
    let (_, offer, ..) = whep::offer(Offer::default(), local);
    for (mount, hevc, option, continues) in [
        ("hevc", "h264", "auto", true),
        ("hevc", "copy", "auto", false),
        ("mjpeg", "h264", "auto", true),
        ("mjpeg", "h264", "copy", false),
    ] {
        let what = format!("{mount}, HEVC={hevc}, video: {option}");
        let mut camera = Camera::start_with(&["--alias", "live=h264"]).await;
        let manager = Manager::start(&[ON, &[("HEVC", hevc)]].concat()).await;
        let body = json!({ "rtsp_link": camera.link("live"), "video": option });
        let put = manager.put("/api/cameras/cam", &body).await;
        assert_eq!(put.status, 201, "{put:?}");
        let mut viewer = WhepViewer::open(&manager, WHEP, Offer::default()).await;
        viewer.until("pictures", |it| it.pictures.len() > 20).await;
        camera.kill();
        camera.restart_with(&["--alias", &format!("live={mount}")]).await;
        let before = viewer.pictures.len();
        if continues {
            viewer.until(&what, |it| it.pictures.len() > before + 20).await;
            let last = viewer.pictures.last().expect("a picture");
            // A slice, or the parameter sets and a keyframe's slice. No unit of H.265 has one of these types.
            assert!(
                units(last).iter().all(|it| [1, 5, 6, 7, 8].contains(&(it[0] & 0x9f))),
                "{what}"
            );
            assert_eq!(viewer.delete(&manager).await, 204);
            continue;
        }
        viewer.until(&what, |it| it.is_closed).await;
        Metrics::until(&manager, &what, |it| it.value(unsupported) == Some(1.0)).await;
        // With this code, players use another transport.
        let response = whep::post(&manager, WHEP, &offer).await;
        assert_eq!(response.status(), 422, "{what}");
        let problem: Value = response.json().await.expect("a problem");
        assert_eq!(problem["code"], "webrtc_unsupported", "{what}: {problem}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_with_the_permission() {
    let keys = ("API_KEYS", "shop:admin:admin-secret-000001");
    let camera = Camera::start().await;
    let manager = Manager::start(&[ON, &[keys]].concat()).await;
    let nginx = Nginx::start(&manager).await;
    let admin = "admin-secret-000001";
    let body = json!({ "rtsp_link": camera.link("h264") });
    let put = manager.call(admin, reqwest::Method::PUT, "/api/cameras/cam", &body).await;
    assert_eq!(put.status, 201);
    let body = json!({ "user": "anna", "cameras": ["cam"] });
    let created = manager.call(admin, reqwest::Method::POST, "/api/playback/sessions", &body).await;
    let text = |name: &str| created.body[name].as_str().expect(name).to_owned();
    let (token, id) = (text("token"), text("session_id"));

    let local = "127.0.0.1:1".parse().expect("an address");
    let (_, offer, ..) = whep::offer(Offer::default(), local);
    let via_nginx = |path: String| {
        let request =
            nginx.client().post(nginx.url(&path)).header("content-type", "application/sdp");
        let request = request.header("origin", "https://shop.example").body(offer.clone());
        async move { request.send().await.expect("a response") }
    };
    for path in [WHEP.to_owned(), "/play/wrong/cam/whep".to_owned()] {
        assert_eq!(via_nginx(path.clone()).await.status(), 401, "{path}");
    }
    let other = via_nginx(format!("/play/{token}/other/whep")).await;
    assert_eq!(other.status(), 403, "a camera that the token does not cover");
    let response = via_nginx(format!("/play/{token}/cam/whep")).await;
    assert_eq!(response.status(), 201);
    let header = |name: &str| response.headers()[name].to_str().expect("text").to_owned();
    assert!(header("access-control-expose-headers").contains("Location, Link, ETag"));
    assert_eq!(header("access-control-allow-origin"), "*");
    let location = header("location");
    assert!(location.starts_with(&format!("/play/{token}/cam/whep/")), "{location}");
    let deleted = nginx.client().delete(nginx.url(&location)).send().await.expect("a response");
    assert_eq!(deleted.status(), 204);

    // The manager gets the token in a header, as from nginx.
    let client = Manager::client_with("x-playback-token", &token);
    let mut viewer = WhepViewer::open_with(&manager, &client, WHEP, Offer::default()).await;
    viewer.until("pictures", |it| it.pictures.len() > 5).await;
    let path = format!("/api/playback/sessions/{id}");
    let ended = Instant::now();
    manager.call(admin, reqwest::Method::DELETE, &path, &Value::Null).await;
    viewer.until("the end", |it| it.is_closed).await;
    assert!(ended.elapsed() < Duration::from_secs(3), "{:?}", ended.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn offers_that_cannot_be_used_are_refused_and_start_nothing() {
    let (camera, manager) = start("h264", &[]).await;
    let local = "127.0.0.1:1".parse().expect("an address");
    let (_, good, ..) = whep::offer(Offer::default(), local);
    let section =
        |number| format!("m=video 9 UDP/TLS/RTP/SAVPF 127\r\na=mid:x{number}\r\na=recvonly\r\n");
    let many = (0..50).fold(good.clone(), |all, number| all + &section(number));
    let without_h264 = good.replace("H264", "VP8");
    let mode_0 = good.replace("packetization-mode=1", "packetization-mode=0");
    let inactive = good.replace("a=recvonly", "a=inactive");
    let table = [
        (String::new(), 400, "invalid_request"),
        ("v=0\r\n".to_owned(), 400, "invalid_request"),
        (good[..good.len() / 2].to_owned(), 400, "invalid_request"),
        (good.replace("a=fingerprint", "a=x"), 400, "invalid_request"),
        (good.replace("a=ice-ufrag", "a=x"), 400, "invalid_request"),
        (format!("{good}{}", "a=x\r\n".repeat(20_000)), 413, "body_too_large"),
        (many, 400, "invalid_request"),
        (good.replace("a=mid:", "a=x:"), 400, "invalid_request"),
        (good.replace("a=recvonly", "a=sendonly"), 422, "webrtc_unsupported"),
        (without_h264, 422, "webrtc_unsupported"),
        (mode_0, 422, "webrtc_unsupported"),
        (inactive, 422, "webrtc_unsupported"),
    ];
    for (offer, status, code) in table {
        let response = whep::post(&manager, WHEP, &offer).await;
        assert_eq!(response.status(), status, "{}", &offer[..offer.len().min(5000)]);
        let problem: Value = response.json().await.expect("a problem");
        assert_eq!(problem["code"], code, "{problem}");
    }
    let request = manager.client().post(manager.url(WHEP)).body(good.clone());
    assert_eq!(request.send().await.expect("a response").status(), 400, "no content type");
    assert_eq!(whep::post(&manager, "/streams/unknown/whep", &good).await.status(), 404);
    assert_eq!(camera.plays(), 0);
    sessions_are(&manager, 0.0).await;
    assert_eq!(whep::post(&manager, WHEP, &good).await.status(), 201);
    let with_microphone = good.replace("a=recvonly", "a=sendrecv");
    let response = whep::post(&manager, WHEP, &with_microphone).await;
    assert_eq!(response.status(), 201);
    let answer = response.text().await.expect("an answer");
    assert!(answer.contains("a=sendonly") && !answer.contains("a=sendrecv"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_to_addresses_that_only_an_offer_names() {
    let (_camera, manager) = start("h264", &[]).await;
    let victim = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let local = victim.local_addr().expect("an address");
    let (_, offer, ..) = whep::offer(Offer::default(), local);
    assert!(offer.contains(&format!("127.0.0.1 {}", local.port())), "{offer}");
    assert_eq!(whep::post(&manager, WHEP, &offer).await.status(), 201);
    victim.set_read_timeout(Some(Duration::from_secs(2))).expect("a timeout");
    assert!(victim.recv(&mut [0; 2000]).is_err(), "the manager sent something");
    // Unknown senders get no reply, whatever they send.
    let address = ("127.0.0.1", whep::port(&manager).await);
    for bytes in
        [&[0; 20][..], &[22, 254, 253, 0, 0], &[128, 200, 0, 1], b"GET / HTTP/1.1\r\n\r\n", &[]]
    {
        victim.send_to(bytes, address).expect("a datagram");
    }
    assert!(victim.recv(&mut [0; 2000]).is_err(), "the manager replied");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_offers_without_a_connection_leave_nothing() {
    let (camera, manager) = start("h264", &[]).await;
    manager.play("cam", &camera.link("h264")).await;
    let local = "127.0.0.1:1".parse().expect("an address");
    let (_, offer, ..) = whep::offer(Offer::default(), local);
    let mut accepted = 0;
    for _ in 0..1000 {
        let response = whep::post(&manager, WHEP, &offer).await;
        match response.status().as_u16() {
            201 => accepted += 1,
            503 => {
                assert!(response.headers().contains_key("retry-after"));
                let problem: Value = response.json().await.expect("a problem");
                assert_eq!(problem["code"], "busy");
            }
            other => panic!("{other}"),
        }
    }
    // The limit of one viewer is 40 at a time.
    assert!((40..=160).contains(&accepted), "{accepted}");
    let sent = Instant::now();
    sessions_are(&manager, 0.0).await;
    assert!(sent.elapsed() < Duration::from_secs(20), "{:?}", sent.elapsed());
    let mut viewer = WhepViewer::open(&manager, WHEP, Offer::default()).await;
    viewer.until("a picture", |it| !it.pictures.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_sends_nothing_is_closed_soon() {
    let (_camera, manager) = start("h264", &[]).await;
    let address = ("127.0.0.1", whep::port(&manager).await);
    let mut silent = TcpStream::connect(address).await.expect("a connection");
    let began = Instant::now();
    let read = tokio::time::timeout(Duration::from_secs(10), silent.read_u8()).await;
    read.expect("the connection is still open").expect_err("a byte");
    assert!(began.elapsed() > Duration::from_secs(2), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_datagram_does_not_move_the_media() {
    let (_camera, manager) = start("h264", &[]).await;
    let options = Offer { tcp: true, ..Offer::default() };
    let mut viewer = WhepViewer::open(&manager, WHEP, options).await;
    viewer.until("pictures", |it| it.pictures.len() > 20).await;
    let forged = UdpSocket::bind(viewer.local()).expect("the viewer's address, with UDP");
    let address = ("127.0.0.1", whep::port(&manager).await);
    for bytes in [&[22, 254, 253, 0, 0][..], &[128, 200, 0, 1, 0, 0, 0, 0], &[0; 20]] {
        forged.send_to(bytes, address).expect("a datagram");
    }
    let before = viewer.pictures.len();
    viewer.until("more pictures", |it| it.pictures.len() > before + 50).await;
    forged.set_nonblocking(true).expect("a socket");
    assert!(forged.recv(&mut [0; 2000]).is_err(), "the manager sent something");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_soon_after_its_viewer_has_moved() {
    let (_camera, manager) = start("h264", &[]).await;
    let mut viewer = WhepViewer::open(&manager, WHEP, Offer::default()).await;
    viewer.until("pictures", |it| it.pictures.len() > 20).await;
    viewer.change_port().await;
    let moved = Instant::now();
    tokio::select! {
        () = sessions_are(&manager, 0.0) => {}
        () = viewer.until("never", |_| false) => {}
    }
    assert!(moved.elapsed() < Duration::from_secs(12), "{:?}", moved.elapsed());
    let ended = "stream_manager_webrtc_sessions_ended_total{reason=\"moved\"}";
    let metrics = Metrics::fetch(&manager).await;
    assert_eq!(metrics.value(ended), Some(1.0), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn viewers_learn_of_the_shutdown() {
    let (_camera, manager) = start("h264", &[]).await;
    let options = Offer { tcp: true, ..Offer::default() };
    let mut viewer = WhepViewer::open(&manager, WHEP, options).await;
    viewer.until("pictures", |it| it.pictures.len() > 5).await;
    manager.signal(Signal::SIGTERM);
    let stopped = Instant::now();
    viewer.until("the end", |it| it.is_closed).await;
    assert!(stopped.elapsed() < Duration::from_secs(3), "{:?}", stopped.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn video_with_b_frames_is_refused() {
    let (camera, manager) = start("h264-bframes", &[]).await;
    manager.play("cam", &camera.link("h264-bframes")).await;
    runs_for_a_while(&manager).await;
    let local = "127.0.0.1:1".parse().expect("an address");
    let (_, offer, ..) = whep::offer(Offer::default(), local);
    let response = whep::post(&manager, WHEP, &offer).await;
    assert_eq!(response.status(), 422);
    let problem: Value = response.json().await.expect("a problem");
    assert_eq!(problem["code"], "webrtc_unsupported");
    assert!(problem["detail"].as_str().expect("text").contains("B-frames"), "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn h265_is_sent_to_viewers_who_play_it_and_converted_for_others() {
    let (_camera, manager) = start("hevc", &[]).await;
    let options = Offer { h265: true, ..Offer::default() };
    let mut viewer = WhepViewer::open(&manager, WHEP, options).await;
    viewer.until("pictures", |it| it.pictures.len() > 20).await;
    let kinds: Vec<_> = units(&viewer.pictures[0]).iter().map(|unit| unit[0] >> 1).collect();
    assert_eq!(kinds[..3], [32, 33, 34], "the parameter sets");
    let mut other = WhepViewer::open(&manager, WHEP, Offer::default()).await;
    other.until("a picture", |it| !it.pictures.is_empty()).await;
    let kinds: Vec<_> = units(&other.pictures[0]).iter().map(|unit| unit[0] & 0x1f).collect();
    assert_eq!(kinds[..2], [7, 8], "H.264");
}

#[tokio::test(flavor = "multi_thread")]
async fn audio_is_sent_as_it_is_to_viewers_who_want_it() {
    for mount in ["h264-pcmu", "h264-pcma", "h264-opus"] {
        let (_camera, manager) = start(mount, &[]).await;
        let options = Offer { audio: true, ..Offer::default() };
        let mut viewer = WhepViewer::open(&manager, WHEP, options).await;
        viewer.until(mount, |it| it.audio.len() > 50 && it.pictures.len() > 20).await;
        let (first, last) = (&viewer.audio[0].media, &viewer.audio[50].media);
        let (sent, took) =
            ((last.time - first.time).as_seconds(), viewer.audio[50].at - viewer.audio[0].at);
        // On a busy machine, packets arrive late, but their times are right.
        assert!((0.5..5.0).contains(&sent), "{mount}: {sent} s in {took:?}");
        let mut silent = WhepViewer::open(&manager, WHEP, Offer::default()).await;
        silent.until("pictures", |it| it.pictures.len() > 20).await;
        assert!(silent.audio.is_empty());
    }
}

/// Starts a camera that sends a keyframe every 60 s, or when its ONVIF device is asked for one.
async fn start_with_onvif() -> (Camera, OnvifDevice, Manager) {
    let camera = Camera::start_with(&["--running", "h264", "--gop-seconds", "60"]).await;
    let login = ["--user", "viewer", "--password", camera.password()];
    let device = OnvifDevice::start_for(&camera, &login).await;
    let manager = Manager::start(ON).await;
    let link = camera.link_with_credentials("h264");
    let body = json!({ "rtsp_link": link, "onvif": device.address_and_port() });
    assert_eq!(manager.put("/api/cameras/cam", &body).await.status, 201);
    (camera, device, manager)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_player_that_lost_pictures_gets_a_keyframe_from_the_camera() {
    let (_camera, device, manager) = start_with_onvif().await;
    let mut viewer = WhepViewer::open(&manager, WHEP, Offer::default()).await;
    viewer.until("pictures", |it| it.pictures.len() > 20).await;
    let before = (device.events("keyframe").len(), viewer.pictures.len());
    viewer.request_keyframe();
    let is_keyframe = |it: &whep::Received| units(it).len() == 3;
    viewer.until("a keyframe", |it| it.pictures[before.1..].iter().any(is_keyframe)).await;
    assert_eq!(device.events("keyframe").len(), before.0 + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_for_whom_only_an_old_keyframe_is_kept_gets_another_one() {
    let (_camera, device, manager) = start_with_onvif().await;
    let mut first = WhepViewer::open(&manager, WHEP, Offer::default()).await;
    // The hub keeps groups of up to 12 s.
    tokio::select! {
        () = tokio::time::sleep(Duration::from_secs(15)) => {}
        () = first.until("never", |_| false) => {}
    }
    let before = device.events("keyframe").len();
    let began = Instant::now();
    let mut second = WhepViewer::open(&manager, WHEP, Offer::default()).await;
    second.until("pictures", |it| it.pictures.len() > 10).await;
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    assert_eq!(device.events("keyframe").len(), before + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_with_a_slow_network_continues_with_the_sub_stream() {
    let main = Camera::start().await;
    let small = Camera::start_with(&["--width", "320", "--height", "180"]).await;
    let manager = Manager::start(ON).await;
    let body = json!({ "rtsp_link": main.link("h264"), "rtsp_link_sub": small.link("h264") });
    assert_eq!(manager.put("/api/cameras/cam", &body).await.status, 201);
    let mut viewer = WhepViewer::open(&manager, WHEP, Offer::default()).await;
    viewer.until("pictures", |it| it.pictures.len() > 20).await;
    let set = |it: &whep::Received| {
        units(it).iter().find(|unit| unit[0] & 0x1f == 7).map(|set| set.to_vec())
    };
    let first = set(&viewer.pictures[0]).expect("a keyframe");
    viewer.loss = 0.3;
    let is_other = |it: &whep::Received| set(it).is_some_and(|set| set != first);
    viewer.until("the sub stream", |it| it.pictures.iter().any(is_other)).await;
    viewer.loss = 0.0;
    let before = viewer.pictures.len();
    viewer.until("its pictures", |it| it.pictures.len() > before + 60).await;
    let times: Vec<_> = viewer.pictures.iter().map(|it| it.media.time).collect();
    assert!(times.is_sorted(), "{times:?}");
    let is_left = until("the main stream has no viewer", || async {
        let status = manager.status("cam").await;
        status["viewers"] == 0 || status["state"] == "stopped"
    });
    // Without requests of the viewer, the session would end after 10 s.
    tokio::select! {
        () = is_left => {}
        () = viewer.until("never", |_| false) => {}
    }
    assert_eq!(viewer.delete(&manager).await, 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn packets_are_sent_twice_over_a_network_that_loses_some() {
    let (_camera, manager) = start("h264", &[]).await;
    let mut viewer = WhepViewer::open(&manager, WHEP, Offer::default()).await;
    viewer.until("pictures", |it| it.pictures.len() > 100).await;
    assert_eq!(viewer.repeated, 0, "nothing was lost");
    viewer.loss = 0.02;
    viewer.until("second copies", |it| it.repeated > 80).await;
    let times: Vec<_> = viewer.pictures.iter().map(|it| it.media.time).collect();
    assert!(times.is_sorted_by(|one, next| one < next), "each picture is received once");
}

/// Starts a camera with a main stream of 4 Mbit/s and a small sub stream, and a viewer of the main stream whose network
/// has this rate, in Mbit/s.
async fn watch_over(rate: f64) -> (Camera, Camera, Manager, WhepViewer) {
    let main = Camera::start_with(&["--bitrate", "4000"]).await;
    let small = Camera::start_with(&["--width", "320", "--height", "180"]).await;
    let manager = Manager::start(ON).await;
    let body = json!({ "rtsp_link": main.link("h264"), "rtsp_link_sub": small.link("h264") });
    assert_eq!(manager.put("/api/cameras/cam", &body).await.status, 201);
    let mut viewer = WhepViewer::open(&manager, WHEP, Offer::default()).await;
    viewer.until("pictures", |it| it.pictures.len() > 20).await;
    viewer.rate = Some(rate * 1e6);
    (main, small, manager, viewer)
}

/// Returns the sequence parameter set of a keyframe, which differs between the streams.
fn set(picture: &whep::Received) -> Option<Vec<u8>> {
    units(picture).iter().find(|unit| unit[0] & 0x1f == 7).map(|set| set.to_vec())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_with_a_network_of_1_mbit_continues_with_the_sub_stream() {
    let (_main, _small, manager, mut viewer) = Box::pin(watch_over(1.0)).await;
    let first = set(&viewer.pictures[0]).expect("a keyframe");
    let is_other = |it: &whep::Received| set(it).is_some_and(|set| set != first);
    let is_moved = |_: &WhepViewer| manager.log().contains("continues with the sub stream");
    viewer.until("the sub stream", is_moved).await;
    viewer.until("its keyframe", |it| it.pictures.iter().any(is_other)).await;
    let before = viewer.pictures.len();
    viewer.until("its pictures", |it| it.pictures.len() > before + 60).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_with_a_network_that_is_just_fast_enough_keeps_the_main_stream() {
    for rate in [20.0, 8.0] {
        let (_main, _small, _manager, mut viewer) = Box::pin(watch_over(rate)).await;
        let first = set(&viewer.pictures[0]).expect("a keyframe");
        let before = viewer.pictures.len();
        viewer.until("pictures", |it| it.pictures.len() > before + 300).await;
        assert!(viewer.pictures.iter().filter_map(set).all(|set| set == first), "{rate} Mbit/s");
    }
}

/// Returns the median time from the moment at which media is due until it arrives, in seconds, without the first half, in
/// which the viewer catches up. Only differences between the results for the same `since` have a meaning.
fn delay(media: &[whep::Received], since: Instant) -> f64 {
    let delay = |it: &whep::Received| (it.at - since).as_secs_f64() - it.media.time.as_seconds();
    let mut delays: Vec<_> = media[media.len() / 2..].iter().map(delay).collect();
    delays.sort_by(f64::total_cmp);
    delays[delays.len() / 2]
}

#[tokio::test(flavor = "multi_thread")]
async fn aac_is_converted_to_opus_while_a_viewer_wants_sound() {
    for mount in ["h264-aac", "h264-aac-8k"] {
        let (_camera, manager) = start(mount, &[]).await;
        let mut silent = WhepViewer::open(&manager, WHEP, Offer::default()).await;
        silent.until("pictures", |it| it.pictures.len() > 20).await;
        let ingest = manager.ffmpegs();
        assert_eq!(ingest.len(), 1, "a viewer without sound needs no conversion");
        let options = Offer { audio: true, ..Offer::default() };
        let mut viewers = Vec::new();
        for _ in 0..2 {
            let mut viewer = WhepViewer::open(&manager, WHEP, options).await;
            viewer.until(mount, |it| it.audio.len() > 120 && it.pictures.len() > 20).await;
            viewers.push(viewer);
        }
        assert_eq!(manager.ffmpegs().len(), 2, "the viewers share one FFmpeg");
        let mut viewer = viewers.swap_remove(0);
        drop(viewers);
        let steps = |it: &WhepViewer, from: usize| {
            let times = it.audio[from..].windows(2);
            times.map(|it| (it[1].media.time - it[0].media.time).as_micros()).collect::<Vec<_>>()
        };
        let found = steps(&viewer, 0);
        // On a busy machine, the camera leaves out some of its sound.
        let exact = found.iter().filter(|step| **step == 20_000).count();
        assert!(exact * 4 >= found.len() * 3, "{mount}: {found:?}");
        assert!(found.iter().all(|step| *step >= 20_000), "{mount}: {found:?}");
        let since = viewer.pictures[0].at;
        let (pictures, sound) = (delay(&viewer.pictures, since), delay(&viewer.audio, since));
        assert!((sound - pictures).abs() < 0.5, "{mount}: {pictures} s, {sound} s");
        // The camera beeps once a second. Silence has 3 bytes.
        let loud = viewer.audio.iter().filter(|it| it.media.data.len() > 20).count();
        assert!((10..110).contains(&loud), "{mount}: {loud} packets with sound");

        let killed = manager.ffmpegs().into_iter().find(|pid| !ingest.contains(pid));
        send_signal(killed.expect("an FFmpeg"), Signal::SIGKILL);
        let before = (viewer.audio.len(), viewer.pictures.len());
        viewer.until("pictures", |it| it.pictures.len() > before.1 + 25).await;
        viewer.until("sound again", |it| it.audio.len() > before.0 + 50).await;
        assert_eq!(viewer.delete(&manager).await, 204);
        viewer.until("the end", |it| it.is_closed).await;
        until("the conversion has ended", || async { manager.ffmpegs() == ingest }).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_promises_no_sound_that_ffmpeg_cannot_make() {
    let script = project_dir().join("tests/service/children/has_no_opus_encoder");
    let without_opus = [("FFMPEG_BIN", script.to_str().expect("a path"))];
    let local = "127.0.0.1:1".parse().expect("an address");
    let (_, offer, ..) = whep::offer(Offer { audio: true, ..Offer::default() }, local);
    for (mount, settings, section) in [
        ("h264-aac", &[][..], "m=audio 9 "),
        ("h264-aac", &without_opus, "m=audio 0 "),
        ("h264-pcmu", &without_opus, "m=audio 9 "),
    ] {
        let (_camera, manager) = start(mount, settings).await;
        for _ in 0..2 {
            let response = whep::post(&manager, WHEP, &offer).await;
            assert_eq!(response.status(), 201, "{mount}");
            let answer = response.text().await.expect("an answer");
            assert!(answer.contains(section), "{mount}: {answer}");
        }
        if settings.is_empty() {
            assert_eq!(manager.get("/api/health").await.body["webrtc"]["reason"], Value::Null);
            continue;
        }
        until("the reason is shown", || async {
            let health = manager.get("/api/health").await.body;
            health["webrtc"]["reason"].as_str().is_some_and(|it| it.contains("libopus"))
        })
        .await;
        let log = manager.log();
        assert_eq!(log.matches("cannot convert audio to Opus").count(), 1, "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_and_sound_continue_when_the_camera_sets_its_clock() {
    for habits in ["--audio aac --jump=-20@3", "--audio pcmu --reports --report-jump 28800@3"] {
        let camera = RawCamera::start(habits).await;
        let manager = Manager::start(ON).await;
        let body = json!({ "rtsp_link": camera.link() });
        assert_eq!(manager.put("/api/cameras/cam", &body).await.status, 201);
        let options = Offer { audio: true, ..Offer::default() };
        let mut viewer = WhepViewer::open(&manager, WHEP, options).await;
        viewer.until("a picture", |it| !it.pictures.is_empty()).await;
        let began = Instant::now();
        viewer.until("the step", |_| began.elapsed() > Duration::from_secs(5)).await;
        let before = (viewer.pictures.len(), viewer.audio.len());
        viewer
            .until("pictures and sound", |it| {
                it.pictures.len() > before.0 + 50 && it.audio.len() > before.1 + 50
            })
            .await;
        let is_sorted = |list: &[whep::Received]| list.is_sorted_by_key(|it| it.media.time);
        assert!(is_sorted(&viewer.pictures) && is_sorted(&viewer.audio), "{habits}");
        let seconds = |list: &[whep::Received]| {
            let (first, last) = (&list[0], &list[list.len() - 1]);
            let real = (last.at - first.at).as_secs_f64();
            (last.media.time - first.media.time).as_seconds() - real
        };
        let ahead = seconds(&viewer.pictures);
        // On a busy machine, pictures arrive late. The shortest step of a clock has 20 s.
        assert!(ahead.abs() < 15.0, "{habits}: {ahead} s");
        assert_eq!(viewer.delete(&manager).await, 204);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_with_a_wrong_password_gets_nothing() {
    let (_camera, manager) = start("h264", &[]).await;
    let options = Offer { wrong_password: true, ..Offer::default() };
    let mut viewer = WhepViewer::open(&manager, WHEP, options).await;
    tokio::select! {
        () = sessions_are(&manager, 0.0) => {}
        () = viewer.until("never", |_| false) => {}
    }
    assert_eq!(viewer.received, 0, "the manager replied");
    let ended = "stream_manager_webrtc_sessions_ended_total{reason=\"never_connected\"}";
    let metrics = Metrics::fetch(&manager).await;
    assert_eq!(metrics.value(ended), Some(1.0), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_with_its_stream() {
    let (_camera, manager) = start("h264", &[]).await;
    let mut viewer = WhepViewer::open(&manager, WHEP, Offer::default()).await;
    viewer.until("pictures", |it| it.pictures.len() > 5).await;
    manager.post("/api/stream/stop", &json!({ "indicator_id": "cam" })).await;
    let stopped = Instant::now();
    viewer.until("the end", |it| it.is_closed).await;
    assert!(stopped.elapsed() < Duration::from_secs(3), "{:?}", stopped.elapsed());
    let ended = "stream_manager_webrtc_sessions_ended_total{reason=\"ended\"}";
    Metrics::until(&manager, "the end", |it| it.value(ended) == Some(1.0)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_who_stops_to_read_over_tcp_ends_and_disturbs_no_other() {
    let camera = Camera::start_with(&["--bitrate", "4000"]).await;
    let manager = Manager::start(ON).await;
    manager.play("cam", &camera.link("h264")).await;
    let options = Offer { tcp: true, ..Offer::default() };
    let mut stuck = WhepViewer::open(&manager, WHEP, options).await;
    stuck.until("pictures", |it| it.pictures.len() > 5).await;
    let mut other = WhepViewer::open(&manager, WHEP, Offer::default()).await;
    other.until("pictures", |it| it.pictures.len() > 5).await;
    let before = other.pictures.len();
    let stopped = Instant::now();
    tokio::select! {
        () = sessions_are(&manager, 1.0) => {}
        () = other.until("never", |_| false) => {}
    }
    assert!(stopped.elapsed() < Duration::from_secs(13), "{:?}", stopped.elapsed());
    let longest = other.pictures[before..].windows(2).map(|it| it[1].at - it[0].at).max();
    assert!(longest.is_some_and(|it| it < Duration::from_secs(1)), "{longest:?}");
    drop(stuck);
}

#[tokio::test(flavor = "multi_thread")]
async fn webrtc_that_is_off_reports_the_reason() {
    let camera = Camera::start().await;
    let port = UdpSocket::bind("0.0.0.0:0").expect("a socket");
    let used = port.local_addr().expect("an address").port().to_string();
    for (settings, reason) in [
        (&[("WEBRTC_PORT", "off")][..], "WEBRTC_PORT is off"),
        (&[("WEBRTC_PORT", &used), ("WEBRTC_ADDRESSES", "127.0.0.1")], "Address already in use"),
    ] {
        let manager = Manager::start(settings).await;
        let body = json!({ "rtsp_link": camera.link("h264") });
        assert_eq!(manager.put("/api/cameras/cam", &body).await.status, 201);
        let health = manager.get("/api/health").await.body;
        assert_eq!(health["webrtc"]["port"], Value::Null);
        let shown = health["webrtc"]["reason"].as_str().expect("a reason").to_owned();
        assert!(shown.contains(reason), "{shown}");
        let local = "127.0.0.1:1".parse().expect("an address");
        let (_, offer, ..) = whep::offer(Offer::default(), local);
        let response = whep::post(&manager, WHEP, &offer).await;
        assert_eq!(response.status(), 404);
        let problem: Value = response.json().await.expect("a problem");
        assert_eq!(problem["code"], "webrtc_unavailable");
        assert_eq!(manager.get("/readyz").await.status, 200, "the other outputs work");
    }
    assert_eq!(camera.plays(), 0);
}
